#include "tools/config/segment_plan.h"

#include <cstdint>
#include <vector>

#include "tools/config/catalog_builder.h"
#include "tools/config/settings_builder.h"
#include "workers/segment_files.h"

namespace deja {
namespace {

std::vector<std::uint8_t> bytes_of(const kj::Array<capnp::word>& message) {
  const auto bytes = message.asBytes();
  return {bytes.begin(), bytes.end()};
}

}  // namespace

SegmentPlan segment_plan_of(const Config& config, const std::string& redis_url) {
  SegmentPlan plan;
  plan.directory = config.appliance.directory;
  plan.appliance = config.appliance.name;
  plan.profiles_max = config.appliance.profiles;
  plan.shard_count = config.appliance.shards;
  plan.worker_count = static_cast<std::uint32_t>(config.cpu.workers.size());
  plan.ingest_count = static_cast<std::uint32_t>(config.cpu.ingest.size());
  plan.key_bytes = config.appliance.key_bytes;
  plan.frame_bytes = config.frame_bytes;
  plan.ring_bytes = kRingBytes;
  plan.log_bytes = kLogBytes;
  plan.return_bytes = kReturnBytes;
  plan.verdict_bytes = kVerdictBytes;
  plan.dedup_window = config.durability.dedup_window;
  plan.huge_pages = config.appliance.huge_pages;
  plan.readers_group = config.appliance.readers_group;
  plan.catalog = bytes_of(build_catalog(config));
  plan.settings = bytes_of(build_settings(config, redis_url));
  add_service_files(plan);
  return plan;
}

}  // namespace deja
