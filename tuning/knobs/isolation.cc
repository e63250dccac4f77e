// Whether the kernel keeps the appliance's cores free: settings of the boot, which Deja reads,
// explains and prints, and never edits.
#include <string_view>

#include "tuning/knobs/families.h"
#include "tuning/rules.h"

namespace deja::tuning {
namespace {

/// The cores of `name=[flags,]LIST` on the command line, the last of them as the kernel does it.
/// Empty where there is none, or what stands there is no list.
CpuSet cores_of_parameter(std::string_view command_line, std::string_view name) {
  CpuSet cores;
  while (!command_line.empty()) {
    const std::size_t end = command_line.find(' ');
    std::string_view word = command_line.substr(0, end);
    if (word.starts_with(name) && word.size() > name.size() && word[name.size()] == '=') {
      word.remove_prefix(name.size() + 1);
      cores = CpuSet::of_list(word).value_or(CpuSet{});
    }
    if (end == std::string_view::npos) break;
    command_line.remove_prefix(end + 1);
  }
  return cores;
}

Finding compare(const Host& host, const CpuSet& have) {
  Finding finding;
  finding.want = host.appliance.list();
  finding.have = have.empty() ? "none" : have.list();
  if (have.contains(host.appliance)) return finding;
  finding.state = KnobState::kDiffers;
  finding.note = "a boot parameter";
  finding.by_hand.push_back("append to the kernel's command line, and restart: " + boot_line(host));
  return finding;
}

Finding look_at_file(const Host& host, const char* path, const char* absent) {
  if (std::optional<Finding> none = no_cores(host)) return *none;
  const Result<std::string> list = host.tree->read_value(path);
  if (!list && list.error().error_number == ENOENT) {
    Finding finding;
    finding.state = KnobState::kAbsent;
    finding.note = absent;
    return finding;
  }
  // The kernel's word for "not given" where it was built with nohz_full.
  const bool is_none = list && *list == "(null)";
  const std::optional<CpuSet> have =
      is_none ? CpuSet{} : (list ? CpuSet::of_list(*list) : std::nullopt);
  if (!have) {
    Finding finding = compare(host, {});
    finding.state = KnobState::kUnreadable;
    finding.note = list ? "has \"" + *list + "\", no list of cores" : list.error().message();
    return finding;
  }
  return compare(host, *have);
}

Finding look_at_isolcpus(const Host& host) {
  return look_at_file(host, "/sys/devices/system/cpu/isolated",
                      "this kernel does not say which cores it isolates");
}

Finding look_at_nohz_full(const Host& host) {
  return look_at_file(host, "/sys/devices/system/cpu/nohz_full",
                      "this kernel is built without NO_HZ_FULL: the tick can't be stopped");
}

Finding look_at_rcu_nocbs(const Host& host) {
  if (std::optional<Finding> none = no_cores(host)) return *none;
  const Result<std::string> line = host.tree->read_value("/proc/cmdline");
  if (!line) {
    Finding finding;
    finding.state =
        line.error().error_number == ENOENT ? KnobState::kAbsent : KnobState::kUnreadable;
    finding.note = line.error().message();
    return finding;
  }
  // nohz_full implies it.
  CpuSet have = cores_of_parameter(*line, "rcu_nocbs");
  const Result<std::string> nohz = host.tree->read_value("/sys/devices/system/cpu/nohz_full");
  if (nohz) have = have | CpuSet::of_list(*nohz).value_or(CpuSet{});
  return compare(host, have);
}

}  // namespace

std::string boot_line(const Host& host) {
  if (host.appliance.empty() || host.housekeeping.empty()) return {};
  const std::string ours = host.appliance.list();
  std::string line = "isolcpus=managed_irq,domain," + ours;
  if (host.tree->exists("/sys/devices/system/cpu/nohz_full")) line += " nohz_full=" + ours;
  return line + " rcu_nocbs=" + ours + " irqaffinity=" + host.housekeeping.list();
}

std::vector<Knob> isolation_knobs() {
  return {
      {"isolcpus", "nobody else's threads on the appliance's cores",
       "Cores that the scheduler balances nothing onto: only who asks for them by name runs there, "
       "as Deja's pinned threads do. managed_irq keeps the queues of drivers that spread "
       "themselves over all cores away too.",
       "Those cores are lost to everything else, idle or not. The load balancer does not help a "
       "program that is pinned there badly. A restart.",
       "deja tune measure: preemptions on the cores go to about none. perf sched, or "
       "nonvoluntary_ctxt_switches in /proc/PID/status of a worker.",
       look_at_isolcpus},
      {"nohz-full", "no timer tick while one thread runs alone",
       "Stops the periodic tick (100 to 1000 a second) on cores where a single thread is ready to "
       "run; needs a kernel built with NO_HZ_FULL.",
       "Every system call and interrupt gets dearer there (by some 100 ns), since time is then "
       "accounted at each. Worth it with wait = \"spin\"; a loss for threads that sleep often. "
       "A restart.",
       "deja tune measure (jitter): LOC interrupts per second on the cores, and the number of "
       "interruptions of a few µs.",
       look_at_nohz_full},
      {"rcu-nocbs", "RCU callbacks run elsewhere",
       "Moves the kernel's deferred freeing (RCU callbacks) from softirqs of these cores to "
       "threads on others.",
       "A little more work altogether, on the housekeeping cores. A restart.",
       "deja tune measure: RCU softirqs on the cores (/proc/softirqs).", look_at_rcu_nocbs},
  };
}

}  // namespace deja::tuning
