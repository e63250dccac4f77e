// Hyper-threads beside the appliance's cores.
#include "tuning/knobs/families.h"
#include "tuning/rules.h"

namespace deja::tuning {
namespace {

/// A sibling that is the appliance's as well: two of its loops share one core's units and caches.
std::vector<std::string> sharing(const Host& host) {
  std::vector<std::string> pairs;
  for (const int core : host.appliance.cores()) {
    const Result<std::string> list = host.tree->read_value(
        "/sys/devices/system/cpu/cpu" + std::to_string(core) + "/topology/thread_siblings_list");
    const CpuSet all = list ? CpuSet::of_list(*list).value_or(CpuSet{}) : CpuSet{};
    for (const int other : (all & host.appliance).cores()) {
      if (other > core) pairs.push_back(std::to_string(core) + " and " + std::to_string(other));
    }
  }
  return pairs;
}

Finding look_at_siblings(const Host& host) {
  if (host.appliance.empty()) return *no_cores(host);
  Finding finding;
  const std::string active = "/sys/devices/system/cpu/smt/active";
  const Result<std::string> smt = host.tree->read_value(active);
  if (!smt && smt.error().error_number == ENOENT) {
    finding.state = KnobState::kAbsent;
    finding.note = "this kernel does not say whether cores have siblings";
    return finding;
  }
  if (!smt || (*smt != "0" && *smt != "1")) {
    finding.state = KnobState::kUnreadable;
    finding.note = smt ? active + " has \"" + *smt + "\"" : smt.error().message();
    return finding;
  }
  finding.want = "no sibling at work";
  const std::vector<std::string> pairs = sharing(host);
  if (host.siblings.empty() && pairs.empty()) {
    finding.have = *smt == "0" ? "no hyper-threads" : "siblings are offline";
    return finding;
  }
  if (!host.siblings.empty()) {
    const Result<std::string> list = host.tree->read_value("/sys/devices/system/cpu/isolated");
    const CpuSet isolated = list ? CpuSet::of_list(*list).value_or(CpuSet{}) : CpuSet{};
    finding.have = host.siblings.list() + " online";
    if (isolated.contains(host.siblings) && pairs.empty()) {
      finding.have += ", isolated";
      return finding;
    }
    std::vector<Part> parts;
    for (const int core : (host.siblings - isolated).cores()) {
      parts.push_back(number_part("cpu" + std::to_string(core),
                                  "/sys/devices/system/cpu/cpu" + std::to_string(core) + "/online",
                                  0, 0, 0));
    }
    finding.writes = look_at_parts(host, "", "", parts).writes;
    if (finding.writes.empty()) finding.note = "these can't be taken offline here; isolate them";
  }
  finding.state = KnobState::kDiffers;
  if (!pairs.empty()) {
    finding.note = "[cpu] names both siblings of a core: " + some_of(pairs);
    finding.by_hand.emplace_back("name one of each pair in [cpu]");
    if (finding.have.empty()) finding.have = "shared by the appliance's own loops";
  }
  return finding;
}

}  // namespace

std::vector<Knob> sibling_knobs() {
  return {
      {"smt", "a sibling at work takes a third of a core",
       "Hyper-threads that share a core with one of the appliance's. They are taken offline, or "
       "left alone where they are isolated.",
       "Half of those cores' threads are lost to everything else. Taking a core offline removes it "
       "from cpusets of control groups (version 1 does not put it back by itself): containers that "
       "were given it by name must be told again.",
       "deja bench (a worker applies) while the sibling is busy, and idle: 20 to 40 % between "
       "them.",
       look_at_siblings},
  };
}

}  // namespace deja::tuning
