// Before its first event a worker takes what the keeper read back from the store: profiles exactly
// as they were stored, sequences, and then the word that this is all. What makes no sense is a
// counted error and never fatal: the keeper's bytes are not ours. Part of Worker.
#include <array>
#include <cstring>

#include "ring/return_record.h"
#include "shm/base/crash_point.h"
#include "workers/worker.h"

namespace deja {
namespace {

/// A billion events a second for three centuries: a stored sequence above it is no sequence.
constexpr std::uint64_t kSequenceMax = std::uint64_t{1} << 63U;

}  // namespace

std::uint64_t Worker::take_returned() {
  std::uint32_t count = 0;
  std::uint64_t end_position = 0;
  while (count < kBatchRecordsMax && !recovered_) {
    const RingRecord record = returned_.next();
    if (record.outcome == RingRecord::Outcome::kEmpty) break;
    if (record.outcome == RingRecord::Outcome::kBroken) {
      if (!return_broken_) process_.error("the return ring is broken: restart the appliance");
      return_broken_ = true;
      break;
    }
    bool understood = true;
    if (record.type == kReturnProfile) {
      understood = take_profile(record);
    } else if (record.type == kReturnShard) {
      understood = take_shard(record);
    } else if (record.type == kReturnEnd) {
      end_recovery();
    } else {
      understood = false;
    }
    if (!understood) {
      counters_.return_faults.add();
      process_.error("a stored profile could not be taken back");
    }
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

bool Worker::take_profile(const RingRecord& record) {
  ReturnProfileLayout stored;
  if (record.size_bytes < sizeof stored) return false;
  std::memcpy(&stored, record.payload, sizeof stored);
  const std::uint64_t key_space = round_up(stored.key_size, 8);
  if (stored.key_size == 0 || stored.key_size > geometry_.key_bytes ||
      stored.key_namespace > static_cast<std::uint8_t>(KeyNamespace::kAnonymous) ||
      stored.frame_bytes != geometry_.frame_bytes ||
      record.size_bytes != sizeof stored + key_space + stored.frame_bytes || !owns(stored.shard)) {
    return false;
  }
  std::array<char, kKeyBytesMax> key_bytes{};
  std::memcpy(key_bytes.data(), record.payload + sizeof stored, stored.key_size);
  const Key key{static_cast<KeyNamespace>(stored.key_namespace), key_bytes.data(), stored.key_size};
  if (shard_of(key, geometry_.shard_count) != stored.shard) return false;

  ShardWriter& shard = shards_[index_of(stored.shard)];
  ShardWriter::Draft draft = shard.begin(key);
  if (draft.room == Room::kFull) return false;
  // One that was taken before a kill is there, and may not turn back.
  if (draft.room == Room::kNew || draft.sequence < stored.sequence) {
    std::memcpy(draft.frame, record.payload + sizeof stored + key_space, stored.frame_bytes);
    draft.sequence = stored.sequence;
    draft.updated_us = stored.updated_us;
    draft.late = stored.late;
    draft.flags = stored.flags;
    shard.publish(draft);
    if (draft.room == Room::kNew) ++profile_count_;
    counters_.returned.add();
  }
  raise_sequence(stored.shard, stored.sequence);
  return true;
}

bool Worker::take_shard(const RingRecord& record) {
  ReturnShardLayout stored;
  if (record.size_bytes < sizeof stored) return false;
  std::memcpy(&stored, record.payload, sizeof stored);
  if (!owns(stored.shard) || stored.sequence > kSequenceMax) return false;
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
}

}  // namespace deja
