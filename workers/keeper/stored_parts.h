// Fetches what the store has of users who are not in the table: one came back, so an event began a
// partial profile, and the worker merges the stored part into it; or a renderer misses one, and the
// worker puts him in as he was stored. Handed over the return ring. The keeper's thread alone;
// blocks only as an exchange with Redis does.
//
//  1. A part is given only for a profile that is seen partial right before: so an answer is in the
//     ring before its worker has logged anything that could end this partial period, and since a
//     worker empties that ring before its events, no answer outlives the period it was asked in.
//  2. Who is missed is given only where he is seen absent, or partial, right before. What the store
//     has of him can't change before the answer is read: it would change by this thread's hand, and
//     before it is confirmed, hence before he could be evicted again, his worker empties the ring.
//  3. Renderers may ask for anybody: what they ask for is bounded, and forgotten once answered.
//  4. Nothing waits for the return ring: while it is full, keys stay wanted.
//  5. What is wanted is forgotten with the keeper; the next one finds partial profiles by a sweep.
//  6. A stored image that can't be read is not "nothing stored": the profile stays partial, and the
//     reason is counted and named.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "workers/keeper/keeper_counters.h"
#include "workers/keeper/return_rings.h"
#include "workers/keeper/stored_images.h"
#include "workers/keeper/table_view.h"

namespace deja {

class StoredParts {
 public:
  StoredParts(RedisStore& store, StoredImages& images, TableView& table, ReturnRings& rings,
              KeeperCounters& counters)
      : store_(store), images_(images), table_(table), rings_(rings), counters_(counters) {}

  /// `sequence`: of the event that began the partial profile; 0: it is there already.
  void want(std::uint32_t shard, const Key& key, std::uint64_t sequence);
  /// A renderer misses this user.
  void ask(const Key& key);
  /// Looks through the whole table for partial profiles.
  void want_all_partial();

  /// Asks for some of what is wanted and hands it over, while the store is connected. An error is
  /// one of the connection: its owner connects again.
  [[nodiscard]] Status tick();

  [[nodiscard]] bool empty() const { return wanted_.empty() && asked_.empty(); }

 private:
  struct Wanted {
    std::uint32_t shard = 0;
    std::uint64_t sequence = 0;
  };
  struct Question {
    std::string owned;  // key
    Wanted wanted;
    bool asked = false;  // by a renderer
  };
  [[nodiscard]] std::vector<Question> next_questions() const;
  /// False: it stays wanted.
  [[nodiscard]] Result<bool> give(const Question& question, const RedisReply& reply);

  RedisStore& store_;
  StoredImages& images_;
  TableView& table_;
  ReturnRings& rings_;
  KeeperCounters& counters_;
  std::unordered_map<std::string, Wanted> wanted_;  // by owned key
  std::unordered_set<std::string> asked_;           // owned keys
};

}  // namespace deja
