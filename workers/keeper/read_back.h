// At start, before anything is served: what the store and the journal have goes back to the
// workers. The keeper's thread alone.
//
//   ids │ stored profiles of the users that the journal's events are about │ those events │
//   all other stored profiles, as long as there is room │ sequences │ the end
//
//  1. An event from the journal is applied only to a profile of which the stored part is in the
//     table already, or that has none; so it can be told whether the part has it: by the sequence.
//  2. What no room is left for stays in the store alone: a user who comes back is merged again. So
//     the worker leaves some for new users, but whom events follow (kReturnNeeded) it takes always.
//  3. A shard's sequence starts at the highest of its watermark, its profiles' and the journal's.
//     After a change of their count it starts above what watermarks and journal say of any
//     shard, old or new: so a user's events keep their order, wherever he was filed before.
//  4. A merge in the journal is no event: the part that it brought in comes from the store.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "workers/journal/event_translation.h"
#include "workers/journal/journal_index.h"
#include "workers/keeper/keeper_counters.h"
#include "workers/keeper/redis_store.h"
#include "workers/keeper/return_rings.h"
#include "workers/keeper/stored_images.h"

namespace deja {

class ReadBack {
 public:
  /// All outlive it; the store is open.
  struct Parts {
    RedisStore& store;
    ReturnRings& rings;
    StoredImages& images;
    const JournalIndex& journal;
    std::string_view catalog;  ///< of this config: the message
    const TableGeometry& geometry;
    KeeperCounters& counters;
    /// After a change of the count of shards: the highest sequence of any, which all of them begin
    /// above. Else 0.
    std::uint64_t begin_above = 0;
    /// Told where each shard begins before any worker is. False: to stop.
    std::function<bool(const std::vector<std::uint64_t>&)> before_shards;
    std::function<void()> alive;  ///< called now and then: all of this may take its time
  };
  explicit ReadBack(Parts parts) : parts_(std::move(parts)) {}

  enum class [[nodiscard]] Outcome : std::uint8_t{kDone, kStopped, kLostRedis, kLostJournal};

  /// Hands everything over. `watermarks`: as Redis has them. Where something is lost on the way
  /// `problem()` says why; begin again with a new ReadBack, since a worker takes the same twice
  /// without harm.
  Outcome run(const std::vector<std::uint64_t>& watermarks);

  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] std::uint64_t restored_count() const { return restored_count_; }
  [[nodiscard]] std::uint64_t translated_count() const { return translated_count_; }
  [[nodiscard]] std::uint64_t replayed_count() const { return replayed_count_; }

 private:
  Outcome give_ids();
  Outcome give_touched();
  Outcome give_events();
  Outcome give_others();
  /// Profiles by name, and where SCAN goes on behind them; empty: nowhere.
  struct Page {
    std::vector<std::string> names;
    std::string next;
  };
  // `type`: of the return ring's records.
  Outcome fetch(const std::vector<std::string>& names, std::uint32_t type);
  Outcome fetch(Page& page, std::uint32_t type);
  void take_names(const RedisReply& scanned, std::vector<std::string>& names);
  Outcome give(const std::string& name, const RedisReply& image, std::uint32_t type);
  Outcome lost_redis(const std::string& problem);

  Parts parts_;
  std::vector<std::uint64_t> sequences_;
  std::unordered_set<std::string> given_;  // names of profiles handed over before the others
  std::vector<std::uint64_t> words_;
  EventTranslations translations_;
  std::string problem_;
  std::uint64_t restored_count_ = 0;
  std::uint64_t translated_count_ = 0;
  std::uint64_t replayed_count_ = 0;
};

}  // namespace deja
