#include "tuning/measure/cause.h"

#include <array>
#include <string_view>

namespace deja::tuning {
namespace {

/// Happens all the time, so that its presence says little.
bool is_common(std::string_view name) {
  constexpr std::array<std::string_view, 5> kCommon = {"LOC", "TIMER", "SCHED", "RCU", "HRTIMER"};
  for (const std::string_view common : kCommon) {
    if (name == common) return true;
  }
  return false;
}

/// The rarest that grew, of those that are not always there.
std::string rarest(const Counts& counts) {
  std::string name;
  std::uint64_t least = 0;
  for (const auto& [candidate, count] : counts) {
    if (is_common(candidate) || (!name.empty() && count >= least)) continue;
    name = candidate;
    least = count;
  }
  return name;
}

}  // namespace

std::string cause_of(const Around& around) {
  if (around.major_faults + around.minor_faults > 0) return "fault";
  // Half of it spent ready to run is another thread's doing, also where no switch was counted: a
  // sleeper that is woken behind somebody is not preempted.
  if (around.preemptions > 0 || around.run_delay_ns * 2 > around.length_ns) return "preemption";
  if (around.core.steal_ticks > 0) return "stolen by the hypervisor";
  const std::string interrupt = rarest(around.core.interrupts);
  if (!interrupt.empty()) return "interrupt " + interrupt;
  const std::string softirq = rarest(around.core.softirqs);
  if (!softirq.empty()) return "softirq " + softirq;
  if (around.core.interrupts.count("LOC") != 0) return "tick";
  return "unknown";
}

}  // namespace deja::tuning
