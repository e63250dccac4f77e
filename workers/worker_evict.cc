// Room for new users: the longest idle of a few profiles drawn at random goes, where the store is
// known to have it. Only between a record's decoding and its log record, or between batches: so a
// redo meets no eviction, and the room that was there when the log said "applied" is there still.
// Part of Worker.
//
//   has_absent = 1 │ the entry = 0
//
// Crash points: worker.before_absent, worker.before_evict, worker.after_evict. Killed before the
// second store a shard says that profiles may be missing and none is, which costs new users a look
// into the store; never the other way round.
#include "shm/base/crash_point.h"
#include "workers/worker.h"

namespace deja {
namespace {

/// Places looked at for one profile to go. One in four is empty in a full table.
constexpr std::uint32_t kSampledPlaces = 16;
/// Tries to find one at all before a new user is refused.
constexpr std::uint32_t kSamplesMax = 8;
/// Evicted ahead of need in one pass, while a shard has less spare blocks than it should.
constexpr std::uint32_t kAheadPerPass = 4;

std::uint64_t next_random(std::uint64_t& state) {  // splitmix64
  state += 0x9e3779b97f4a7c15U;
  std::uint64_t word = state;
  word = (word ^ (word >> 30U)) * 0xbf58476d1ce4e5b9U;
  word = (word ^ (word >> 27U)) * 0x94d049bb133111ebU;
  return word ^ (word >> 31U);
}

}  // namespace

/// Up to where the store has the shard's profiles for good; 0 where none may go now.
std::uint64_t Worker::evictable_sequence(std::uint32_t shard_index) const {
  const std::uint32_t shard = worker_ + shard_index * geometry_.worker_count;
  // SYNC(keeper.confirmed): what the keeper handed back before it confirmed this is in the ring.
  const std::uint64_t confirmed = confirmed_[shard].load(std::memory_order_acquire);
  // One that confirms what never happened is broken, and confirms nothing.
  if (confirmed > shards_[shard_index].sequence()) return 0;
  // An answer that still waits may be about a profile that would go now and begin anew before it is
  // read: it would be taken for the answer to that (README, "Eviction and return").
  if (return_broken_ || !returned_.empty()) return 0;
  return confirmed;
}

bool Worker::evictable(const ShardWriter::Resident& resident, std::uint64_t confirmed) const {
  return (resident.header.flags & kFlagPartial) == 0 && resident.header.sequence <= confirmed &&
         !batch_users_.contains(keyed_hash(secret_, resident.key()));
}

bool Worker::evict_sampled(std::uint32_t shard_index, std::uint64_t confirmed) {
  const ShardWriter& shard = shards_[shard_index];
  // Where a search found nobody and nothing was confirmed since, one look is enough.
  std::uint64_t& barren = barren_confirmed_[shard_index];
  const std::uint32_t samples = barren == confirmed ? 1 : kSamplesMax;
  ShardWriter::Resident longest_idle;
  bool found = false;
  for (std::uint32_t sample = 0; sample < samples && !found; ++sample) {
    for (std::uint32_t place = 0; place < kSampledPlaces; ++place) {
      ShardWriter::Resident resident;
      if (!shard.resident_at(next_random(random_state_) % shard.position_count(), resident) ||
          !evictable(resident, confirmed) ||
          (found && resident.header.updated_us >= longest_idle.header.updated_us)) {
        continue;
      }
      longest_idle = resident;
      found = true;
    }
  }
  barren = found ? 0 : confirmed;
  if (found) evict(shard_index, longest_idle.position);
  return found;
}

/// One whose place the key could have.
bool Worker::evict_in_chain(std::uint32_t shard_index, const Key& key, std::uint64_t confirmed) {
  const ShardWriter& shard = shards_[shard_index];
  ShardWriter::Resident longest_idle;
  bool found = false;
  shard.for_each_place(key, [&](std::uint64_t position) {
    ShardWriter::Resident resident;
    if (!shard.resident_at(position, resident) || !evictable(resident, confirmed)) return;
    if (found && resident.header.updated_us >= longest_idle.header.updated_us) return;
    longest_idle = resident;
    found = true;
  });
  if (found) evict(shard_index, longest_idle.position);
  return found;
}

void Worker::evict(std::uint32_t shard_index, std::uint64_t position) {
  ShardWriter& shard = shards_[shard_index];
  CRASH_POINT("worker.before_absent");
  shard.set_has_absent();
  CRASH_POINT("worker.before_evict");
  shard.clear_at(position);
  CRASH_POINT("worker.after_evict");
  --profile_count_;
  counters_.evicted.add();
}

/// Makes room for a new user before whom `pending` others of the batch come.
bool Worker::make_room(std::uint32_t shard_index, const Key& key, std::uint32_t pending) {
  const std::uint64_t confirmed = evictable_sequence(shard_index);
  if (confirmed == 0) return false;
  const ShardWriter& shard = shards_[shard_index];
  while (shard.spare_block_count() <= pending) {
    if (!evict_sampled(shard_index, confirmed)) return false;
  }
  if (shard.can_insert(key, pending)) return true;
  // Blocks there are, so its chain is full. With others on their way in that is mere caution.
  return pending == 0 && evict_in_chain(shard_index, key, confirmed);
}

/// Keeps a few blocks spare in one shard after the other, so that a burst of new users finds them.
std::uint64_t Worker::evict_ahead() {
  const std::uint32_t shard_index = ahead_next_;
  ahead_next_ = shard_index + 1 < shards_.size() ? shard_index + 1 : 0;
  if (shards_[shard_index].spare_block_count() >= spare_low_count_) return 0;
  const std::uint64_t confirmed = evictable_sequence(shard_index);
  if (confirmed == 0 || barren_confirmed_[shard_index] == confirmed) return 0;
  std::uint32_t count = 0;
  while (count < kAheadPerPass && shards_[shard_index].spare_block_count() < spare_low_count_ &&
         evict_sampled(shard_index, confirmed)) {
    ++count;
  }
  if (count != 0) show_counters();
  return count;
}

}  // namespace deja
