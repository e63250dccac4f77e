// Stand-ins for the processes around a worker: one thread of ingest, and the keeper. Test code;
// header only; each is used by one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "ring/bell.h"
#include "ring/log_record.h"
#include "ring/positions.h"
#include "ring/rejected_event.h"
#include "ring/return_record.h"
#include "ring/spsc_ring.h"
#include "ring/verdict.h"
#include "shm/block.h"
#include "shm/consumed_layout.h"
#include "tests/support/segment_fixture.h"
#include "tests/support/test_event.h"
#include "workers/segment_files.h"

namespace deja {

/// Ingest thread `ring`'s end towards worker `worker`.
class TestIngest {
 public:
  explicit TestIngest(SegmentFixture& fixture, std::uint32_t ring = 0, std::uint32_t worker = 0)
      : shard_count_(fixture.plan().shard_count),
        consumed_(
            &consumed_ring(fixture.file("consumed-" + std::to_string(worker)).at<ConsumedLayout>(),
                           ring)
                 ->position),
        ring_(producer(fixture, ring, worker)),
        verdicts_(consumer(fixture, ring, worker)),
        bell_(std::move(*BellRope::open(fixture.segment(), worker_bell(worker)))) {}

  /// Commits a record; 0 when the ring is full.
  std::uint64_t commit(const std::vector<std::uint8_t>& bytes, std::uint32_t type = kEventRecord) {
    const auto size = static_cast<std::uint32_t>(bytes.size());
    std::uint8_t* claimed = ring_.claim(size);
    if (claimed == nullptr) return 0;
    std::copy(bytes.begin(), bytes.end(), claimed);
    return ring_.commit(size, type);
  }
  std::uint64_t commit(const TestEvent& event) { return commit(event.bytes(shard_count_)); }
  void publish() {
    ring_.publish();
    static_cast<void>(bell_.ring_if_asleep());
  }
  std::uint64_t send(const TestEvent& event) {
    const std::uint64_t end = commit(event);
    publish();
    return end;
  }

  [[nodiscard]] std::uint64_t consumed_position() const {
    return consumed_->load(std::memory_order_acquire);  // SYNC(consumed.position)
  }
  [[nodiscard]] std::uint64_t published_position() const { return ring_.published_position(); }

  /// Verdicts that are new since the last call.
  [[nodiscard]] std::vector<VerdictLayout> take_verdicts() {
    std::vector<VerdictLayout> taken;
    for (;;) {
      const RingRecord record = verdicts_.next();
      if (record.outcome != RingRecord::Outcome::kRecord) return taken;
      CHECK(record.size_bytes == sizeof(VerdictLayout));
      taken.emplace_back();
      std::memcpy(&taken.back(), record.payload, sizeof(VerdictLayout));
      verdicts_.release(record.end_position);
    }
  }

 private:
  static RingProducer producer(SegmentFixture& fixture, std::uint32_t ring, std::uint32_t worker) {
    MappedFile& file = fixture.file("ring-" + std::to_string(ring) + "-" + std::to_string(worker));
    auto* consumed = fixture.file("consumed-" + std::to_string(worker)).at<ConsumedLayout>();
    return {file.data(), file.bytes(), &consumed_ring(consumed, ring)->position};
  }
  static RingConsumer consumer(SegmentFixture& fixture, std::uint32_t ring, std::uint32_t worker) {
    MappedFile& file =
        fixture.file("verdict-" + std::to_string(worker) + "-" + std::to_string(ring));
    auto* positions = fixture.file("ingest-" + std::to_string(ring)).at<PositionLayout>();
    return {file.data(), file.bytes(), &positions[worker].value};
  }

  std::uint32_t shard_count_;
  std::atomic<std::uint64_t>* consumed_;
  RingProducer ring_;
  RingConsumer verdicts_;
  BellRope bell_;
};

/// The keeper's end towards worker `worker`.
class TestKeeper {
 public:
  struct Logged {
    LogRecordLayout record;
    std::vector<std::uint8_t> event;
  };

  explicit TestKeeper(SegmentFixture& fixture, std::uint32_t worker = 0)
      : geometry_(fixture.segment().geometry()),
        log_(consumer(fixture, worker)),
        returned_(producer(fixture, worker)),
        bell_(std::move(*BellRope::open(fixture.segment(), worker_bell(worker)))),
        confirmed_(keeper_confirmed(fixture.file("keeper").data(), geometry_.worker_count,
                                    geometry_.shard_count)) {}

  /// Everything new in the log; gives its space back unless told not to.
  [[nodiscard]] std::vector<Logged> drain(bool release = true) {
    std::vector<Logged> taken;
    for (;;) {
      const RingRecord record = log_.next();
      if (record.outcome != RingRecord::Outcome::kRecord) return taken;
      CHECK(record.type == kLogRecord && record.size_bytes >= sizeof(LogRecordLayout));
      taken.emplace_back();
      std::memcpy(&taken.back().record, record.payload, sizeof(LogRecordLayout));
      taken.back().event.assign(record.payload + sizeof(LogRecordLayout),
                                record.payload + record.size_bytes);
      if (release) log_.release(record.end_position);
    }
  }

