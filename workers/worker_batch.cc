// A worker's step: each phase for all records of a batch before the next. The numbers are
// design.md's, "A worker's step, and why a kill is harmless". Part of Worker.
#include <cstring>
#include <optional>

#include "shm/base/clock.h"
#include "shm/base/crash_point.h"
#include "workers/worker.h"

namespace deja {

std::uint32_t Worker::take_batch(std::uint32_t ring) {
  const std::uint32_t staged_count = stage(ring);
  batch_count_ = 0;
  while (batch_count_ < staged_count && take_record(ring, batch_[batch_count_])) ++batch_count_;
  attempts_.nowhere();
  // The next pass begins with the one that has to wait.
  if (batch_count_ < staged_count) rings_[ring].seek(batch_[batch_count_].ring_position);
  if (batch_count_ == 0) return 0;
  batch_end_ = batch_[batch_count_ - 1].ring_end;
  const std::int64_t began_ns = steady_ns();
  log_.publish();
  CRASH_POINT("worker.after_log");
  apply_batch();
  CRASH_POINT("worker.after_publish");
  remember_ids();
  CRASH_POINT("worker.after_ids");
  advance_sequences();
  CRASH_POINT("worker.after_sequence");
  advance_positions(ring);
  CRASH_POINT("worker.after_applied");
  counters_.batches.add();
  show_counters();
  static_cast<void>(ingest_bells_[ring].ring_if_asleep());
  if (keeper_due_ == 0) keeper_due_ = kPassesBeforeKeeper;
  counters_.batch_time.record(static_cast<std::uint64_t>(steady_ns() - began_ns));
  return batch_count_;
}

void Worker::begin_batch() {
  batch_taken_us_ = wall_us();
  batch_ids_.clear();
  batch_users_.clear();
  value_count_ = 0;
  for (std::uint32_t index = 0; index < shards_.size(); ++index) {
    new_users_[index] = 0;
    logged_sequence_[index] = shards_[index].sequence();
  }
}

/// Steps 1 and 2 for the batch's next record, log's producer_position excepted. False: it has to
/// wait, and all behind it.
bool Worker::take_record(std::uint32_t ring, BatchRecord& record) {
  attempts_.at_ring(ring, record.ring_position);
  const std::uint64_t log_position = log_.committed_position();
  std::uint8_t* claimed = claim_log(record.size_bytes);
  if (claimed == nullptr) {
    counters_.log_full.add();
    stalled_ = true;
    return false;
  }
  RefusalReason reason = RefusalReason::kNone;
  record.kind = decide(record, reason);
  if (reason == RefusalReason::kPoison) process_.error(kPoisonError);
  const bool table_full = reason == RefusalReason::kTableFull;
  // With other new users on their way in, a no may be mere caution: ask again when they are in.
  // Likewise while nobody can be evicted because an answer of the store waits.
  if (table_full && (new_users_[record.shard_index] != 0 || answers_wait())) return false;
  if (has_verdict(reason) && !verdicts_[ring].has_room()) {
    counters_.verdict_full.add();
    stalled_ = true;
    return false;
  }

  LogRecordLayout logged{};
  logged.ring_position = record.ring_position;
  logged.ring_end = record.ring_end;
  logged.consumed_us = batch_taken_us_;
  logged.ring = static_cast<std::uint16_t>(ring);
  logged.kind = record.kind;
  logged.reason = reason;
  if (record.kind != LogKind::kDead) logged.shard = record.head.shard;
  if (record.kind == LogKind::kApplied) {
    note_applied(record);
    logged.sequence = record.sequence;
    if (record.began_partial) logged.flags = kLogBeganPartial;
  }
  if (record.kind == LogKind::kApplied || record.kind == LogKind::kDead) {
    logged.event_bytes = record.size_bytes;
    std::memcpy(claimed + sizeof logged, record.bytes, record.size_bytes);
  }
  if (has_verdict(reason)) verdicts_[ring].refuse(record.ring_end, reason);
  if (table_full) shards_[record.shard_index].count_refused();
  std::memcpy(claimed, &logged, sizeof logged);
  log_.commit(static_cast<std::uint32_t>(sizeof logged + logged.event_bytes), kLogRecord);
  record.log_position = log_position;
  record.logged = claimed;
  tally_.count(record.kind, reason);
  return true;
}

/// What becomes of a record. Changes nothing but `record`, and makes room for a new user where
/// others may go.
LogKind Worker::decide(BatchRecord& record, RefusalReason& reason) {
  if (!record.is_event) {
    reason = record.rejected   ? RefusalReason::kRejected  // for the keeper's file
             : record.poisoned ? RefusalReason::kPoison
                               : RefusalReason::kBrokenRecord;
    return LogKind::kDead;
  }
  if (record.has_id &&
      (ids_[record.shard_index].contains(record.id) || batch_ids_.contains(batch_id(record)))) {
    return LogKind::kDuplicate;
  }
  const ShardWriter& shard = shards_[record.shard_index];
  const std::uint32_t pending = new_users_[record.shard_index];
  const Key& key = record.head.key;
  record.position = shard.locate(key, record.user_hash);
  record.new_user =
      record.position == ShardWriter::kNowhere && !batch_users_.contains(record.user_hash);
  if (record.new_user && !shard.can_insert(key, pending) &&
      !make_room(record.shard_index, key, pending)) {
    reason = RefusalReason::kTableFull;
    return LogKind::kRefused;
  }
  record.began_partial = record.new_user && shard.has_absent();
  return LogKind::kApplied;
}

/// What later records of this batch must know of one that will be applied.
void Worker::note_applied(BatchRecord& record) {
  record.sequence = ++logged_sequence_[record.shard_index];
  if (record.has_id) batch_ids_.insert(batch_id(record));
  if (record.new_user) ++new_users_[record.shard_index];
  record.next_event = 0;
  record.follows = false;
  // Whoever has an event on its way into the profile may not be evicted before it is there.
  std::uint32_t* const last_event = batch_users_.find(record.user_hash);
  if (last_event == nullptr) {
    batch_users_.insert(record.user_hash, batch_count_);
    return;
  }
  BatchRecord& before = batch_[*last_event];
  *last_event = batch_count_;
  if (record.position == ShardWriter::kNowhere || record.position != before.position ||
      record.shard_index != before.shard_index) {
    return;
  }
  before.next_event = batch_count_;
  record.follows = true;
}

/// Steps 3 and 4.
void Worker::apply_batch() {
  for (std::uint32_t at = 0; at < batch_count_; ++at) {
    ask_for_version(at + kVersionsAhead);
    const BatchRecord& record = batch_[at];
    if (record.kind != LogKind::kApplied || record.follows) continue;
    if (record.position != ShardWriter::kNowhere) {
      apply_events_of(at);
      continue;
    }
    read_event(record);
    apply(shards_[record.shard_index], record.sequence, record.began_partial ? kFlagPartial : 0);
  }
  attempts_.nowhere();
  const std::int64_t visible_us = wall_us();
  for (std::uint32_t at = 0; at < batch_count_; ++at) {
    if (batch_[at].kind != LogKind::kApplied) continue;
    const std::int64_t took_us = visible_us - batch_[at].head.received_us;
    counters_.visible.record(took_us > 0 ? static_cast<std::uint64_t>(took_us) * 1000 : 0);
  }
}

/// The event of a logged record into event_.
void Worker::read_event(const BatchRecord& record) {
  attempts_.at_log(record.log_position);
  if (record.listed) {
    static_cast<EventHead&>(event_) = record.head;
    event_.values.clear();
    for (std::uint32_t at = 0; at < record.value_count; ++at) {
      event_.values.show(values_[record.values_begin + at]);
    }
  } else {
    CHECK(decoder_.decode(record.bytes, record.size_bytes, event_));
  }
  CRASH_POINT("worker.before_publish");
}

/// All events of the batch for the profile of record `at`, the first of them, as one new version:
/// what is in between nobody could have seen for long, and a redo of the first alone finds it done.
void Worker::apply_events_of(std::uint32_t at) {
  ShardWriter& shard = shards_[batch_[at].shard_index];
  ShardWriter::Draft draft = shard.begin_at(batch_[at].position);
  for (;;) {
    const BatchRecord& record = batch_[at];
    read_event(record);
    apply_event(record.sequence, draft);
    if (record.next_event == 0) break;
    at = record.next_event;
  }
  publish(shard, draft);
}

/// Builds the next version of the event's profile as a pure function of its current version and
/// the event, and publishes it; nothing when that was done already. `flags_when_new` are a new
/// profile's.
void Worker::apply(ShardWriter& shard, std::uint64_t sequence, std::uint16_t flags_when_new) {
  ShardWriter::Draft draft = shard.begin(event_.key);
  if (draft.room == Room::kKnown && draft.sequence >= sequence) return;
  CHECK(draft.room != Room::kFull);  // room was made sure of before the log said "applied"
  apply_event(sequence, draft);
  if (draft.room == Room::kNew) draft.flags = flags_when_new;
  publish(shard, draft);
}

/// Makes the draft what it is after event_.
void Worker::apply_event(std::uint64_t sequence, ShardWriter::Draft& draft) {
  CRASH_POINT_FOR("worker.poison_apply", event_.key.bytes, event_.key.size);
  const unsigned late_count = features_.apply(event_, reinterpret_cast<std::uint8_t*>(draft.frame));
  draft.sequence = sequence;
  draft.updated_us = event_.received_us;
  draft.late += late_count;
  counters_.late.add(late_count);
}

/// The one store by which a version becomes the current one, and the counts of profiles.
void Worker::publish(ShardWriter& shard, const ShardWriter::Draft& draft) {
  partial_count_ -= shard.partial_count();
  shard.publish(draft);
  partial_count_ += shard.partial_count();
  if (draft.room == Room::kNew) ++profile_count_;
}

/// Step 5.
void Worker::remember_ids() {
  for (std::uint32_t at = 0; at < batch_count_; ++at) {
    const BatchRecord& record = batch_[at];
    if (record.kind == LogKind::kApplied && record.has_id) {
      remember_id(record.shard_index, record.id);
    }
  }
}

void Worker::remember_id(std::uint32_t shard_index, std::uint64_t id) {
  IdSet& ids = ids_[shard_index];
  forgotten_count_ -= ids.forgotten_count();
  ids.insert(id);
  forgotten_count_ += ids.forgotten_count();
}

/// Step 6.
void Worker::advance_sequences() {
  for (std::uint32_t at = 0; at < batch_count_; ++at) {
    const BatchRecord& record = batch_[at];
    if (record.kind != LogKind::kApplied) continue;
    shards_[record.shard_index].set_sequence(record.sequence);
    ++sequence_sum_;
    CRASH_POINT("worker.in_sequences");
  }
}

/// Step 7.
void Worker::advance_positions(std::uint32_t ring) {
  std::optional<WorkerTrace::Times> followed;
  if (trace_.due(ring)) [[unlikely]] {
    followed = WorkerTrace::times_since(batch_taken_us_);
  }
  verdicts_[ring].publish();
  CRASH_POINT("worker.after_verdicts");
  // SYNC(consumed.position): the entries and the verdicts of everything before it are there.
  rings_[ring].release(batch_end_);
  CRASH_POINT("worker.after_consumed");
  if (followed) [[unlikely]] {
    trace_.passed(ring, {batch_.data(), batch_count_}, *followed);
  }
  store_applied_position(log_.published_position());
}

void Worker::store_applied_position(std::uint64_t position) {
  WorkerLayout& layout = files_.layout();
  std::atomic<std::uint64_t>& applied = layout.applied_position.value;
  const std::uint64_t before = applied.load(std::memory_order_relaxed);
  if (position == before) return;
  write_tally(layout, before, position, tally_);
  CRASH_POINT("worker.after_tally");
  // SYNC(log.applied): the effect of everything before it is there; its space is ours to reuse.
  applied.store(position, std::memory_order_release);
}

}  // namespace deja
