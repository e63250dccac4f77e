// A worker's step: each phase for all records of a batch before the next. The numbers are
// design.md's, "A worker's step, and why a kill is harmless". Part of Worker.
#include <cstring>

#include "ring/rejected_event.h"
#include "shm/base/clock.h"
#include "shm/base/crash_point.h"
#include "workers/worker.h"

namespace deja {

std::uint32_t Worker::take_batch(std::uint32_t ring) {
  batch_count_ = 0;
  look_ahead(ring);
  while (batch_count_ < kBatchRecordsMax && take_record(ring) == Take::kTaken) {
  }
  attempts_.nowhere();
  if (batch_count_ == 0) return 0;
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

/// Steps 1 and 2 for the next record, log's producer_position excepted.
Worker::Take Worker::take_record(std::uint32_t ring) {
  const RingRecord from = rings_[ring].next();
  if (from.outcome == RingRecord::Outcome::kEmpty) return Take::kEmpty;
  if (from.outcome == RingRecord::Outcome::kBroken) {
    ring_broken_[ring] = true;
    process_.error("an event ring is broken: restart the appliance");
    return Take::kBroken;
  }
  if (batch_count_ == 0) begin_batch();
  attempts_.at_ring(ring, from.position);

  // Longer than any event can be: dead, and without its bytes.
  const std::uint32_t copied_bytes = from.size_bytes <= log_payload_max() ? from.size_bytes : 0;
  const std::uint64_t log_position = log_.committed_position();
  std::uint8_t* claimed = claim_log(copied_bytes);
  if (claimed == nullptr) {
    counters_.log_full.add();
    stalled_ = true;
    rings_[ring].seek(from.position);
    return Take::kNoRoom;
  }
  std::uint8_t* event_bytes = claimed + sizeof(LogRecordLayout);
  std::memcpy(event_bytes, from.payload, copied_bytes);
  // From here on the log's copy alone is read. (Of this record: it may be refused for now.)
  rings_[ring].forget(from.position);
  BatchRecord& record = batch_[batch_count_];
  record.event = event_bytes;
  record.event_bytes = copied_bytes;
  record.log_position = log_position;
  RefusalReason reason = RefusalReason::kPoison;
  if (from.type == kRejectedEvent) {
    record.kind = LogKind::kDead;  // for the keeper's file; nobody here reads it
    reason = RefusalReason::kRejected;
  } else {
    record.kind =
        attempts_.poisoned_in_ring(ring, from.position) ? LogKind::kDead : decide(record, reason);
  }
  if (reason == RefusalReason::kPoison) process_.error(kPoisonError);
  const bool table_full = reason == RefusalReason::kTableFull;
  if (table_full && (new_users_[record.shard_index] != 0 || answers_wait())) {
    // With other new users on their way in, a no may be mere caution: ask again when they are in.
    // Likewise while nobody can be evicted because an answer of the store waits.
    rings_[ring].seek(from.position);
    return Take::kUndecided;
  }
  if (has_verdict(reason) && !verdicts_[ring].has_room()) {
    counters_.verdict_full.add();
    stalled_ = true;
    rings_[ring].seek(from.position);
    return Take::kNoRoom;
  }

  LogRecordLayout log_record{};
  log_record.ring_position = from.position;
  log_record.ring_end = from.end_position;
  log_record.consumed_us = batch_taken_us_;
  log_record.ring = static_cast<std::uint16_t>(ring);
  log_record.kind = record.kind;
  log_record.reason = reason;
  if (record.kind != LogKind::kDead) log_record.shard = event_.shard;
  if (record.kind == LogKind::kApplied) {
    note_applied(record);
    log_record.sequence = record.sequence;
    if (record.began_partial) log_record.flags = kLogBeganPartial;
  }
  if (record.kind == LogKind::kApplied || record.kind == LogKind::kDead) {
    log_record.event_bytes = copied_bytes;
  }
  if (has_verdict(reason)) verdicts_[ring].refuse(from.end_position, reason);
  if (table_full) shards_[record.shard_index].count_refused();
  std::memcpy(claimed, &log_record, sizeof log_record);
  log_.commit(static_cast<std::uint32_t>(sizeof log_record + log_record.event_bytes), kLogRecord);
  tally_.count(record.kind, reason);
  batch_end_ = from.end_position;
  ++batch_count_;
  return Take::kTaken;
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

/// The event of a record into event_, its values into the batch's list or, where that has no room,
/// into event_ too. False: it is none.
bool Worker::read_copied(BatchRecord& record) {
  std::uint32_t count = kBatchValuesMax - value_count_;
  record.listed =
      decoder_.decode(record.event, record.event_bytes, event_, &values_[value_count_], count);
  if (!record.listed) {
    return decoder_.decode(record.event, record.event_bytes, event_);
  }
  record.values_begin = value_count_;
  record.value_count = count;
  value_count_ += count;
  record.time_us = event_.time_us;
  record.kinds = event_.kinds;
  record.key = event_.key;
  return true;
}

/// What becomes of the record whose copy is at hand. Changes nothing but `record` and event_, and
/// makes room for a new user where others may go.
LogKind Worker::decide(BatchRecord& record, RefusalReason& reason) {
  reason = RefusalReason::kNone;
  if (!read_copied(record)) {
    reason = RefusalReason::kBrokenRecord;
    return LogKind::kDead;
  }
  CRASH_POINT_FOR("worker.poison_decode", event_.key.bytes, event_.key.size);
  record.shard_index = index_of(event_.shard);
  record.received_us = event_.received_us;
  record.has_id = (event_.id_low | event_.id_high) != 0;
  if (record.has_id) {
    record.id = fold_id(event_.id_low, event_.id_high, secret_.words);
    if (ids_[record.shard_index].contains(record.id) || batch_ids_.contains(batch_id(record))) {
      return LogKind::kDuplicate;
    }
  }
  const ShardWriter& shard = shards_[record.shard_index];
  const std::uint32_t pending = new_users_[record.shard_index];
  record.user_hash = keyed_hash(secret_, event_.key);
  record.position = shard.locate(event_.key, record.user_hash);
  record.new_user =
      record.position == ShardWriter::kNowhere && !batch_users_.contains(record.user_hash);
  if (record.new_user && !shard.can_insert(event_.key, pending) &&
      !make_room(record.shard_index, event_.key, pending)) {
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
    read_logged(record);
    apply(shards_[record.shard_index], record.sequence, record.began_partial ? kFlagPartial : 0);
  }
  attempts_.nowhere();
  const std::int64_t visible_us = wall_us();
  for (std::uint32_t at = 0; at < batch_count_; ++at) {
    if (batch_[at].kind != LogKind::kApplied) continue;
    const std::int64_t took_us = visible_us - batch_[at].received_us;
    counters_.visible.record(took_us > 0 ? static_cast<std::uint64_t>(took_us) * 1000 : 0);
  }
}

/// The event of a record into event_, from the log's copy.
void Worker::read_logged(const BatchRecord& record) {
  attempts_.at_log(record.log_position);
  if (record.listed) {
    event_.received_us = record.received_us;
    event_.time_us = record.time_us;
    event_.kinds = record.kinds;
    event_.key = record.key;
    event_.values.clear();
    for (std::uint32_t at = 0; at < record.value_count; ++at) {
      const ListedValue& listed = values_[record.values_begin + at];
      CHECK(event_.values.set(listed.slot, listed.element, listed.value));
    }
  } else {
    CHECK(decoder_.decode(record.event, record.event_bytes, event_));
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
    read_logged(record);
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
  verdicts_[ring].publish();
  CRASH_POINT("worker.after_verdicts");
  // SYNC(consumed.position): the entries and the verdicts of everything before it are there.
  rings_[ring].release(batch_end_);
  CRASH_POINT("worker.after_consumed");
  if (trace_.due(ring)) [[unlikely]] {
    trace_.passed(ring, {batch_.data(), batch_count_}, batch_taken_us_);
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
