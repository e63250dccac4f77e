// Before its first event a worker takes what the keeper read back from the store: profiles exactly
// as they were stored, sequences, and then the word that this is all. What makes no sense is a
// counted error and never fatal: the keeper's bytes are not ours. Part of Worker.
#include <cstring>

#include "ring/return_record.h"
#include "shm/base/crash_point.h"
#include "workers/returned_profile.h"
#include "workers/worker.h"

namespace deja {
namespace {

/// One in so many blocks of a shard stays free while stored profiles come back.
constexpr std::uint32_t kSparePart = 16;

}  // namespace

std::uint64_t Worker::take_returned() {
  std::uint32_t count = 0;
  std::uint64_t end_position = 0;
  while (count < kBatchRecordsMax && !recovered_) {
    const RingRecord record = returned_.next();
    if (record.outcome == RingRecord::Outcome::kEmpty) break;
    if (record.outcome == RingRecord::Outcome::kBroken) {
      note_broken_return();
      break;
    }
    if (!take_one_returned(record)) {
      counters_.return_faults.add();
      process_.error("what was stored could not be taken back");
    }
    // Nothing is released: whoever comes next with more room is handed the same again.
    if (fault_) return 0;
    end_position = record.end_position;
    ++count;
  }
  if (count != 0) {
    CRASH_POINT("worker.before_return_release");
    // After end_recovery(): a kReturnEnd given back by one who dies before would be gone for good.
    returned_.release(end_position);
    show_counters();
    static_cast<void>(keeper_bell_->ring_if_asleep());
  }
  return count;
}

bool Worker::take_one_returned(const RingRecord& record) {
  switch (record.type) {
    case kReturnNeeded:
      return take_profile(record, 0);
    case kReturnProfile:
      return take_profile(record, geometry_.blocks_per_shard / kSparePart);
    case kReturnEvent:
      return take_event(record);
    case kReturnIds:
      return take_ids(record);
    case kReturnShard:
      return take_shard(record);
    case kReturnEnd:
      end_recovery();
      return true;
    default:
      return false;
  }
}

/// `spare_blocks`: to be left for new users, since nobody may be evicted before the store has
/// confirmed something.
bool Worker::take_profile(const RingRecord& record, std::uint32_t spare_blocks) {
  ReturnedProfile returned;
  if (!parse_returned(record.payload, record.size_bytes, WithFrame::kAlways, geometry_, returned) ||
      !owns(returned.facts.shard)) {
    return false;
  }
  const ReturnProfileLayout& stored = returned.facts;
  ShardWriter& shard = shards_[index_of(stored.shard)];
  ShardWriter::Draft draft = shard.begin(returned.key());
  if (draft.room == Room::kFull ||
      (draft.room == Room::kNew && shard.spare_block_count() <= spare_blocks)) {
    // The store has it still, and whoever comes is a partial profile until it was fetched.
    shard.set_has_absent();
    counters_.left_in_store.add();
    return true;
  }
  // One that was taken before a kill is there, and may not turn back.
  if (draft.room == Room::kNew || draft.sequence < stored.sequence) {
    put_in(shard, draft, returned);
    counters_.returned.add();
  }
  raise_sequence(stored.shard, stored.sequence);
  return true;
}

/// As it was stored.
void Worker::put_in(ShardWriter& shard, ShardWriter::Draft draft, const ReturnedProfile& returned) {
  const ReturnProfileLayout& stored = returned.facts;
  if (returned.frame != nullptr) std::memcpy(draft.frame, returned.frame, stored.frame_bytes);
  draft.sequence = stored.sequence;
  draft.updated_us = stored.updated_us;
  draft.late = stored.late;
  draft.flags = stored.flags;
  publish(shard, draft);
}

/// An event of the journal: as in a step from 3 on, but for its id, which comes with kReturnIds.
bool Worker::take_event(const RingRecord& record) {
  ReturnEventLayout stored;
  if (record.size_bytes < sizeof stored) return false;
  std::memcpy(&stored, record.payload, sizeof stored);
  if (!owns(stored.shard) || stored.sequence == 0 || stored.sequence > kSequenceMax ||
      stored.event_bytes != record.size_bytes - sizeof stored ||
      stored.event_bytes > returned_event_.size() * 8) {
    return false;
  }
  // The event's values are views, and the ring's bytes may change.
  std::memcpy(returned_event_.data(), record.payload + sizeof stored, stored.event_bytes);
  if (!decoder_.decode(returned_event_.data(), stored.event_bytes, event_) ||
      event_.shard != stored.shard) {
    return false;
  }
  ShardWriter& shard = shards_[index_of(stored.shard)];
  if (!shard.contains(event_.key) && !shard.can_insert(event_.key, 0)) {
    fault_ = Error{"the table has no room for a user whose events are only in the journal", 0,
                   "Raise [appliance] profiles and start again: the journal keeps them"};
    return true;
  }
  // Whoever the journal has events of was handed over before, or is in no store.
  apply(shard, stored.sequence, 0);
  raise_sequence(stored.shard, stored.sequence);
  counters_.replayed.add();
  return true;
}

bool Worker::take_ids(const RingRecord& record) {
  ReturnIdsLayout stored;
  if (record.size_bytes < sizeof stored) return false;
  std::memcpy(&stored, record.payload, sizeof stored);
  constexpr std::uint32_t kIdBytes = 2 * sizeof(std::uint64_t);
  if (!owns(stored.shard) ||
      record.size_bytes != sizeof stored + std::uint64_t{stored.count} * kIdBytes) {
    return false;
  }
  for (std::uint32_t at = 0; at < stored.count; ++at) {
    std::uint64_t id[2];
    std::memcpy(id, record.payload + sizeof stored + std::size_t{at} * kIdBytes, sizeof id);
    if ((id[0] | id[1]) != 0)
      remember_id(index_of(stored.shard), fold_id(id[0], id[1], secret_.words));
  }
  return true;
}

bool Worker::take_shard(const RingRecord& record) {
  ReturnShardLayout stored;
  if (record.size_bytes < sizeof stored) return false;
  std::memcpy(&stored, record.payload, sizeof stored);
  if (!owns(stored.shard) || stored.sequence > kSequenceMax) return false;
  if ((stored.flags & kReturnShardHasAbsent) != 0) shards_[index_of(stored.shard)].set_has_absent();
  raise_sequence(stored.shard, stored.sequence);
  return true;
}

void Worker::raise_sequence(std::uint32_t shard, std::uint64_t sequence) {
  ShardWriter& writer = shards_[index_of(shard)];
  if (writer.sequence() >= sequence) return;
  sequence_sum_ += sequence - writer.sequence();
  writer.set_sequence(sequence);
}

void Worker::end_recovery() {
  // What is applied from here on is this incarnation's; counted before the first of it can be.
  counters_.recovered_sequence.set(sequence_sum_);
  CRASH_POINT("worker.before_recovered");
  // SYNC(worker.recovered): every stored profile is in the table.
  files_.layout().recovered.value.store(1, std::memory_order_release);
  recovered_ = true;
  returned_event_ = {};
}

}  // namespace deja
