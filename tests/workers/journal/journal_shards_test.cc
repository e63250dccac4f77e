// A journal of several lives with other counts of shards each, read under yet another: against a
// ledger of what every user did.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "tests/support/fake_disk.h"
#include "tests/support/seed.h"
#include "tests/support/test_event.h"
#include "workers/journal/journal_index.h"
#include "workers/journal/journal_pruner.h"
#include "workers/journal/journal_writer.h"

namespace deja {
namespace {

constexpr std::uint32_t kIds = 1000;

std::uint32_t hash_of(const std::string& user) {
  return murmur2(user.data(), static_cast<std::uint32_t>(user.size()));
}

/// Lives of an appliance's journal; each begins above all sequences of those before, as a keeper
/// does.
class Lives {
 public:
  explicit Lives(std::uint64_t seed) : disk_(seed), random_(seed) {}

  void begin(std::uint32_t shard_count) {
    finish();
    shard_count_ = shard_count;
    std::uint64_t highest = 0;
    for (const std::uint64_t sequence : sequences_) highest = std::max(highest, sequence);
    sequences_.assign(shard_count, highest);
    JournalLimits limits;
    limits.group_commit_ns = 0;
    limits.segment_bytes = 64U << 10U;
    writer_ = std::make_unique<JournalWriter>(
        disk_, JournalIdentity{"test", shard_count, "catalog"}, limits);
    ASSERT_TRUE(writer_->begin(++epoch_).ok());
    const std::uint64_t first = 1;
    for (std::uint32_t shard = 0; shard < shard_count && highest != 0; ++shard) {
      JournalRecordLayout none{};
      none.sequence = highest;
      none.shard = shard;
      none.kind = JournalKind::kNone;
      none.payload_bytes = sizeof first;
      ASSERT_TRUE(
          writer_->append(none, {reinterpret_cast<const std::uint8_t*>(&first), sizeof first}));
    }
  }
  void event(const std::string& user, bool dead = false) {
    TestEvent event{user};
    event.id_low = ++ids_;
    const std::uint32_t shard = shard_of(event.as_key(), shard_count_);
    const std::vector<std::uint8_t> bytes = event.bytes(shard_count_);
    JournalRecordLayout record{};
    record.sequence = ++sequences_[shard];
    record.shard = shard;
    record.consumed_us = static_cast<std::int64_t>(ids_);
    record.kind = JournalKind::kEvent;
    record.payload_bytes = static_cast<std::uint32_t>(bytes.size());
    ASSERT_TRUE(writer_->append(record, bytes));
    if (dead) {
      record.kind = JournalKind::kDead;
      record.payload_bytes = 0;
      ASSERT_TRUE(writer_->append(record, {}));
    } else {
      events_[user].push_back({record.sequence, ids_});
    }
    all_ids_[user].push_back(ids_);
  }
  void some(int count) {
    for (int at = 0; at < count; ++at) {
      event("u" + std::to_string(random_() % 40), random_() % 20 == 0);
    }
  }
  void finish() {
    while (writer_ && !writer_->idle()) writer_->tick(++now_ns_, true);
  }
  /// What is read has exactly what the ledger has above `floor`, in order, where it belongs.
  void expect_read(std::uint32_t shard_count, const StoredFloor& floor, std::uint32_t ids_max) {
    finish();
    const Result<JournalIndex> index =
        JournalIndex::build(disk_, "test", floor, shard_count, kKeyBytesMax, ids_max);
    ASSERT_TRUE(index.ok()) << index.error().message();
    EXPECT_TRUE(index->gaps().empty()) << index->gaps().front();
    std::map<std::string, std::vector<std::uint64_t>> read;
    std::vector<std::uint64_t> words;
    for (std::uint32_t shard = 0; shard < shard_count; ++shard) {
      for (const JournalIndex::Entry& entry : index->entries(shard)) {
        if (entry.kind != JournalKind::kEvent) continue;
        ASSERT_TRUE(index->read(entry, words).ok());
        if (index->is_moved(entry)) {
          ASSERT_TRUE(move_event(words, shard));
        }
        EventFacts facts;
        ASSERT_EQ(read_event_facts(words.data(), words.size(), kKeyBytesMax, facts), nullptr);
        EXPECT_EQ(facts.shard, shard);
        EXPECT_EQ(shard_of(facts.key, shard_count), shard);
        const std::string user(facts.key.bytes, facts.key.size);
        // In its own count a shard's floor is enough: a worker skips what a profile has.
        const bool is_stored = entry.sequence <= floor.of(hash_of(user));
        EXPECT_FALSE(is_stored && index->is_moved(entry));
        if (!is_stored) read[user].push_back(facts.id_low);
      }
    }
    std::map<std::string, std::vector<std::uint64_t>> expected;
    for (const auto& [user, events] : events_) {
      for (const auto& [sequence, id] : events) {
        if (sequence > floor.of(hash_of(user))) expected[user].push_back(id);
      }
    }
    EXPECT_EQ(read, expected);
    expect_ids(*index, shard_count, ids_max);
  }

