#include "workers/keeper/log_drain.h"

#include <capnp/message.h>

#include <cstring>

#include "ring/event_record.capnp.h"

namespace deja {
namespace {

/// The key of an event record; its bytes stay those of `words`. Null, or what is wrong.
const char* key_of_event(const std::uint64_t* words, std::size_t count, std::uint32_t key_bytes_max,
                         std::uint32_t shard, Key& key) {
  const kj::ArrayPtr<const capnp::word> segment(reinterpret_cast<const capnp::word*>(words), count);
  const kj::ArrayPtr<const capnp::word> segments[] = {segment};
  try {
    capnp::SegmentArrayMessageReader message(segments);
    const auto event = message.getRoot<schema::EventRecord>();
    const auto bytes = event.getKey();
    if (bytes.size() == 0 || bytes.size() > key_bytes_max) return "a key of an impossible size";
    if (event.getKeyNamespace() > static_cast<std::uint8_t>(KeyNamespace::kAnonymous)) {
      return "an unknown key namespace";
    }
    if (event.getShard() != shard) return "an event of another shard";
    key = {static_cast<KeyNamespace>(event.getKeyNamespace()),
           reinterpret_cast<const char*>(bytes.begin()), static_cast<std::uint32_t>(bytes.size())};
    return nullptr;
  } catch (const kj::Exception&) {
    return "an event that is not an event record";
  }
}

}  // namespace

Result<LogDrain> LogDrain::open(const Segment& segment, std::uint32_t worker,
                                KeeperLogLayout* positions) {
  const std::string name = "log-" + std::to_string(worker);
  Result<MappedFile> file = segment.map(name, MappedFile::Mode::kReadOnly);
  if (!file) return file.error();
  if (file->bytes() < ring_file_bytes(segment.superblock().log_bytes)) {
    return Error{name + " is shorter than its superblock says", 0,
                 "Stop the appliance and start it again"};
  }
  return LogDrain(std::move(*file), segment.geometry(), worker, positions);
}

LogDrain::LogDrain(MappedFile file, const TableGeometry& geometry, std::uint32_t worker,
                   KeeperLogLayout* positions)
    : file_(std::move(file)),
      consumer_(file_.data(), file_.bytes(), &positions->drained_position.value),
      geometry_(geometry),
      worker_(worker) {}

void LogDrain::walk_shards(TouchedSet& touched) const {
  for (std::uint32_t shard = worker_; shard < geometry_.shard_count;
       shard += geometry_.worker_count) {
    touched.walk(shard);
  }
}

std::uint64_t LogDrain::drain(TouchedSet& touched, KeeperCounters& counters, ProcessFile& process,
                              std::uint64_t records_max) {
  if (broken_) {
    walk_shards(touched);
    return 0;
  }
  const std::uint64_t until = consumer_.producer_position();
  std::uint64_t count = 0;
  while (count < records_max && consumer_.read_position() != until) {
    const RingRecord record = consumer_.next();
    if (record.outcome == RingRecord::Outcome::kEmpty) break;
    const char* fault = "a ring that makes no sense; nothing behind it can be read";
    if (record.outcome == RingRecord::Outcome::kBroken) {
      broken_ = true;
    } else {
      fault = take(record, touched, counters);
      ++count;
    }
    if (fault != nullptr) {
      counters.broken_records.add();
      process.error("log-" + std::to_string(worker_) + ": " + fault);
      walk_shards(touched);
    }
    if (broken_) break;
  }
  if (count != 0) consumer_.release(consumer_.read_position());
  return count;
}

const char* LogDrain::take(const RingRecord& record, TouchedSet& touched,
                           KeeperCounters& counters) {
  if (record.type != kLogRecord) return "a record of an unknown type";
  if (record.size_bytes < sizeof(LogRecordLayout)) return "a record that is too short";
  record_.resize((record.size_bytes + 7) / 8);
  std::memcpy(record_.data(), record.payload, record.size_bytes);
  LogRecordLayout head;
  std::memcpy(&head, record_.data(), sizeof head);
  if (head.event_bytes != record.size_bytes - sizeof head || head.event_bytes % 8 != 0) {
    return "a record whose size is not its event's";
  }
  if (head.kind < LogKind::kApplied || head.kind > LogKind::kDead) return "an unknown kind";
  counters.of(head.kind).add();
  if (head.kind != LogKind::kApplied) return nullptr;
  if (head.shard >= geometry_.shard_count || geometry_.owner_of(head.shard) != worker_) {
    return "a shard that is not this worker's";
  }
  if (head.sequence == 0) return "an applied event without a sequence";
  Key key;
  constexpr std::size_t kHeadWords = sizeof head / 8;
  const char* fault = key_of_event(record_.data() + kHeadWords, record_.size() - kHeadWords,
                                   geometry_.key_bytes, head.shard, key);
  if (fault == nullptr) touched.touch(head.shard, key, head.sequence, head.consumed_us);
  return fault;
}

}  // namespace deja
