#include "tools/config/settings_builder.h"

#include <vector>

#include "shm/settings.capnp.h"
#include "tools/config/single_segment.h"

namespace deja {
namespace {

template <typename List, typename Values>
void fill_list(List list, const Values& values) {
  for (unsigned at = 0; at < list.size(); ++at) list.set(at, values[at]);
}

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> list;
  for (const std::string& text : texts) list.push_back(text.c_str());
  return list;
}

unsigned size_of(const auto& list) {
  return static_cast<unsigned>(list.size());
}

}  // namespace

kj::Array<capnp::word> build_settings(const Config& config, const std::string& redis_url) {
  const ListenConfig& listen = config.listen;
  return single_segment_message<schema::Settings>([&](schema::Settings::Builder settings) {
    settings.setAppliance(config.appliance.name);
    fill_list(settings.initIngestCpus(size_of(config.cpu.ingest)), config.cpu.ingest);
    fill_list(settings.initWorkerCpus(size_of(config.cpu.workers)), config.cpu.workers);
    settings.setWait(static_cast<schema::Wait>(config.cpu.wait));
    settings.setHttp(listen.http.empty() ? "" : listen.http.front().text);
    std::vector<std::string> streams;
    for (const ListenAddress& address : listen.stream) streams.push_back(address.text);
    fill_list(settings.initStreams(size_of(streams)), pointers(streams));
    settings.setConsole(listen.console.empty() ? "" : listen.console.front().text);
    fill_list(settings.initWriteKeys(size_of(listen.write_keys)), pointers(listen.write_keys));
    fill_list(settings.initReadKeys(size_of(listen.read_keys)), pointers(listen.read_keys));
    settings.setAddressEventsPerS(listen.rate_per_address);
    settings.setKeyEventsPerS(listen.rate_per_key);
    settings.setAddressConnections(listen.connections_per_address);
    fill_list(settings.initTrustedProxies(size_of(listen.trusted_proxies)),
              pointers(listen.trusted_proxies));
    settings.setAck(static_cast<schema::AckLevel>(config.durability.ack));
    settings.setDedupWindow(config.durability.dedup_window);
    settings.setMaxFutureUs(config.durability.max_future_us);
    settings.setRedisUrl(redis_url);
    settings.setFlushEveryUs(config.redis.flush_every_us);
    settings.setLossWindowUs(config.redis.loss_window_us);
    settings.setDurabilityDirectory(config.durability.directory);
    settings.setHugePages(static_cast<schema::HugePages>(config.appliance.huge_pages));
    settings.setRingBytes(kRingBytes);
    settings.setLogBytes(kLogBytes);
    settings.setReturnBytes(kReturnBytes);
    settings.setVerdictBytes(kVerdictBytes);
    settings.setFullRingWaitUs(kFullRingWaitUs);
    settings.setGroupCommitUs(config.durability.group_commit_us);
  });
}

}  // namespace deja
