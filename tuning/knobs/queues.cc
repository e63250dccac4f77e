// Network queues: where packets are worked on after their interrupt, and who sends by which queue.
#include <algorithm>

#include "tuning/knobs/families.h"
#include "tuning/rules.h"

namespace deja::tuning {
namespace {

constexpr const char* kNet = "/sys/class/net";

std::vector<std::string> queues_of(const Host& host, const std::string& device, const char* kind) {
  std::vector<std::string> queues;
  for (const std::string& queue : host.tree->names(std::string(kNet) + "/" + device + "/queues")) {
    if (queue.starts_with(kind)) queues.push_back(queue);
  }
  return queues;
}

Finding look_at_rps(const Host& host) {
  if (std::optional<Finding> none = no_cores(host)) return *none;
  std::vector<Part> parts;
  for (const std::string& device : host.tree->names(kNet)) {
    for (const std::string& queue : queues_of(host, device, "rx-")) {
      const std::string path = std::string(kNet) + "/" + device + "/queues/" + queue + "/rps_cpus";
      parts.push_back(
          cores_part(host, host.appliance, device + " " + queue, {PlaceKind::kCpuMask, path}));
    }
  }
  return look_at_parts(host, "off, or " + without(host, host.appliance),
                       "no network queue here has receive steering", parts);
}

/// Sends of ingest's cores go by the last queues, the same for no other core.
void add_transmit_queues(const Host& host, const std::string& device, std::vector<Part>& parts) {
  CpuSet ingest;
  for (const int core : host.target.ingest) ingest.add(core);
  const std::vector<std::string> queues = queues_of(host, device, "tx-");
  if (queues.size() < 2) return;
  const std::size_t own = std::min(ingest.count(), queues.size() - 1);
  const std::size_t shared = queues.size() - own;
  std::vector<CpuSet> wanted(queues.size(), host.online - ingest);
  std::size_t next = 0;
  for (std::size_t at = shared; at < queues.size(); ++at) wanted[at] = {};
  for (const int core : ingest.cores()) wanted[shared + next++ % own].add(core);
  for (std::size_t at = 0; at < queues.size(); ++at) {
    const CpuSet mine = wanted[at];
    const CpuSet others = at < shared ? ingest : host.online - mine;
    const auto judge = [mine, others, is_own = at >= shared](const std::string& value) {
      const std::optional<CpuSet> have = CpuSet::of_mask(value);
      if (!have) return Verdict::kGarbage;
      const bool is_right = (*have & others).empty() && (!is_own || have->contains(mine));
      return is_right ? Verdict::kRight : Verdict::kWrong;
    };
    const auto right = [mine, others, is_own = at >= shared](const std::string& value) {
      const CpuSet kept = CpuSet::of_mask(value).value_or(CpuSet{}) - others;
      return (is_own || kept.empty() ? mine : kept).mask();
    };
    Part part;
    part.label = device + " " + queues[at];
    part.place.kind = PlaceKind::kCpuMask;
    part.place.path = std::string(kNet) + "/" + device + "/queues/" + queues[at] + "/xps_cpus";
    part.judge = judge;
    part.right_value = right;
    parts.push_back(std::move(part));
  }
}

Finding look_at_xps(const Host& host) {
  if (std::optional<Finding> none = no_cores(host)) return *none;
  bool pins_ingest = false;
  for (const int core : host.target.ingest) pins_ingest = pins_ingest || core >= 0;
  if (!pins_ingest) return not_asked("[cpu] ingest names no cores");
  std::vector<Part> parts;
  for (const std::string& device : host.tree->names(kNet)) {
    // Queues of bridges and tunnels are nobody's hardware.
    if (!host.tree->exists(std::string(kNet) + "/" + device + "/device")) continue;
    add_transmit_queues(host, device, parts);
  }
  return look_at_parts(host, "a queue of its own for ingest",
                       "no network device here has several transmit queues", parts);
}

}  // namespace

std::vector<Knob> queue_knobs() {
  return {
      {"rps", "packets of others are not worked on on our cores",
       "Receive packet steering: the cores that a queue's packets are handed to behind their "
       "interrupt. Masks that name the appliance's cores lose them; one that is off stays off.",
       "Where the steered traffic was large, the housekeeping cores must carry it.",
       "deja tune measure: NET_RX softirqs on the cores.", look_at_rps},
      {"xps", "ingest's answers wait for no other sender's queue lock",
       "Transmit packet steering: which core sends by which queue of a network card. Ingest's "
       "cores "
       "get the last queues, and nobody else does.",
       "Other senders share the queues that are left.",
       "deja replay, and the acks' latency in deja stat, while something else sends much: without "
       "that there is nothing to see.",
       look_at_xps},
  };
}

}  // namespace deja::tuning
