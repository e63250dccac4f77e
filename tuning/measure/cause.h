// What an outlier is laid to, by what grew while it lasted. Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "tuning/measure/interference.h"

namespace deja::tuning {

/// What grew around an outlier: the thread's own counts over the outlier alone, the core's since
/// the last look at them, up to 100 ms before.
struct Around {
  std::uint64_t length_ns = 0;
  std::uint64_t major_faults = 0;
  std::uint64_t minor_faults = 0;
  std::uint64_t preemptions = 0;   ///< involuntary switches
  std::uint64_t run_delay_ns = 0;  ///< ready, and waiting for the core (schedstat)
  Interference core;
};

/// "fault", "preemption", "stolen by the hypervisor", "interrupt 41 virtio3-rx", "tick", "softirq
/// NET_RX" or "unknown": the first of these for which there is evidence. The thread's own counts
/// are sharp; the core's say that such a thing happened near, and a rare one speaks louder than a
/// tick.
[[nodiscard]] std::string cause_of(const Around& around);

}  // namespace deja::tuning
