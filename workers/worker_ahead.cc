// A look at the records of the next batch before the first of them is taken: each one's id, bucket
// and block are asked of the memory early, so that the misses of many records overlap. What is read
// here is the ring's own bytes, which may change under us: it steers prefetches and nothing else.
// Part of Worker.
#include "ring/rejected_event.h"
#include "workers/worker.h"

namespace deja {
namespace {

/// With less than this in the ring there is nothing to overlap, and a lone event wants no delay.
constexpr std::uint64_t kWorthwhileBytes = 1024;

}  // namespace

void Worker::look_ahead(std::uint32_t ring) {
  RingConsumer ahead = rings_[ring];
  if (ahead.producer_position() - ahead.read_position() < kWorthwhileBytes) return;
  std::uint32_t count = 0;
  for (std::uint32_t seen = 0; seen < kBatchRecordsMax; ++seen) {
    const RingRecord from = ahead.next();
    if (from.outcome != RingRecord::Outcome::kRecord) break;
    if (from.type == kRejectedEvent || attempts_.poisoned_in_ring(ring, from.position)) continue;
    attempts_.at_ring(ring, from.position);
    if (!decoder_.decode_identity(from.payload, from.size_bytes, event_)) continue;
    const std::uint32_t shard = shard_of(event_.key, geometry_.shard_count);
    if (!owns(shard)) continue;
    ahead_[count++] = {keyed_hash(secret_, event_.key),
                       fold_id(event_.id_low, event_.id_high, secret_.words), index_of(shard), 0};
  }
  ask_for(count);
}

/// Each kind in a loop of its own, which does nothing else: what takes long is not the miss but the
/// walk through the page tables before it, and the processor walks for several addresses at once
/// only where they come right behind each other.
void Worker::ask_for(std::uint32_t count) {
  for (std::uint32_t at = 0; at < count; ++at) ids_[ahead_[at].shard_index].prefetch(ahead_[at].id);
  for (std::uint32_t at = 0; at < count; ++at) {
    shards_[ahead_[at].shard_index].prefetch(ahead_[at].user_hash);
  }
  // Where the blocks are says the bucket, which has had time to come.
  for (std::uint32_t at = 0; at < count; ++at) {
    ahead_[at].block = shards_[ahead_[at].shard_index].prefetch_first_line(ahead_[at].user_hash);
  }
  for (std::uint32_t at = 0; at < count; ++at) {
    shards_[ahead_[at].shard_index].prefetch_other_lines(ahead_[at].block);
  }
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
