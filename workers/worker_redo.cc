// What a worker does before anything else: it brings what its predecessor had logged to its end.
// The log between applied_position and producer_position is walked; each record is redone from the
// first step that can't be shown to be done, with the same sequence, which is harmless where it was
// done. Dying in here is like dying there. Part of Worker.
#include <algorithm>
#include <cstring>
#include <string>

#include "shm/base/crash_point.h"
#include "workers/worker.h"

namespace deja {
namespace {

Error damaged(std::uint32_t worker, const std::string& what) {
  return Error{"read log-" + std::to_string(worker) + " back: " + what, 0,
               "Stop the appliance and start it again: it makes a new segment and reads the "
               "profiles back"};
}

}  // namespace

Status Worker::redo() {
  for (std::uint32_t index = 0; index < shards_.size(); ++index) {
    sequence_sum_ += shards_[index].sequence();
    profile_count_ += shards_[index].used_count();
    partial_count_ += shards_[index].partial_count();
    forgotten_count_ += ids_[index].forgotten_count();
  }
  const std::uint64_t applied_position =
      files_.layout().applied_position.value.load(std::memory_order_relaxed);
  tally_ = read_tally(files_.layout(), applied_position);
  if (Status status = read_decisions(applied_position); !status.ok()) return status;

  std::atomic<std::uint64_t> position{applied_position};
  RingConsumer reader(files_.log.data(), files_.log.bytes(), &position);
  for (;;) {
    const RingRecord record = reader.next();
    if (record.outcome == RingRecord::Outcome::kEmpty) break;
    if (record.outcome == RingRecord::Outcome::kBroken || record.type != kLogRecord) {
      return damaged(worker_, "a record has no end");
    }
    attempts_.at_log(record.position);
    if (Status status = redo_record(record); !status.ok()) return status;
    CRASH_POINT("worker.in_redo");
    // One by one: what was redone before a record that kills is not redone by every life.
    store_applied_position(record.end_position);
  }
  attempts_.nowhere();
  return Done{};
}

Status Worker::redo_record(const RingRecord& record) {
  LogRecordLayout log_record;
  if (record.size_bytes < sizeof log_record) return damaged(worker_, "a record is too short");
  std::memcpy(&log_record, record.payload, sizeof log_record);
  if (log_record.event_bytes != record.size_bytes - sizeof log_record ||
      log_record.ring >= verdicts_.size()) {
    return damaged(worker_, "a record contradicts itself");
  }
  const std::uint8_t* bytes = record.payload + sizeof log_record;
  const bool is_decision = log_record.kind == LogKind::kDead && log_record.sequence != 0;
  RefusalReason reason = log_record.reason;
  Status status = Done{};
  switch (log_record.kind) {
    case LogKind::kApplied:
      status = redo_applied(log_record, bytes);
      if (struck_dead(log_record)) reason = RefusalReason::kPoison;
      break;
    case LogKind::kMerged:
      status = redo_merged(log_record, bytes);
      break;
    case LogKind::kDuplicate:
    case LogKind::kRefused:
    case LogKind::kDead:
      break;
    default:
      return damaged(worker_, "a record is of no kind");
  }
  if (!status.ok()) return status;
  // A decision's own record tells nobody anything: the one that it is about did.
  if (has_verdict(reason) && !is_decision) {
    verdicts_[log_record.ring].refuse(log_record.ring_end, reason);
    verdicts_[log_record.ring].publish();
  }
  if (is_decision) {
    if (log_record.ring_end != 0) tally_.strike_dead();
  } else {
    tally_.count(log_record.kind, log_record.reason);
  }
  std::atomic<std::uint64_t>& consumed = *files_.consumed_position(log_record.ring);
  if (consumed.load(std::memory_order_relaxed) < log_record.ring_end) {
    // SYNC(consumed.position): as in a step.
    consumed.store(log_record.ring_end, std::memory_order_release);
  }
  trace_.redone(log_record);
  return Done{};
}

Status Worker::redo_applied(const LogRecordLayout& log_record, const std::uint8_t* event_bytes) {
  if (!owns(log_record.shard)) return damaged(worker_, "a record is another worker's");
  const std::uint32_t index = index_of(log_record.shard);
  ShardWriter& shard = shards_[index];
  // The block is not looked at: it may have been evicted since.
  if (shard.sequence() >= log_record.sequence) return Done{};
  if (struck_dead(log_record)) {
    leave_out(log_record, event_bytes);
    return Done{};
  }
  if (shard.sequence() + 1 != log_record.sequence ||
      !decoder_.decode(event_bytes, log_record.event_bytes, event_) ||
      event_.shard != log_record.shard) {
    return damaged(worker_, "an event is not the one that comes next");
  }
  const bool began_partial = (log_record.flags & kLogBeganPartial) != 0;
  apply(shard, log_record.sequence, began_partial ? kFlagPartial : 0);
  if (event_.has_id()) {
    remember_id(index, fold_id(event_.id_low, event_.id_high, secret_.words));
  }
  shard.set_sequence(log_record.sequence);
  ++sequence_sum_;
  return Done{};
}

Status Worker::redo_merged(const LogRecordLayout& log_record, const std::uint8_t* answer_bytes) {
  if (!owns(log_record.shard)) return damaged(worker_, "a record is another worker's");
  ShardWriter& shard = shards_[index_of(log_record.shard)];
  if (struck_dead(log_record)) {
    leave_out(log_record, answer_bytes);
  } else if (shard.sequence() < log_record.sequence) {
    ReturnedProfile returned;
    if (shard.sequence() + 1 != log_record.sequence ||
        !parse_returned(answer_bytes, log_record.event_bytes, WithFrame::kEither, geometry_,
                        returned) ||
        returned.facts.shard != log_record.shard) {
      return damaged(worker_, "a merge is not what comes next");
    }
    merge(shard, log_record.sequence, returned);
    shard.set_sequence(log_record.sequence);
    ++sequence_sum_;
  }
  if (files_.layout().returned_position.value.load(std::memory_order_relaxed) <
      log_record.ring_position) {
    returned_.release(log_record.ring_position);
    returned_.seek(log_record.ring_position);
  }
  return Done{};
}

}  // namespace deja
