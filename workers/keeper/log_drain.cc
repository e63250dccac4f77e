#include "workers/keeper/log_drain.h"

#include <algorithm>
#include <cstring>

#include "ring/return_record.h"
#include "shm/base/clock.h"
#include "shm/base/crash_point.h"
#include "workers/journal/event_facts.h"

namespace deja {
namespace {

/// New dead letters kept in one drain: the keeper must give a sign of life in between.
constexpr unsigned kLettersPerDrain = 32;
constexpr std::size_t kHeadWords = sizeof(LogRecordLayout) / 8;

}  // namespace

Result<LogDrain> LogDrain::open(const Segment& segment, std::uint32_t worker,
                                KeeperLogLayout* positions, PositionLayout* durable) {
  const std::string name = "log-" + std::to_string(worker);
  Result<MappedFile> file = segment.map(name, MappedFile::Mode::kReadOnly);
  if (!file) return file.error();
  if (file->bytes() < ring_file_bytes(segment.superblock().log_bytes)) {
    return Error{name + " is shorter than its superblock says", 0,
                 "Stop the appliance and start it again"};
  }
  return LogDrain(std::move(*file), segment, worker, positions, durable);
}

LogDrain::LogDrain(MappedFile file, const Segment& segment, std::uint32_t worker,
                   KeeperLogLayout* positions, PositionLayout* durable)
    : file_(std::move(file)),
      consumer_(file_.data(), file_.bytes(), &positions->drained_position.value),
      geometry_(segment.geometry()),
      worker_(worker),
      ring_count_(segment.superblock().ingest_count),
      durable_(durable) {}

void LogDrain::walk_shards(TouchedSet& touched) const {
  for (std::uint32_t shard = worker_; shard < geometry_.shard_count;
       shard += geometry_.worker_count) {
    touched.walk(shard);
  }
}

std::uint64_t LogDrain::drain(const Into& into, std::uint64_t records_max) {
  if (broken_) {
    walk_shards(into.touched);
    return 0;
  }
  const std::uint64_t until = consumer_.producer_position();
  std::uint64_t count = 0;
  letters_left_ = kLettersPerDrain;
  while (count < records_max && consumer_.read_position() != until) {
    const RingRecord record = consumer_.next();
    if (record.outcome == RingRecord::Outcome::kEmpty) break;
    Taken taken = Taken::kBroken;
    if (record.outcome == RingRecord::Outcome::kBroken) {
      broken_ = true;
      fault_ = "a ring that makes no sense; nothing behind it can be read";
    } else {
      taken = take(record, into);
    }
    if (taken == Taken::kNoRoom) {
      consumer_.seek(record.position);
      break;
    }
    if (taken == Taken::kBroken) {
      into.counters.broken_records.add();
      into.process.error("log-" + std::to_string(worker_) + ": " + fault_);
      walk_shards(into.touched);
    }
    if (broken_) break;
    mark(taken == Taken::kDone ? head_ : LogRecordLayout{}, record.end_position,
         into.journal.covering_group());
    ++count;
  }
  return count;
}

LogDrain::Taken LogDrain::take(const RingRecord& record, const Into& into) {
  fault_ = nullptr;
  letter_ = {};
  if (record.type != kLogRecord) {
    fault_ = "a record of an unknown type";
  } else if (record.size_bytes < sizeof(LogRecordLayout)) {
    fault_ = "a record that is too short";
  }
  if (fault_ != nullptr) return Taken::kBroken;
  record_.resize((record.size_bytes + 7) / 8);
  record_.back() = 0;
  std::memcpy(record_.data(), record.payload, record.size_bytes);
  std::memcpy(&head_, record_.data(), sizeof head_);
  if (head_.event_bytes != record.size_bytes - sizeof head_) {
    fault_ = "a record whose size is not its event's";
  } else if (head_.kind < LogKind::kApplied || head_.kind > LogKind::kMerged) {
    fault_ = "an unknown kind";
  } else if (head_.kind != LogKind::kMerged && head_.ring >= ring_count_) {
    fault_ = "a ring that there is not";
  } else if (head_.sequence == 0 &&
             (head_.kind == LogKind::kApplied || head_.kind == LogKind::kMerged)) {
    fault_ = "an effect without a sequence";
  } else if (head_.sequence != 0 && head_.reason == RefusalReason::kRejected) {
    fault_ = "a sequence for what was never an event";
  }
  if (fault_ != nullptr) return Taken::kBroken;
  if (head_.kind == LogKind::kDead) {
    if (const Taken kept = take_letter(record, into); kept != Taken::kDone) return kept;
  }
  return head_.sequence == 0 ? Taken::kDone : take_effect(head_, into);
}

/// Before anything else comes of a dead record: its letter, on the disk.
LogDrain::Taken LogDrain::take_letter(const RingRecord& record, const Into& into) {
  if (letters_left_ == 0) return Taken::kNoRoom;
  DeadLetterLayout letter{};
  letter.consumed_us = head_.consumed_us;
  letter.log_position = record.position;
  letter.ring_position = head_.ring_position;
  letter.ring_end = head_.ring_end;
  letter.sequence = head_.sequence;
  letter.worker = worker_;
  letter.shard = head_.shard;
  letter.ring = head_.ring;
  letter.reason = head_.reason;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(record_.data()) + sizeof head_;
  const std::optional<DeadLetters::Kept> kept =
      into.letters.add(letter, {bytes, head_.event_bytes});
  if (!kept) return Taken::kNoRoom;
  if (kept->is_new) --letters_left_;
  letter_ = *kept;
  return Taken::kDone;
}

/// A record with a sequence: an effect, or the decision that an event has none.
LogDrain::Taken LogDrain::take_effect(const LogRecordLayout& head, const Into& into) {
  if (head.shard >= geometry_.shard_count || geometry_.owner_of(head.shard) != worker_) {
    fault_ = "a shard that is not this worker's";
    return Taken::kBroken;
  }
  JournalRecordLayout record{};
  record.sequence = head.sequence;
  record.consumed_us = head.consumed_us;
  record.shard = head.shard;
  std::span<const std::uint8_t> payload;
  Key key;
  switch (head.kind) {
    case LogKind::kApplied:
      fault_ = read_key(head, key);
      record.kind = JournalKind::kEvent;
      record.payload_bytes = head.event_bytes;
      payload = {reinterpret_cast<const std::uint8_t*>(record_.data()) + sizeof head,
                 head.event_bytes};
      break;
    case LogKind::kMerged:
      fault_ = read_key(head, key);
      record.kind = JournalKind::kMerged;
      break;
    case LogKind::kDead:
      record.kind = JournalKind::kDead;
      break;
    default:
      fault_ = "a sequence for what has no effect";
      break;
  }
  if (fault_ != nullptr) return Taken::kBroken;
  if (!into.journal.append(record, payload)) return Taken::kNoRoom;
  into.pruner.appended(head.shard, head.sequence);
  if (head.kind == LogKind::kDead) return Taken::kDone;
  into.touched.touch(head.shard, key, head.sequence, head.consumed_us);
  if (head.kind == LogKind::kApplied && (head.flags & kLogBeganPartial) != 0) {
    into.stored_parts.want(head.shard, key, head.sequence);
  }
  return Taken::kDone;
}

/// Whose profile an effect is about; null, or what is wrong.
const char* LogDrain::read_key(const LogRecordLayout& head, Key& key) const {
  if (head.kind == LogKind::kApplied) {
    if (head.event_bytes % 8 != 0) return "a record whose size is not its event's";
    EventFacts facts;
    const char* fault = read_event_facts(record_.data() + kHeadWords, record_.size() - kHeadWords,
                                         geometry_.key_bytes, facts);
    if (fault != nullptr) return fault;
    if (facts.shard != head.shard) return "an event of another shard";
    key = facts.key;
    return nullptr;
  }
  ReturnProfileLayout stored;
  if (head.event_bytes < sizeof stored) return "a merged part that is too short";
  const auto* payload = reinterpret_cast<const char*>(record_.data()) + sizeof head;
  std::memcpy(&stored, payload, sizeof stored);
  if (stored.key_size == 0 || stored.key_size > geometry_.key_bytes ||
      stored.key_size > head.event_bytes - sizeof stored ||
      stored.key_namespace > static_cast<std::uint8_t>(KeyNamespace::kAnonymous)) {
    return "a merged part with an impossible key";
  }
  key = {static_cast<KeyNamespace>(stored.key_namespace), payload + sizeof stored, stored.key_size};
  return nullptr;
}

void LogDrain::mark(const LogRecordLayout& head, std::uint64_t log_position, std::uint64_t group) {
  if (marks_.empty() || marks_.back().group != group) {
    marks_.emplace_back();
    marks_.back().group = group;
    marks_.back().ring_ends.resize(ring_count_);
  }
  Mark& into = marks_.back();
  into.log_position = log_position;
  if (head.kind < LogKind::kApplied || head.kind > LogKind::kMerged) return;  // a broken record
  const bool rejected = head.kind == LogKind::kDead && head.reason == RefusalReason::kRejected;
  ++into.counts[rejected ? kKinds - 1 : static_cast<unsigned>(head.kind) - 1];
  ++unsettled_count_;
  if (into.oldest_us == 0 && head.consumed_us > 0) into.oldest_us = head.consumed_us;
  if (head.kind == LogKind::kDead && head.sequence != 0 && letter_.number != 0 &&
      !letter_.settled) {
    into.decided.push_back(letter_.number);
  }
  if (head.kind == LogKind::kMerged || (head.kind == LogKind::kDead && head.sequence != 0)) return;
  into.ring_ends[head.ring] = std::max(into.ring_ends[head.ring], head.ring_end);
}

bool LogDrain::settle(std::uint64_t durable_group, std::int64_t durable_us, DeadLetters& letters,
                      KeeperCounters& counters) {
  bool any = false;
  while (!marks_.empty() && marks_.front().group <= durable_group) {
    const Mark& done = marks_.front();
    if (!letters.settle(done.decided)) break;
    for (std::uint32_t ring = 0; ring < ring_count_; ++ring) {
      std::atomic<std::uint64_t>& position = durable_[ring].value;
      if (done.ring_ends[ring] <= position.load(std::memory_order_relaxed)) continue;
      // SYNC(durable.position): everything of the ring before it is in the journal, synced.
      position.store(done.ring_ends[ring], std::memory_order_release);
    }
    CRASH_POINT("keeper.after_durable");
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
      counters.log_records[kind].add(done.counts[kind]);
      unsettled_count_ -= done.counts[kind];
    }
    if (done.counts[0] != 0 && done.oldest_us != 0) {
      counters.durable_seconds.record(ns_between(done.oldest_us, durable_us), done.counts[0]);
    }
    consumer_.release(done.log_position);
    CRASH_POINT("keeper.after_drained");
    marks_.pop_front();
    any = true;
  }
  return any;
}

}  // namespace deja
