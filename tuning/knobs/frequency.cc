// How fast the appliance's cores run, and how deep they sleep.
#include "tuning/knobs/families.h"
#include "tuning/rules.h"

namespace deja::tuning {
namespace {

constexpr const char* kCpu = "/sys/devices/system/cpu/cpu";

/// A state that takes longer to leave than this is worse than what an event takes on its way.
constexpr std::int64_t kExitLatencyMaxUs = 10;

Finding look_at_governors(const Host& host) {
  if (host.appliance.empty()) return *no_cores(host);
  std::vector<Part> parts;
  for (const int core : host.appliance.cores()) {
    const std::string number = std::to_string(core);
    parts.push_back(word_part("cpu" + number,
                              {PlaceKind::kPlain, kCpu + number + "/cpufreq/scaling_governor"},
                              {"performance"}));
  }
  return look_at_parts(host, "performance", "no cpufreq: the hypervisor or firmware sets the clock",
                       parts);
}

Finding look_at_idle_states(const Host& host) {
  if (host.appliance.empty()) return *no_cores(host);
  std::vector<Part> parts;
  std::vector<std::string> garbage;
  bool has_states = false;
  for (const int core : host.appliance.cores()) {
    const std::string number = std::to_string(core);
    const std::string directory = kCpu + number + "/cpuidle";
    for (const std::string& state : host.tree->names(directory)) {
      has_states = true;
      const std::string path = directory + "/" + state;
      const Result<std::string> latency = host.tree->read_value(path + "/latency");
      const std::optional<std::int64_t> us = latency ? number_in(*latency) : std::nullopt;
      if (!us) garbage.push_back(path + "/latency");
      if (!us || *us <= kExitLatencyMaxUs) continue;
      const Result<std::string> name = host.tree->read_value(path + "/name");
      parts.push_back(number_part(
          "cpu" + number + " " + (name ? *name : state) + " (" + std::to_string(*us) + " µs)",
          path + "/disable", 1, 1, 1));
    }
  }
  const std::string want = "disabled beyond " + std::to_string(kExitLatencyMaxUs) + " µs";
  if (has_states && parts.empty() && garbage.empty()) {
    Finding finding;
    finding.want = want;
    finding.have = "no state is deeper";
    return finding;
  }
  Finding finding =
      look_at_parts(host, want, "no cpuidle: the hypervisor or firmware decides", parts);
  if (finding.have == "0") finding.have = "all enabled";
  if (finding.have == "1") finding.have = "disabled";
  if (!garbage.empty()) {
    finding.state = KnobState::kUnreadable;
    finding.note = "no number in " + some_of(garbage);
  }
  return finding;
}

}  // namespace

std::vector<Knob> frequency_knobs() {
  return {
      {"governor", "a clock that idles must first speed up again",
       "The CPU frequency governor of the appliance's cores. `performance` holds the highest "
       "clock; others lower it when a core looks idle, which one that sleeps between events does.",
       "Power and heat; on laptops and dense blades perhaps the turbo of neighbouring cores.",
       "deja bench (wake a thread on the other core, a worker applies) before and after; "
       "turbostat shows the clock. On a loaded host there is little to see.",
       look_at_governors},
      {"c-states", "waking from a deep sleep takes longer than an event",
       "Idle states of the appliance's cores that take more than 10 µs to leave. They are disabled "
       "for those cores alone; the others sleep as before.",
       "Power: a core in C1 takes several watts more than in C6, and its neighbours lose turbo.",
       "deja tune measure (wake-up), p99 and worst: the difference is about the state's exit "
       "latency. With wait = \"spin\" nothing sleeps, and nothing changes.",
       look_at_idle_states},
  };
}

}  // namespace deja::tuning
