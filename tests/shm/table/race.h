// One writer and any number of readers at full speed on one shard, every value checkable: the body
// of the races in threads (tests/stress) and in processes (tests/shm/table). The reuse FIFO is one
// block long, so that a reader meets as many reuses as can be; chains have overflow buckets; part
// of the users come and go.
#pragma once

#include <sched.h>

#include <atomic>
#include <random>
#include <string>
#include <vector>

#include "shm/base/clock.h"
#include "tests/shm/table/shard_memory.h"

namespace deja::table_test {

/// Lies in memory that all roles share.
struct RaceCounts {
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> writes{0};
  std::atomic<std::uint64_t> reads{0};
  std::atomic<std::uint64_t> busy{0};
  std::atomic<std::uint64_t> torn{0};       ///< parts of two versions, or another's profile
  std::atomic<std::uint64_t> lost{0};       ///< a user who was always there answered as absent
  std::atomic<std::uint64_t> backwards{0};  ///< an older version after a newer one
  std::atomic<std::uint64_t> uncounted{0};  ///< a walk that met a user twice or not at all

  [[nodiscard]] std::uint64_t wrong() const { return torn + lost + backwards + uncounted; }
};

class Race {
 public:
  static constexpr std::uint32_t kStableUsers = 48;
  static constexpr std::uint32_t kChurnUsers = 24;

  Race() : geometry_(geometry_of(kStableUsers + kChurnUsers + 2, 4, 16, 16, 512)) {
    for (std::uint32_t user = 0; user < kStableUsers + kChurnUsers; ++user) {
      users_.push_back("user-" + std::to_string(user));
    }
  }

  [[nodiscard]] const TableGeometry& geometry() const { return geometry_; }

  void insert_stable(const ShardMemory& memory) const {
    ShardWriter writer = attach(memory, geometry_, 1);
    for (std::uint32_t user = 0; user < kStableUsers; ++user) {
      CHECK(put(writer, key_of(users_[user]), 1));
    }
  }

  void write(const ShardMemory& memory, RaceCounts& counts, std::uint64_t seed) const {
    ShardWriter writer = attach(memory, geometry_, 1);
    std::mt19937_64 random(seed);
    for (std::uint64_t sequence = 2; !counts.stop.load(std::memory_order_relaxed); ++sequence) {
      const std::string& user = users_[pick(random)];
      if (&user >= &users_[kStableUsers] && random() % 2 == 0) {
        (void)writer.clear(key_of(user));
      } else {
        (void)put(writer, key_of(user), sequence);
      }
      counts.writes.fetch_add(1, std::memory_order_relaxed);
      if (random() % 64 == 0) sched_yield();
    }
  }

  template <typename Looks>
  void read(const ShardMemory& memory, RaceCounts& counts, std::uint64_t seed) const {
    const ShardReader<Looks> reader(memory.get(), geometry_, kSecret);
    std::mt19937_64 random(seed);
    std::vector<std::uint64_t> newest(users_.size());
    OwnCopy copy(geometry_);
    while (!counts.stop.load(std::memory_order_relaxed)) {
      const std::size_t user = pick(random);
      const Key key = key_of(users_[user]);
      const ReadOutcome outcome = reader.get(key, *copy);
      counts.reads.fetch_add(1, std::memory_order_relaxed);
      if (outcome == ReadOutcome::kBusy) ++counts.busy;
      if (outcome == ReadOutcome::kAbsent && user < kStableUsers) ++counts.lost;
      if (outcome == ReadOutcome::kFound) {
        if (!(copy->key() == key) || !is_whole(*copy)) {
          ++counts.torn;
        } else {
          if (copy->sequence() < newest[user]) ++counts.backwards;
          newest[user] = copy->sequence();
        }
      }
      if (random() % 512 == 0) walk(reader, *copy, counts);
    }
  }

 private:
  /// Few users get most of the traffic, so that their blocks go round quickly.
  [[nodiscard]] std::size_t pick(std::mt19937_64& random) const {
    return random() % 4 != 0 ? random() % 3 : random() % users_.size();
  }

  template <typename Looks>
  void walk(const ShardReader<Looks>& reader, ProfileCopy& copy, RaceCounts& counts) const {
    std::vector<int> seen(users_.size());
    const std::uint64_t busy = reader.for_each(copy, [&](ProfileCopy& profile) {
      if (!is_whole(profile)) {
        ++counts.torn;
        return;
      }
      const Key key = profile.key();
      ++seen[std::stoul(std::string(key.bytes + 5, key.size - 5))];
    });
    std::uint64_t missing = 0;
    for (std::uint32_t user = 0; user < kStableUsers; ++user) {
      if (seen[user] > 1) ++counts.uncounted;
      if (seen[user] == 0) ++missing;
    }
    if (missing > busy) ++counts.uncounted;
  }

  TableGeometry geometry_;
  std::vector<std::string> users_;
};

/// Gives the other core its turn now and then between a reader's looks: on a busy host with two
/// cores the races would otherwise be met by luck only. The same for whole and weakened readers.
inline void dawdle() {
  thread_local std::uint32_t turn = 0;
  if (++turn % 16 == 0) sched_yield();
}
struct WholeLooks : BothLooks {
  static void between(ReadStep) { dawdle(); }
};
struct WithoutEntryAgain : WholeLooks {
  static constexpr bool kEntryAgain = false;
};
struct WithoutStampAgain : WholeLooks {
  static constexpr bool kStampAgain = false;
};

}  // namespace deja::table_test
