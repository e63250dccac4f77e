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
  ahead_count_ = 0;
  RingConsumer ahead = rings_[ring];
  if (ahead.producer_position() - ahead.read_position() < kWorthwhileBytes) return;
  while (ahead_count_ < kBatchRecordsMax) {
    const RingRecord from = ahead.next();
    if (from.outcome != RingRecord::Outcome::kRecord) break;
    AheadOf& seen = ahead_[ahead_count_++];
    seen.known = false;
    if (from.type == kRejectedEvent || attempts_.poisoned_in_ring(ring, from.position)) continue;
    attempts_.at_ring(ring, from.position);
    if (!decoder_.decode_identity(from.payload, from.size_bytes, event_)) continue;
    const std::uint32_t shard = shard_of(event_.key, geometry_.shard_count);
    if (!owns(shard)) continue;
    seen = {keyed_hash(secret_, event_.key), index_of(shard), true};
    ids_[seen.shard_index].prefetch(fold_id(event_.id_low, event_.id_high, secret_.words));
    shards_[seen.shard_index].prefetch(seen.user_hash);
  }
}

/// Asks for the block of the batch's record `at`, whose bucket has had time to come.
void Worker::ask_for_block(std::uint32_t at) const {
  if (at >= ahead_count_ || !ahead_[at].known) return;
  shards_[ahead_[at].shard_index].prefetch_block(ahead_[at].user_hash);
}

}  // namespace deja