  /// Hands a stored profile back: `block` as ProfileCopy has it. False when the ring is full.
  bool give_profile(std::uint32_t shard, const ProfileCopy& block,
                    std::uint32_t type = kReturnProfile) {
    return give(profile_bytes(shard, block), type);
  }
  /// The stored part of a profile that is partial now.
  bool give_stored(std::uint32_t shard, const ProfileCopy& block) {
    return give(profile_bytes(shard, block), kReturnStored);
  }
  /// A renderer misses it.
  bool give_asked(std::uint32_t shard, const ProfileCopy& block) {
    return give(profile_bytes(shard, block), kReturnAsked);
  }
  /// The store has nothing of a profile that is partial now.
  bool give_nothing(const Key& key) {
    ReturnProfileLayout nothing{};
    nothing.shard = shard_of(key, geometry_.shard_count);
    nothing.key_size = static_cast<std::uint8_t>(key.size);
    nothing.key_namespace = static_cast<std::uint8_t>(key.name_space);
    std::vector<std::uint8_t> bytes(sizeof nothing + round_up(key.size, 8));
    std::memcpy(bytes.data(), &nothing, sizeof nothing);
    std::memcpy(bytes.data() + sizeof nothing, key.bytes, key.size);
    return give(bytes, kReturnNothing);
  }
  /// Profiles of the shard may leave the memory up to this sequence.
  void confirm(std::uint32_t shard, std::uint64_t sequence) {
    confirmed_[shard].store(sequence, std::memory_order_release);
  }

  [[nodiscard]] std::vector<std::uint8_t> profile_bytes(std::uint32_t shard,
                                                        const ProfileCopy& block) const {
    const BlockHeaderLayout header = block.header();
    ReturnProfileLayout stored{};
    stored.sequence = header.sequence;
    stored.updated_us = header.updated_us;
    stored.late = header.late;
    stored.shard = shard;
    stored.frame_bytes = geometry_.frame_bytes;
    stored.flags = header.flags;
    stored.key_size = header.key_size;
    stored.key_namespace = header.key_namespace;
    std::vector<std::uint8_t> bytes(sizeof stored + round_up(stored.key_size, 8) +
                                    stored.frame_bytes);
    std::memcpy(bytes.data(), &stored, sizeof stored);
    std::memcpy(bytes.data() + sizeof stored, block.key().bytes, stored.key_size);
    std::memcpy(bytes.data() + bytes.size() - stored.frame_bytes, block.frame(),
                stored.frame_bytes);
    return bytes;
  }
  bool give_shard(std::uint32_t shard, std::uint64_t sequence, std::uint32_t flags = 0) {
    const ReturnShardLayout stored{sequence, shard, flags};
    std::vector<std::uint8_t> bytes(sizeof stored);
    std::memcpy(bytes.data(), &stored, sizeof stored);
    return give(bytes, kReturnShard);
  }
  /// An event of the journal.
  bool give_event(std::uint64_t sequence, const TestEvent& event) {
    const std::vector<std::uint8_t> words = event.bytes(geometry_.shard_count);
    const ReturnEventLayout stored{sequence, shard_of(event.as_key(), geometry_.shard_count),
                                   static_cast<std::uint32_t>(words.size())};
    std::vector<std::uint8_t> bytes(sizeof stored);
    std::memcpy(bytes.data(), &stored, sizeof stored);
    bytes.insert(bytes.end(), words.begin(), words.end());
    return give(bytes, kReturnEvent);
  }
  /// The ids of a shard's last events; the high halves are 0, as view_of() has them.
  bool give_ids(std::uint32_t shard, const std::vector<std::uint64_t>& ids) {
    const ReturnIdsLayout stored{shard, static_cast<std::uint32_t>(ids.size())};
    std::vector<std::uint8_t> bytes(sizeof stored + ids.size() * 16);
    std::memcpy(bytes.data(), &stored, sizeof stored);
    for (std::size_t at = 0; at < ids.size(); ++at) {
      std::memcpy(bytes.data() + sizeof stored + at * 16, &ids[at], sizeof ids[at]);
    }
    return give(bytes, kReturnIds);
  }
  bool give_end() { return give(std::vector<std::uint8_t>(8), kReturnEnd); }

  bool give(const std::vector<std::uint8_t>& bytes, std::uint32_t type) {
    std::uint8_t* claimed = returned_.claim(static_cast<std::uint32_t>(bytes.size()));
    if (claimed == nullptr) return false;
    std::copy(bytes.begin(), bytes.end(), claimed);
    returned_.commit(static_cast<std::uint32_t>(bytes.size()), type);
    returned_.publish();
    static_cast<void>(bell_.ring_if_asleep());
    return true;
  }

 private:
  static RingConsumer consumer(SegmentFixture& fixture, std::uint32_t worker) {
    MappedFile& file = fixture.file("log-" + std::to_string(worker));
    return {file.data(), file.bytes(),
            &keeper_logs(fixture.file("keeper").data())[worker].drained_position.value};
  }
  static RingProducer producer(SegmentFixture& fixture, std::uint32_t worker) {
    MappedFile& file = fixture.file("return-" + std::to_string(worker));
    auto* layout = fixture.file("worker-" + std::to_string(worker)).at<WorkerLayout>();
    return {file.data(), file.bytes(), &layout->returned_position.value};
  }

  TableGeometry geometry_;
  RingConsumer log_;
  RingProducer returned_;
  BellRope bell_;
  std::atomic<std::uint64_t>* confirmed_;
};

}  // namespace deja
