// The stored part of a profile that came back while the worker had already begun a partial one: one
// more logged step, with its own sequence. Between batches alone, so that no phase of another step
// is under way. Part of Worker.
//
//   the log's record, published │ the version, published │ shard.sequence │ returned_position │
//   applied_position
//
// And whom a renderer misses is put in as he was stored, where he is still absent.
//
// Crash points, in order: worker.after_merge_log, worker.before_merge_publish,
// worker.after_merge_publish, worker.after_merge_sequence, worker.after_merge_release, and those of
// store_applied_position(). Killed before the first, the answer is read again; after it, the redo
// does the rest with the same sequence. Of putting back: worker.before_put_back and
// worker.after_put_back; killed there, the answer is read again, and passed over where it is done.
#include <algorithm>
#include <cstring>

#include "ring/return_record.h"
#include "shm/base/clock.h"
#include "shm/base/crash_point.h"
#include "workers/returned_profile.h"
#include "workers/worker.h"

namespace deja {
namespace {

/// Answers taken in one pass: events wait meanwhile.
constexpr std::uint32_t kMergesPerPass = 64;

}  // namespace

std::uint64_t Worker::take_merges() {
  std::uint32_t count = 0;
  while (count < kMergesPerPass && !return_broken_) {
    const RingRecord record = returned_.next();
    if (record.outcome == RingRecord::Outcome::kEmpty) break;
    if (record.outcome == RingRecord::Outcome::kBroken) {
      note_broken_return();
      break;
    }
    if (!take_merge(record)) {
      returned_.seek(record.position);
      break;
    }
    ++count;
  }
  if (count == 0) return 0;
  show_counters();
  static_cast<void>(keeper_bell_->ring_if_asleep());
  return count;
}

/// False where the log has no room for it now.
bool Worker::take_merge(const RingRecord& record) {
  if (record.type == kReturnAsked && put_back(record)) return true;
  const bool stored = record.type == kReturnStored || record.type == kReturnAsked;
  ReturnedProfile returned;
  if ((!stored && record.type != kReturnNothing) || record.size_bytes > log_payload_max()) {
    drop_answer(record, true);
    return true;
  }
  const std::uint64_t log_position = log_.committed_position();
  std::uint8_t* claimed = claim_log(record.size_bytes);
  if (claimed == nullptr) {
    counters_.log_full.add();
    stalled_ = true;
    return false;
  }
  // From here on the log's copy alone is read.
  std::uint8_t* payload = claimed + sizeof(LogRecordLayout);
  std::memcpy(payload, record.payload, record.size_bytes);
  if (!parse_returned(payload, record.size_bytes, stored ? WithFrame::kAlways : WithFrame::kNever,
                      geometry_, returned) ||
      !owns(returned.facts.shard)) {
    drop_answer(record, true);
    return true;
  }
  ShardWriter& shard = shards_[index_of(returned.facts.shard)];
  if (!shard.is_partial(returned.key())) {
    drop_answer(record, false);
    return true;
  }

  LogRecordLayout log_record{};
  log_record.sequence = shard.sequence() + 1;
  log_record.ring_position = record.end_position;
  log_record.consumed_us = wall_us();
  log_record.shard = returned.facts.shard;
  log_record.kind = LogKind::kMerged;
  log_record.event_bytes = record.size_bytes;
  std::memcpy(claimed, &log_record, sizeof log_record);
  log_.commit(static_cast<std::uint32_t>(sizeof log_record + record.size_bytes), kLogRecord);
  log_.publish();
  CRASH_POINT("worker.after_merge_log");
  attempts_.at_log(log_position);
  merge(shard, log_record.sequence, returned);
  attempts_.nowhere();
  CRASH_POINT("worker.after_merge_publish");
  shard.set_sequence(log_record.sequence);
  ++sequence_sum_;
  CRASH_POINT("worker.after_merge_sequence");
  returned_.release(record.end_position);
  CRASH_POINT("worker.after_merge_release");
  tally_.count(LogKind::kMerged, RefusalReason::kNone);
  store_applied_position(log_.published_position());
  counters_.merged.add();
  return true;
}

/// The next version, a pure function of the current one and the answer; nothing when that was done
/// already.
void Worker::merge(ShardWriter& shard, std::uint64_t sequence, const ReturnedProfile& returned) {
  ShardWriter::Draft draft = shard.begin(returned.key());
  if (draft.room != Room::kKnown || draft.sequence >= sequence) return;
  CRASH_POINT_FOR("worker.poison_merge", returned.key_bytes.data(), returned.facts.key_size);
  if (returned.frame != nullptr) {
    features_.merge(reinterpret_cast<std::uint8_t*>(draft.frame), returned.frame);
  }
  draft.sequence = sequence;
  draft.updated_us = std::max(draft.updated_us, returned.facts.updated_us);
  draft.late += returned.facts.late;
  draft.flags = static_cast<std::uint16_t>(draft.flags & ~kFlagPartial);
  CRASH_POINT("worker.before_merge_publish");
  publish(shard, draft);
}

/// Whom a renderer misses: one store that puts him in as he was stored, as an eviction is one store
/// that takes him out; neither is logged, since the store has him either way. False: he is here (by
/// now), or there is no room; or it makes no sense, which the merge says.
bool Worker::put_back(const RingRecord& record) {
  ReturnedProfile returned;
  if (!parse_returned(record.payload, record.size_bytes, WithFrame::kAlways, geometry_, returned) ||
      !owns(returned.facts.shard)) {
    return false;
  }
  const std::uint32_t shard_index = index_of(returned.facts.shard);
  ShardWriter& shard = shards_[shard_index];
  // Newer than the shard is nothing that was stored: later events would seem older than it.
  if (!shard.has_absent() || returned.facts.sequence > shard.sequence() ||
      shard.contains(returned.key())) {
    return false;
  }
  // Somebody may go for him only where no other answer waits, as for anybody else.
  if (!shard.can_insert(returned.key(), 0) && !make_room(shard_index, returned.key(), 0)) {
    return false;
  }
  CRASH_POINT("worker.before_put_back");
  put_in(shard, shard.begin(returned.key()), returned);
  CRASH_POINT("worker.after_put_back");
  returned_.release(record.end_position);
  counters_.put_back.add();
  return true;
}

/// An answer that makes no sense, or that nobody waits for (any more).
void Worker::drop_answer(const RingRecord& record, bool fault) {
  if (fault) {
    counters_.return_faults.add();
    process_.error("what the store gave back could not be taken");
  } else {
    counters_.merges_dropped.add();
  }
  returned_.release(record.end_position);
}

void Worker::note_broken_return() {
  if (!return_broken_) process_.error("the return ring is broken: restart the appliance");
  return_broken_ = true;
}

}  // namespace deja
