// Our own two probes, as threads of ordinary priority, which is what Deja's own are: so what they
// meet is what a worker meets. Each core is probed by a thread of its own, all at once.
//
// Wake-up: sleeps to an instant every millisecond, and notes how late it runs. Jitter: reads the
// clock without a pause, and notes each time it did not come back for more than a microsecond.
// After an outlier it looks who did it, and that look is not counted.
#pragma once

#include <vector>

#include "tuning/measure/measurement.h"

namespace deja::tuning {

inline constexpr std::uint64_t kInterruptionLeastNs = 1'000;
/// From here on an interruption, and a late wake-up, is an outlier whose cause is looked for. A
/// sleeper in a virtual machine is some 50 µs late as a rule.
inline constexpr std::uint64_t kLongInterruptionNs = 20'000;
inline constexpr std::uint64_t kLateWakeUpNs = 100'000;

/// Runs both probes, `seconds` each, on these cores. Blocks for twice that.
[[nodiscard]] std::vector<CoreMeasurement> probe_cores(const std::vector<int>& cores,
                                                       double seconds);

}  // namespace deja::tuning
