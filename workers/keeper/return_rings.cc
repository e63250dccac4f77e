#include "workers/keeper/return_rings.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "workers/segment_files.h"

namespace deja {
namespace {

/// Records between two publishes: a wake-up for each would cost more than it brings.
constexpr std::uint32_t kPublishEvery = 32;
/// Ids of one record: far from a quarter of the smallest ring.
constexpr std::size_t kIdsPerRecord = 32;

std::uint32_t profile_bytes(std::string_view key, std::string_view frame) {
  return static_cast<std::uint32_t>(sizeof(ReturnProfileLayout) + round_up(key.size(), 8) +
                                    frame.size());
}

void write_profile(std::uint8_t* at, const ReturnProfileLayout& profile, std::string_view key,
                   std::string_view frame) {
  const std::uint64_t key_bytes = round_up(key.size(), 8);
  std::memcpy(at, &profile, sizeof profile);
  std::memset(at + sizeof profile, 0, key_bytes);
  std::memcpy(at + sizeof profile, key.data(), key.size());
  if (!frame.empty()) std::memcpy(at + sizeof profile + key_bytes, frame.data(), frame.size());
}

}  // namespace

ReturnRings::ReturnRings(const TableGeometry& geometry, std::function<bool()> nap)
    : geometry_(geometry), nap_(std::move(nap)) {}

Result<ReturnRings> ReturnRings::open(const Segment& segment, std::function<bool()> nap) {
  const SuperblockLayout& superblock = segment.superblock();
  ReturnRings rings(segment.geometry(), std::move(nap));
  const std::uint64_t record_max =
      sizeof(ReturnProfileLayout) + superblock.key_bytes + std::uint64_t{superblock.frame_bytes};
  if (record_max > superblock.return_bytes / 4) {
    return Error{"a stored profile does not fit into a return ring of " +
                     std::to_string(superblock.return_bytes) + " bytes",
                 0, "Start the appliance with larger return rings, or with fewer features"};
  }
  for (std::uint32_t number = 0; number < superblock.worker_count; ++number) {
    const std::string text = std::to_string(number);
    Result<MappedFile> ring = segment.map("return-" + text, MappedFile::Mode::kReadWrite);
    if (!ring) return ring.error();
    Result<MappedFile> file = segment.map("worker-" + text, MappedFile::Mode::kReadOnly);
    if (!file) return file.error();
    if (ring->bytes() < ring_file_bytes(superblock.return_bytes) ||
        file->bytes() < worker_file_bytes(superblock.ingest_count)) {
      return Error{"return-" + text + " or worker-" + text + " is shorter than its superblock says",
                   0, "Stop the appliance and start it again"};
    }
    Result<BellRope> bell = BellRope::open(segment, worker_bell(number));
    if (!bell) return bell.error();
    const auto* positions = file->at<const WorkerLayout>();
    auto producer = std::make_unique<RingProducer>(ring->data(), ring->bytes(),
                                                   &positions->returned_position.value);
    rings.workers_.push_back({std::move(*ring), std::move(*file), std::move(producer),
                              std::make_unique<BellRope>(std::move(*bell)), true, 0});
    rings.workers_.back().waits = !recovered(rings.workers_.back());
  }
  return rings;
}

bool ReturnRings::recovered(const Worker& worker) {
  const auto* file = worker.worker_file.at<const WorkerLayout>();
  return file->recovered.value.load(std::memory_order_acquire) != 0;
}

bool ReturnRings::wait_until_consumed() {
  for (Worker& worker : workers_) {
    const auto pending = [&worker] {
      return !recovered(worker) &&
             worker.ring->consumer_position() != worker.ring->published_position();
    };
    while (pending()) {
      worker.bell->ring_if_asleep();
      // Who recovered during the nap may have been served since: then there is something to write.
      if (!nap_() && pending()) return false;
    }
    worker.waits = !recovered(worker);
  }
  return true;
}

std::uint8_t* ReturnRings::claim(Worker& worker, std::uint32_t size) {
  for (;;) {
    if (std::uint8_t* at = worker.ring->claim(size)) return at;
    publish(worker);
    if (!nap_()) return nullptr;
  }
}

void ReturnRings::commit(Worker& worker, std::uint32_t size, std::uint32_t type) {
  worker.ring->commit(size, type);
  if (++worker.unpublished >= kPublishEvery) publish(worker);
}

void ReturnRings::publish(Worker& worker) {
  worker.ring->publish();
  worker.unpublished = 0;
  worker.bell->ring_if_asleep();
}

bool ReturnRings::give_profile(std::uint32_t type, const ReturnProfileLayout& profile,
                               std::string_view key, std::string_view frame) {
  Worker& worker = workers_[geometry_.owner_of(profile.shard)];
  if (!worker.waits) return true;
  const std::uint32_t size = profile_bytes(key, frame);
  std::uint8_t* at = claim(worker, size);
  if (at == nullptr) return false;
  write_profile(at, profile, key, frame);
  commit(worker, size, type);
  return true;
}

bool ReturnRings::try_give_part(std::uint32_t type, const ReturnProfileLayout& profile,
                                std::string_view key, std::string_view frame) {
  Worker& worker = workers_[geometry_.owner_of(profile.shard)];
  const std::uint32_t size = profile_bytes(key, frame);
  std::uint8_t* at = worker.ring->claim(size);
  if (at == nullptr) return false;
  write_profile(at, profile, key, frame);
  worker.ring->commit(size, type);
  publish(worker);
  return true;
}

bool ReturnRings::give_ids(std::uint32_t shard, std::span<const JournalIdLayout> ids) {
  Worker& worker = workers_[geometry_.owner_of(shard)];
  if (!worker.waits) return true;
  while (!ids.empty()) {
    const auto some = ids.first(std::min(ids.size(), kIdsPerRecord));
    ids = ids.subspan(some.size());
    const auto count = static_cast<std::uint32_t>(some.size());
    const auto size = static_cast<std::uint32_t>(sizeof(ReturnIdsLayout) + some.size() * 16);
    std::uint8_t* at = claim(worker, size);
    if (at == nullptr) return false;
    const ReturnIdsLayout head{shard, count};
    std::memcpy(at, &head, sizeof head);
    at += sizeof head;
    for (const JournalIdLayout& id : some) {
      const std::uint64_t words[2] = {id.low, id.high};
      std::memcpy(at, words, sizeof words);
      at += sizeof words;
    }
    commit(worker, size, kReturnIds);
  }
  return true;
}

bool ReturnRings::give_event(std::uint32_t shard, std::uint64_t sequence,
                             std::span<const std::uint64_t> words) {
  Worker& worker = workers_[geometry_.owner_of(shard)];
  if (!worker.waits) return true;
  const ReturnEventLayout head{sequence, shard, static_cast<std::uint32_t>(words.size_bytes())};
  const auto size = static_cast<std::uint32_t>(sizeof head + words.size_bytes());
  std::uint8_t* at = claim(worker, size);
  if (at == nullptr) return false;
  std::memcpy(at, &head, sizeof head);
  std::memcpy(at + sizeof head, words.data(), words.size_bytes());
  commit(worker, size, kReturnEvent);
  return true;
}

bool ReturnRings::give_shard(const ReturnShardLayout& shard) {
  Worker& worker = workers_[geometry_.owner_of(shard.shard)];
  if (!worker.waits) return true;
  std::uint8_t* at = claim(worker, sizeof shard);
  if (at == nullptr) return false;
  std::memcpy(at, &shard, sizeof shard);
  commit(worker, sizeof shard, kReturnShard);
  return true;
}

bool ReturnRings::give_end() {
  for (Worker& worker : workers_) {
    if (!worker.waits) continue;
    std::uint8_t* at = claim(worker, 8);
    if (at == nullptr) return false;
    std::memset(at, 0, 8);
    commit(worker, 8, kReturnEnd);
    publish(worker);
  }
  return true;
}

}  // namespace deja
