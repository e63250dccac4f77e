// An event that was logged as applied and kills whoever applies it: a decision about it is appended
// to the log and published before anything is redone, and from then on every redo leaves its effect
// out. Part of Worker.
//
// Crash points: worker.before_decision (nothing is decided; the next one decides) and
// worker.after_decision (it is, and is found).
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "shm/base/clock.h"
#include "shm/base/crash_point.h"
#include "workers/worker.h"

namespace deja {
namespace {

constexpr unsigned kNapUs = 1000;
constexpr int kNapsMax = 5000;

}  // namespace

/// Finds the decisions in the log behind applied_position, and adds one where the record that three
/// workers died of lies there.
Status Worker::read_decisions(std::uint64_t applied_position) {
  std::atomic<std::uint64_t> position{applied_position};
  RingConsumer reader(files_.log.data(), files_.log.bytes(), &position);
  LogRecordLayout culprit{};
  const std::uint8_t* culprit_bytes = nullptr;
  for (;;) {
    const RingRecord record = reader.next();
    // What is broken is the redo's to say.
    if (record.outcome != RingRecord::Outcome::kRecord) break;
    LogRecordLayout log_record;
    if (record.size_bytes < sizeof log_record) break;
    std::memcpy(&log_record, record.payload, sizeof log_record);
    if (log_record.event_bytes != record.size_bytes - sizeof log_record) break;
    if (log_record.kind == LogKind::kDead && log_record.sequence != 0) {
      struck_dead_.push_back({log_record.shard, log_record.sequence});
    }
    const bool has_effect =
        log_record.kind == LogKind::kApplied || log_record.kind == LogKind::kMerged;
    if (attempts_.poisoned_in_log(record.position) && has_effect) {
      culprit = log_record;
      culprit_bytes = record.payload + sizeof log_record;
    }
  }
  if (culprit_bytes == nullptr || struck_dead(culprit)) return Done{};
  return append_decision(culprit, culprit_bytes);
}

Status Worker::append_decision(const LogRecordLayout& culprit, const std::uint8_t* bytes) {
  CRASH_POINT("worker.before_decision");
  LogRecordLayout decision = culprit;
  decision.kind = LogKind::kDead;
  decision.reason = RefusalReason::kPoison;
  decision.consumed_us = wall_us();
  decision.flags = 0;
  std::uint8_t* claimed =
      log_.claim(static_cast<std::uint32_t>(sizeof decision + culprit.event_bytes));
  if (claimed == nullptr) {
    // Its bytes are in the record that it is about; a decision alone has room kept for it, but for
    // a second one in the same log, which waits for the keeper.
    decision.event_bytes = 0;
    claimed = log_.claim(sizeof decision);
  }
  for (int nap = 0; claimed == nullptr && nap < kNapsMax; ++nap) {
    usleep(kNapUs);
    claimed = log_.claim(sizeof decision);
  }
  if (claimed == nullptr) {
    return Error{
        "leave an event out that kills its worker: log-" + std::to_string(worker_) + " is full", 0,
        "The keeper has to make room: see what it says"};
  }
  std::memcpy(claimed, &decision, sizeof decision);
  std::memcpy(claimed + sizeof decision, bytes, decision.event_bytes);
  log_.commit(static_cast<std::uint32_t>(sizeof decision + decision.event_bytes), kLogRecord);
  log_.publish();
  struck_dead_.push_back({decision.shard, decision.sequence});
  process_.error(kPoisonError);
  CRASH_POINT("worker.after_decision");
  return Done{};
}

bool Worker::struck_dead(const LogRecordLayout& log_record) const {
  return std::any_of(struck_dead_.begin(), struck_dead_.end(), [&](const StruckDead& struck) {
    return struck.shard == log_record.shard && struck.sequence == log_record.sequence;
  });
}

/// In place of its effect: its id is remembered, so that it is not applied when it is sent again,
/// and the sequence moves over it.
void Worker::leave_out(const LogRecordLayout& log_record, const std::uint8_t* bytes) {
  ShardWriter& shard = shards_[index_of(log_record.shard)];
  if (shard.sequence() >= log_record.sequence) return;
  if (log_record.kind == LogKind::kApplied &&
      decoder_.decode_identity(bytes, log_record.event_bytes, event_)) {
    if ((log_record.flags & kLogBeganPartial) != 0) begin_empty(shard, log_record);
    if (event_.has_id()) {
      remember_id(index_of(log_record.shard),
                  fold_id(event_.id_low, event_.id_high, secret_.words));
    }
  }
  shard.set_sequence(log_record.sequence);
  ++sequence_sum_;
}

/// The user whose profile the event began: later events of the same batch count on its being there
/// and partial, since the store may have more of it.
void Worker::begin_empty(ShardWriter& shard, const LogRecordLayout& log_record) {
  ShardWriter::Draft draft = shard.begin(event_.key);
  if (draft.room != Room::kNew) return;
  draft.flags = kFlagPartial;
  draft.sequence = log_record.sequence;
  draft.updated_us = log_record.consumed_us;
  publish(shard, draft);
}

}  // namespace deja
