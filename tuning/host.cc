#include "tuning/host.h"

#include <utility>

namespace deja::tuning {
namespace {

CpuSet siblings_of(const Tree& tree, int core) {
  const Result<std::string> list = tree.read_value(
      "/sys/devices/system/cpu/cpu" + std::to_string(core) + "/topology/thread_siblings_list");
  if (!list) return {};
  return CpuSet::of_list(*list).value_or(CpuSet{});
}

}  // namespace

Result<Host> Host::look(const Tree& tree, Target target) {
  const std::string path = "/sys/devices/system/cpu/online";
  Result<std::string> list = tree.read_value(path);
  if (!list) return list.error();
  const std::optional<CpuSet> online = CpuSet::of_list(*list);
  if (!online || online->empty()) {
    return Error{path + " has \"" + *list + "\", which is no list of cores", 0,
                 "Is /sys mounted there?"};
  }
  Host host;
  host.tree = &tree;
  host.online = *online;
  for (const int core : target.ingest) host.appliance.add(core);
  for (const int core : target.workers) host.appliance.add(core);
  for (const int core : host.appliance.cores()) {
    host.siblings = host.siblings | siblings_of(tree, core);
  }
  host.siblings = (host.siblings & host.online) - host.appliance;
  host.housekeeping = host.online - host.appliance - host.siblings;
  host.target = std::move(target);
  return host;
}

}  // namespace deja::tuning