  [[nodiscard]] const std::vector<std::uint64_t>& sequences() const { return sequences_; }
  FakeDisk& disk() { return disk_; }
  std::mt19937_64& random() { return random_; }

 private:
  /// The newest of everybody's ids, whatever shard they were given in.
  void expect_ids(const JournalIndex& index, std::uint32_t shard_count, std::uint32_t ids_max) {
    std::vector<std::vector<std::uint64_t>> expected(shard_count);
    for (const auto& [user, ids] : all_ids_) {
      auto& of_shard = expected[shard_of_hash(hash_of(user), shard_count)];
      of_shard.insert(of_shard.end(), ids.begin(), ids.end());
    }
    for (std::uint32_t shard = 0; shard < shard_count; ++shard) {
      std::vector<std::uint64_t>& ids = expected[shard];
      std::sort(ids.begin(), ids.end());
      if (ids.size() > ids_max) ids.erase(ids.begin(), ids.end() - ids_max);
      std::vector<std::uint64_t> found;
      for (const JournalIdLayout& id : index.ids(shard)) found.push_back(id.low);
      EXPECT_EQ(found, ids) << "of shard " << shard;
    }
  }

  FakeDisk disk_;
  std::mt19937_64 random_;
  std::unique_ptr<JournalWriter> writer_;
  std::uint32_t shard_count_ = 0;
  std::uint64_t epoch_ = 0;
  std::int64_t now_ns_ = 0;
  std::uint64_t ids_ = 0;
  std::vector<std::uint64_t> sequences_;
  std::map<std::string, std::vector<std::pair<std::uint64_t, std::uint64_t>>> events_;
  std::map<std::string, std::vector<std::uint64_t>> all_ids_;
};

TEST(JournalShards, EveryEventComesOutOnceInTheShardOfItsUserAndInOrder) {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 30; ++round) {
    Lives lives(random());
    for (std::uint64_t life = 1 + random() % 5; life > 0; --life) {
      lives.begin(static_cast<std::uint32_t>(1 + random() % 4));
      lives.some(static_cast<int>(random() % 200));
    }
    const auto count = static_cast<std::uint32_t>(1 + random() % 4);
    lives.expect_read(count, StoredFloor(StoredFloor::Division(count)), kIds);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(JournalShards, WhatTheStoreHasUnderAnyCountIsLeftOut) {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 30; ++round) {
    Lives lives(random());
    std::vector<StoredFloor::Division> divisions;
    std::uint64_t lowest = 0;
    for (std::uint64_t life = 1 + random() % 4; life > 0; --life) {
      const auto count = static_cast<std::uint32_t>(1 + random() % 4);
      lives.begin(count);
      const std::vector<std::uint64_t> begun = lives.sequences();
      lives.some(static_cast<int>(random() % 200));
      // As Redis says: from the lowest of before on, or anything that it has of this life.
      StoredFloor::Division division;
      for (std::uint32_t shard = 0; shard < count; ++shard) {
        const std::uint64_t stored = lives.sequences()[shard] - begun[shard];
        division.push_back(random() % 2 == 0 ? lowest : begun[shard] + random() % (stored + 1));
      }
      lowest = std::max(lowest, *std::min_element(division.begin(), division.end()));
      divisions.push_back(std::move(division));
    }
    const auto count = static_cast<std::uint32_t>(1 + random() % 4);
    divisions.push_back(StoredFloor::Division(count, lowest));
    lives.expect_read(count, StoredFloor(divisions), kIds);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(JournalShards, TheWindowOfIdsIsThatOfTheNewestWhereverTheyWere) {
  Lives lives(7);
  for (const std::uint32_t count : {4U, 1U, 3U}) {
    lives.begin(count);
    lives.some(150);
  }
  lives.expect_read(2, StoredFloor(StoredFloor::Division(2)), 60);
}

TEST(JournalShards, IdsOutliveTheCondensingOfFormerSegments) {
  Lives lives(11);
  lives.begin(2);
  lives.some(200);
  lives.begin(3);
  lives.finish();
  JournalPruner pruner(lives.disk(), {"test", 3, "catalog"}, kIds);
  ASSERT_TRUE(pruner.adopt({2, 0}, lives.sequences()).ok());
  const Result<bool> worked = pruner.work(lives.sequences());
  ASSERT_TRUE(worked.ok() && *worked);
  for (const std::uint32_t count : {3U, 1U}) {
    const StoredFloor floor(StoredFloor::Division(count, lives.sequences()[0]));
    const Result<JournalIndex> index =
        JournalIndex::build(lives.disk(), "test", floor, count, kKeyBytesMax, kIds);
    ASSERT_TRUE(index.ok());
    std::set<std::uint64_t> found;
    for (std::uint32_t shard = 0; shard < count; ++shard) {
      EXPECT_TRUE(index->entries(shard).empty());
      for (const JournalIdLayout& id : index->ids(shard)) {
        found.insert(id.low);
        EXPECT_EQ(shard_of_hash(id.key_hash, count), shard);
      }
    }
    EXPECT_EQ(found.size(), 200U);
  }
}

TEST(JournalShards, WhatIsMissingIsToldInTheNumbersItWasWrittenIn) {
  Lives lives(5);
  lives.begin(2);
  for (int at = 0; at < 6; ++at) {
    lives.event("ada");
    lives.finish();  // a group each
  }
  const std::vector<std::uint64_t> were = lives.sequences();
  lives.begin(3);
  lives.event("ada");
  lives.finish();
  const JournalSegmentName first{1, 0};
  const std::uint64_t groups = round_up(kJournalBlockBytes + 7, kJournalBlockBytes);
  lives.disk().flip_bit(first.text(), (groups + sizeof(JournalGroupLayout)) * 8);
  const StoredFloor nothing(StoredFloor::Division(3));
  const auto index = JournalIndex::build(lives.disk(), "test", nothing, 3, kKeyBytesMax, kIds);
  ASSERT_TRUE(index.ok());
  ASSERT_EQ(index->gaps().size(), 1U);
  const std::string shard = std::to_string(shard_of_hash(hash_of("ada"), 2));
  EXPECT_EQ(index->gaps()[0],
            "the events 1 to 1 of shard " + shard + " are in neither the journal nor Redis");
  // What the store had under the former count nobody misses.
  StoredFloor::Division had(2);
  had[shard_of_hash(hash_of("ada"), 2)] = 1;
  const StoredFloor stored({had, StoredFloor::Division(3)});
  const auto whole = JournalIndex::build(lives.disk(), "test", stored, 3, kKeyBytesMax, kIds);
  ASSERT_TRUE(whole.ok());
  EXPECT_TRUE(whole->gaps().empty());
}

}  // namespace
}  // namespace deja
