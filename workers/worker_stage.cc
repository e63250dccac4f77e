// How a batch begins: its records are copied out of the ring, decoded, and each one's id, bucket
// and block are asked of the memory, before the first of them is looked for in the table: so the
// misses of many records overlap, and nothing is worked out twice. Part of Worker.
#include <cstring>

#include "ring/rejected_event.h"
#include "shm/base/cache_line.h"
#include "shm/base/crash_point.h"
#include "workers/worker.h"

namespace deja {
namespace {

/// With less than this there is nothing to overlap, and a lone event wants no delay.
constexpr std::uint32_t kWorthwhileRecords = 5;

}  // namespace

/// Returns how many records it put into batch_.
std::uint32_t Worker::stage(std::uint32_t ring) {
  RingConsumer& records = rings_[ring];
  std::uint32_t count = 0;
  std::size_t staged_bytes = 0;
  for (; count < kBatchRecordsMax; ++count) {
    const RingRecord from = records.next();
    if (from.outcome == RingRecord::Outcome::kEmpty) break;
    if (from.outcome == RingRecord::Outcome::kBroken) {
      ring_broken_[ring] = true;
      process_.error("an event ring is broken: restart the appliance");
      break;
    }
    // Longer than any event can be: dead, and without its bytes.
    const std::uint32_t size = from.size_bytes <= log_payload_max() ? from.size_bytes : 0;
    if (count == 0) {
      begin_batch();
    } else if (staged_bytes + size > kStagedBytesMax) {
      records.seek(from.position);
      break;
    }
    attempts_.at_ring(ring, from.position);
    std::uint8_t* const bytes = staged_.get() + staged_bytes;
    std::memcpy(bytes, from.payload, size);
    // From here on the copy alone is read. (Of this record: it may be put off.)
    records.forget(from.position);
    staged_bytes += round_up(size, 8);

    BatchRecord& record = batch_[count];
    record.bytes = bytes;
    record.size_bytes = size;
    record.ring_position = from.position;
    record.ring_end = from.end_position;
    record.rejected = from.type == kRejectedEvent;
    record.poisoned = attempts_.poisoned_in_ring(ring, from.position);
    record.is_event = !record.rejected && !record.poisoned && read_staged(record);
  }
  attempts_.nowhere();
  if (count >= kWorthwhileRecords) ask_for(count);
  return count;
}

/// The record decoded, its values into the batch's list where that has room. False: it is no event.
bool Worker::read_staged(BatchRecord& record) {
  std::uint32_t count = kBatchValuesMax - value_count_;
  record.listed =
      decoder_.decode(record.bytes, record.size_bytes, record.head, &values_[value_count_], count);
  if (record.listed) {
    record.values_begin = value_count_;
    record.value_count = count;
    value_count_ += count;
  } else {
    if (!decoder_.decode(record.bytes, record.size_bytes, event_)) return false;
    record.head = event_;
  }
  const EventHead& head = record.head;
  CRASH_POINT_FOR("worker.poison_decode", head.key.bytes, head.key.size);
  record.shard_index = index_of(head.shard);
  record.user_hash = keyed_hash(secret_, head.key);
  record.has_id = head.has_id();
  if (record.has_id) record.id = fold_id(head.id_low, head.id_high, secret_.words);
  return true;
}

/// Each kind in a loop of its own, which does nothing else: what takes long is not the miss but the
/// walk through the page tables before it, and the processor walks for several addresses at once
/// only where they come right behind each other.
void Worker::ask_for(std::uint32_t count) {
  const auto of_each = [&](const auto& ask) {
    for (std::uint32_t at = 0; at < count; ++at) {
      if (batch_[at].is_event) ask(batch_[at]);
    }
  };
  of_each([&](const BatchRecord& record) {
    if (record.has_id) ids_[record.shard_index].prefetch(record.id);
  });
  of_each(
      [&](const BatchRecord& record) { shards_[record.shard_index].prefetch(record.user_hash); });
  // Where the blocks are says the bucket, which has had time to come.
  of_each([&](BatchRecord& record) {
    record.likely_block = shards_[record.shard_index].prefetch_first_line(record.user_hash);
  });
  of_each([&](const BatchRecord& record) {
    shards_[record.shard_index].prefetch_other_lines(record.likely_block);
  });
}

/// Asks for what applying the batch's record `at` will read and write, while others are applied.
void Worker::ask_for_version(std::uint32_t at) const {
  if (at >= batch_count_) return;
  const BatchRecord& record = batch_[at];
  if (record.kind != LogKind::kApplied || record.follows) return;
  if (record.position == ShardWriter::kNowhere) return;
  shards_[record.shard_index].prefetch_version(record.position);
}

}  // namespace deja
