// What the kernel itself does now and then on every core, memory that may leave, and the limits of
// sockets: mostly rows of a table.
#include <climits>

#include "tuning/knobs/families.h"
#include "tuning/rules.h"

namespace deja::tuning {
namespace {

struct NumberRow {
  const char* name;
  const char* path;
  std::int64_t least;
  std::int64_t most;
  std::int64_t right;
  const char* want;
  const char* why;
  const char* does;
  const char* costs;
  const char* measure;
};

constexpr std::int64_t kAny = INT64_MAX;
constexpr const char* kAbsent = "this kernel has no such setting";

constexpr NumberRow kNumbers[] = {
    {"stat-interval", "/proc/sys/vm/stat_interval", 120, kAny, 120, "120 or more",
     "counting pages wakes every core once a second",
     "Seconds between two foldings of each core's memory statistics (vm.stat_interval), which a "
     "kernel thread does on that core.",
     "Figures of /proc/vmstat and of free lag by up to two minutes.",
     "deja tune measure: interruptions by kworker once a second go."},
    {"nmi-watchdog", "/proc/sys/kernel/nmi_watchdog", 0, 0, 0, "0",
     "it takes a performance counter, and interrupts each core",
     "The hard-lockup detector: a counter overflow raises an NMI on every core every ten seconds.",
     "A core that hangs with interrupts off is no longer found by the kernel.",
     "NMI in /proc/interrupts; perf stat has one more counter."},
    {"numa-balancing", "/proc/sys/kernel/numa_balancing", 0, 0, 0, "0",
     "it takes pages away to see who uses them",
     "Automatic NUMA balancing unmaps pages to learn from the faults who touches them, and moves "
     "them. Deja's memory is placed when it is made.",
     "Programs on other nodes than their memory are no longer helped.",
     "numa_hint_faults in /proc/vmstat; minor faults of a worker in deja tune measure."},
    {"swappiness", "/proc/sys/vm/swappiness", 0, 10, 10, "10 or less",
     "what can't be locked should stay in memory",
     "How readily the kernel swaps out memory of programs and tmpfs rather than drop file caches. "
     "The table is locked where the limits allow it; what is not depends on this.",
     "File caches shrink sooner.", "pswpin and pswpout in /proc/vmstat; major faults of workers."},
    {"somaxconn", "/proc/sys/net/core/somaxconn", 4096, kAny, 4096, "4096 or more",
     "bursts of connections wait, and are not dropped",
     "The most connections that may wait to be accepted (net.core.somaxconn). Deja asks for 4096 "
     "at each listener.",
     "Some memory while they wait.", "ListenOverflows in /proc/net/netstat (nstat -az)."},
    {"netdev-backlog", "/proc/sys/net/core/netdev_max_backlog", 4096, kAny, 4096, "4096 or more",
     "bursts of packets wait, and are not dropped",
     "Packets that may wait for a core to work on them (net.core.netdev_max_backlog): loopback and "
     "steered ones go this way.",
     "Under overload packets wait longer before they are dropped.",
     "The second column of /proc/net/softnet_stat counts those dropped."},
    {"wmem-max", "/proc/sys/net/core/wmem_max", 1 << 20, kAny, 1 << 20, "1048576 or more",
     "the keeper's batches to Redis fit into one buffer",
     "The largest send buffer that a program may ask for (net.core.wmem_max). The keeper asks for "
     "1 MiB, which takes a batch whole.",
     "A program that asks for it takes that memory.", "deja stat: flush lag under load."},
};

Knob number_knob(const NumberRow& row) {
  const auto look = [&row](const Host& host) {
    return look_at_parts(host, row.want, kAbsent,
                         {number_part("", row.path, row.least, row.most, row.right)});
  };
  return {row.name, row.why, row.does, row.costs, row.measure, look};
}

/// The kernel moves timers away from a core that it keeps free of them (nohz_full) only while this
/// is on; without such cores it moves timers of idle cores to busy ones, which ours are.
Finding look_at_timer_migration(const Host& host) {
  if (std::optional<Finding> none = no_cores(host)) return *none;
  const Result<std::string> list = host.tree->read_value("/sys/devices/system/cpu/nohz_full");
  const CpuSet full = list ? CpuSet::of_list(*list).value_or(CpuSet{}) : CpuSet{};
  const bool is_free = full.contains(host.appliance);
  const std::int64_t right = is_free ? 1 : 0;
  return look_at_parts(host, is_free ? "1 (with nohz_full)" : "0 (without nohz_full)", kAbsent,
                       {number_part("", "/proc/sys/kernel/timer_migration", right, right, right)});
}

Finding look_at_watchdog_cores(const Host& host) {
  if (std::optional<Finding> none = no_cores(host)) return *none;
  const Result<std::string> on = host.tree->read_value("/proc/sys/kernel/watchdog");
  if (on && *on == "0") return not_asked("the watchdog is off");
  return look_at_parts(host, without(host, host.appliance), kAbsent,
                       {cores_part(host, host.appliance, "",
                                   {PlaceKind::kCpuList, "/proc/sys/kernel/watchdog_cpumask"})});
}

Finding look_at_workqueues(const Host& host) {
  if (std::optional<Finding> none = no_cores(host)) return *none;
  return look_at_parts(
      host, "mask " + host.housekeeping.mask(), kAbsent,
      {cores_part(host, host.appliance, "",
                  {PlaceKind::kCpuMask, "/sys/devices/virtual/workqueue/cpumask"})});
}

}  // namespace

std::vector<Knob> kernel_knobs() {
  std::vector<Knob> knobs = {
      {"timer-migration", "timers of others do not fire on our cores",
       "kernel.timer_migration lets a timer be set up on another core than the one that asked. "
       "Where nohz_full holds the appliance's cores the kernel uses that to keep timers off them, "
       "so 1 is right; where it does not, timers of idle cores go to busy ones, so 0 is.",
       "With 0, idle cores wake for their own timers: some power.",
       "deja tune measure: LOC interrupts and TIMER softirqs on the cores.",
       look_at_timer_migration},
      {"watchdog-cores", "the soft-lockup watchdog looks elsewhere",
       "Which cores the lockup detectors watch (kernel.watchdog_cpumask): each of them wakes a "
       "thread of the highest priority there every four seconds.",
       "A kernel that hangs on the appliance's cores is no longer found by it.",
       "deja tune measure: one preemption in four seconds goes, on each core.",
       look_at_watchdog_cores},
      {"workqueue", "the kernel's deferred work runs elsewhere",
       "The cores that work not bound to a core may run on "
       "(/sys/devices/virtual/workqueue/cpumask).",
       "That work queues up on the housekeeping cores.",
       "deja tune measure: preemptions by kworker/u on the cores.", look_at_workqueues},
  };
  for (const NumberRow& row : kNumbers) knobs.push_back(number_knob(row));
  return knobs;
}

}  // namespace deja::tuning
