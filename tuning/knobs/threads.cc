// Whether the appliance's own threads are where the config wants them.
#include "tuning/knobs/families.h"
#include "tuning/rules.h"

namespace deja::tuning {
namespace {

constexpr std::string_view kAllowed = "Cpus_allowed_list:";

/// The cores that a thread may run on, by its /proc/…/status.
std::optional<CpuSet> allowed_cores(const std::string& status) {
  const std::size_t at = status.find(kAllowed);
  if (at == std::string::npos) return std::nullopt;
  const std::string_view rest = std::string_view(status).substr(at + kAllowed.size());
  return CpuSet::of_list(trimmed(rest.substr(0, rest.find('\n'))));
}

/// The cores that have a thread of this process pinned to them, and to nothing else.
CpuSet pinned_cores(const Host& host, const PinnedProcess& process) {
  CpuSet pinned;
  const std::string tasks = "/proc/" + std::to_string(process.pid) + "/task";
  for (const std::string& thread : host.tree->names(tasks)) {
    const Result<std::string> status = host.tree->read_text(tasks + "/" + thread + "/status");
    const std::optional<CpuSet> cores = status ? allowed_cores(*status) : std::nullopt;
    if (cores && cores->count() == 1) pinned = pinned | *cores;
  }
  return pinned;
}

Finding look_at_threads(const Host& host) {
  if (host.appliance.empty()) return *no_cores(host);
  if (host.target.running.empty()) return not_asked("the appliance is not served here");
  Finding finding;
  finding.want = "one thread on each of " + host.appliance.list();
  std::vector<std::string> astray;
  std::vector<std::string> right;
  for (const PinnedProcess& process : host.target.running) {
    if (process.cores.empty()) continue;
    if (host.tree->names("/proc/" + std::to_string(process.pid) + "/task").empty()) {
      astray.push_back(process.name + " (pid " + std::to_string(process.pid) + " is gone)");
      continue;
    }
    const CpuSet pinned = pinned_cores(host, process);
    for (const int core : process.cores) {
      const std::string where = process.name + " on " + std::to_string(core);
      (pinned.has(core) ? right : astray).push_back(where);
    }
  }
  finding.have = right.empty() ? "none pinned" : some_of(right);
  if (astray.empty()) return finding;
  finding.state = KnobState::kDiffers;
  finding.note = "not there: " + some_of(astray);
  finding.by_hand.emplace_back(
      "start deja serve where those cores may be used: look at its cpuset (AllowedCPUs= of a unit, "
      "--cpuset-cpus of a container) and at taskset");
  return finding;
}

}  // namespace

std::vector<Knob> thread_knobs() {
  return {
      {"affinity", "a thread that is not pinned is moved, caches cold",
       "Where the threads of the running appliance may really run, beside what [cpu] asks for. "
       "Deja "
       "pins them itself; a cpuset or a container can forbid it.",
       "A pinned thread can't go elsewhere when its core is busy.",
       "deja tune measure: migrations; ps -L -o psr,comm -p PID.", look_at_threads},
  };
}

}  // namespace deja::tuning
