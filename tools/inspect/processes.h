// Everything that an appliance's processes show of themselves, gathered: what `deja stat`, `deja
// errors` and /metrics are made of. Reads files of the segment only; trusts no byte of them. One
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shm/process_file.h"
#include "shm/segment.h"

namespace deja {

/// All process files of the segment whose process has started, by name.
[[nodiscard]] std::vector<ProcessView> read_processes(const Segment& segment);

/// How a process does, as far as it shows.
enum class Health : std::uint8_t {
  kAlive,
  kRestarted,  ///< alive, but a life of its place ended less than kRestartedUs ago
  kSilent,     ///< it is there, and gave no sign of life for kSilentUs: it hangs, or is stopped
  kGone,       ///< silent, and there is no such process
};
/// Signs of life are due every 10 ms (of the supervisor: every second).
inline constexpr std::int64_t kSilentUs = 2'000'000;
inline constexpr std::int64_t kRestartedUs = 30'000'000;
[[nodiscard]] Health health_of(const ProcessView& process, std::int64_t now_us);
/// "alive", "restarted", "silent", "gone".
[[nodiscard]] const char* health_word(Health health);

/// A counter's name without labels: "deja_events_rejected_total{code=…}" → up to the brace.
[[nodiscard]] std::string_view counter_family(std::string_view name);
/// The value of a label in a counter's name, or empty: label_of("x{code=\"a\"}", "code") → "a".
[[nodiscard]] std::string_view label_of(std::string_view name, std::string_view label);

/// Sum over all processes and labels of a counter's family.
[[nodiscard]] std::uint64_t sum_of(const std::vector<ProcessView>& processes,
                                   std::string_view family);

/// Where every received event ended. Each in exactly one; received is their sum once all rings are
/// empty.
struct EventTotals {
  std::uint64_t received = 0;
  std::uint64_t applied = 0;
  std::uint64_t duplicate = 0;
  std::uint64_t unmatched = 0;
  std::uint64_t alias = 0;
  std::uint64_t abandoned = 0;  ///< by an ingest that was killed, unanswered
  std::uint64_t rejected = 0;
  std::uint64_t dead = 0;
  [[nodiscard]] std::uint64_t accounted() const {
    return applied + duplicate + unmatched + alias + abandoned + rejected + dead;
  }
};
[[nodiscard]] EventTotals event_totals(const std::vector<ProcessView>& processes);

}  // namespace deja
