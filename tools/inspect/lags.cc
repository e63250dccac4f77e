#include "tools/inspect/lags.h"

#include <bit>
#include <cstring>

#include "ring/log_record.h"
#include "ring/positions.h"
#include "ring/spsc_ring.h"
#include "shm/consumed_layout.h"

namespace deja {
namespace {

/// Older than any segment lives, and so nobody's age.
constexpr std::int64_t kAgeUsMax = std::int64_t{10} * 365 * 86'400 * 1'000'000;
/// Behind a record's header: the root pointer of an EventRecord, then its first field, receivedUs.
constexpr std::uint64_t kReceivedOffset = 8;
constexpr std::uint64_t kConsumedOffset = offsetof(LogRecordLayout, consumed_us);

/// The instant that lies `offset` behind the header of the record at `position`.
std::int64_t age_of(const MappedFile& ring, std::uint64_t capacity_bytes, std::uint64_t position,
                    std::uint64_t offset, std::int64_t now_us) {
  const std::uint8_t* data = ring.data() + sizeof(RingHeaderLayout);
  std::uint64_t index = position & (capacity_bytes - 1);
  RingRecordLayout record{};
  if (index + sizeof record > capacity_bytes) return 0;
  std::memcpy(&record, data + index, sizeof record);
  if (record.type == kRingPadding) index = 0;  // padding up to the end: the record is at the start
  if (index + sizeof record + offset + 8 > capacity_bytes) return 0;
  std::int64_t instant_us = 0;
  std::memcpy(&instant_us, data + index + sizeof record + offset, sizeof instant_us);
  const bool plausible = instant_us <= now_us && instant_us > now_us - kAgeUsMax;
  return plausible ? now_us - instant_us : 0;
}

/// How many records lie in `waiting_bytes` from `position` on. What makes no sense ends the count:
/// the producer may have written over it meanwhile.
std::uint64_t records_in(const MappedFile& ring, std::uint64_t capacity_bytes,
                         std::uint64_t position, std::uint64_t waiting_bytes) {
  const std::uint8_t* data = ring.data() + sizeof(RingHeaderLayout);
  std::uint64_t count = 0;
  std::uint64_t counted_bytes = 0;
  while (counted_bytes < waiting_bytes && count < kCountedRecordsMax) {
    const std::uint64_t index = (position + counted_bytes) & (capacity_bytes - 1);
    RingRecordLayout record{};
    if (index + sizeof record > capacity_bytes) break;
    std::memcpy(&record, data + index, sizeof record);
    const std::uint64_t bytes = ring_record_bytes(record.size_bytes);
    if (bytes > waiting_bytes - counted_bytes) break;
    counted_bytes += bytes;
    if (record.type != kRingPadding) ++count;
  }
  if (counted_bytes == 0 || counted_bytes == waiting_bytes) return count;
  return static_cast<std::uint64_t>(static_cast<double>(count) *
                                    static_cast<double>(waiting_bytes) /
                                    static_cast<double>(counted_bytes));
}

Lag lag_of(const std::string& name, const MappedFile& ring, std::uint64_t consumed,
           std::uint64_t offset, std::int64_t now_us) {
  Lag lag;
  lag.name = name;
  const auto* header = ring.at<const RingHeaderLayout>();
  const std::uint64_t produced = header->producer_position.load(std::memory_order_acquire);
  const std::uint64_t capacity = header->capacity_bytes;
  if (!std::has_single_bit(capacity) || ring.bytes() < ring_file_bytes(capacity)) return lag;
  lag.capacity_bytes = capacity;
  if (produced <= consumed || produced - consumed > capacity) return lag;
  lag.waiting_bytes = produced - consumed;
  lag.waiting_records = records_in(ring, capacity, consumed, lag.waiting_bytes);
  lag.oldest_age_us = age_of(ring, capacity, consumed, offset, now_us);
  return lag;
}

Result<MappedFile> map_ring(const Segment& segment, const std::string& name) {
  auto ring = segment.map(name, MappedFile::Mode::kReadOnly);
  if (ring.ok() && ring->bytes() < sizeof(RingHeaderLayout)) {
    return Error{name + " is too short", 0, "Restart the appliance"};
  }
  return ring;
}

}  // namespace

std::vector<Lag> ring_lags(const Segment& segment, std::int64_t now_us) {
  std::vector<Lag> lags;
  const SuperblockLayout& superblock = segment.superblock();
  for (std::uint32_t worker = 0; worker < superblock.worker_count; ++worker) {
    const std::string number = std::to_string(worker);
    auto consumed = segment.map("consumed-" + number, MappedFile::Mode::kReadOnly);
    if (!consumed.ok() || consumed->bytes() < consumed_file_bytes(superblock.ingest_count)) {
      continue;
    }
    for (std::uint32_t thread = 0; thread < superblock.ingest_count; ++thread) {
      const std::string name = "ring-" + std::to_string(thread) + "-" + number;
      auto ring = map_ring(segment, name);
      if (!ring.ok()) continue;
      const std::uint64_t position = consumed_ring(consumed->at<const ConsumedLayout>(), thread)
                                         ->position.load(std::memory_order_acquire);
      lags.push_back(lag_of(name, ring.value(), position, kReceivedOffset, now_us));
    }
  }
  return lags;
}

std::vector<Lag> log_lags(const Segment& segment, std::int64_t now_us) {
  std::vector<Lag> lags;
  const SuperblockLayout& superblock = segment.superblock();
  auto keeper = segment.map("keeper", MappedFile::Mode::kReadOnly);
  if (!keeper.ok() ||
      keeper->bytes() < keeper_file_bytes(superblock.worker_count, superblock.shard_count)) {
    return lags;
  }
  for (std::uint32_t worker = 0; worker < superblock.worker_count; ++worker) {
    const std::string name = "log-" + std::to_string(worker);
    auto ring = map_ring(segment, name);
    if (!ring.ok()) continue;
    const std::uint64_t position =
        keeper_logs(keeper->data())[worker].drained_position.value.load(std::memory_order_acquire);
    lags.push_back(lag_of(name, ring.value(), position, kConsumedOffset, now_us));
  }
  return lags;
}

}  // namespace deja
