#include "shm/shard_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <unordered_map>

#include "tests/shm/table/shard_memory.h"

namespace deja {
namespace {

using namespace table_test;

TEST(ShardWriter, APublishedProfileIsReadBack) {
  const TableGeometry geometry = geometry_of(8, 1, 1);
  const ShardMemory memory(geometry);
  ShardWriter writer = attach(memory, geometry);
  const ShardReader<> reader(memory.get(), geometry, kSecret);
  OwnCopy copy(geometry);
  EXPECT_EQ(reader.get(key_of("ann"), *copy), ReadOutcome::kAbsent);
  ASSERT_TRUE(put(writer, key_of("ann"), 7));
  ASSERT_EQ(reader.get(key_of("ann"), *copy), ReadOutcome::kFound);
  EXPECT_EQ(copy->sequence(), 7U);
  EXPECT_EQ(copy->key(), key_of("ann"));
  EXPECT_TRUE(is_whole(*copy));
  EXPECT_EQ(reader.get(key_of("bob"), *copy), ReadOutcome::kAbsent);
}

TEST(ShardWriter, TheSameTextInTwoNamespacesIsTwoProfiles) {
  const TableGeometry geometry = geometry_of(8, 1, 1);
  const ShardMemory memory(geometry);
  ShardWriter writer = attach(memory, geometry);
  ASSERT_TRUE(put(writer, key_of("x", KeyNamespace::kUser), 1));
  EXPECT_FALSE(writer.contains(key_of("x", KeyNamespace::kAnonymous)));
  ASSERT_TRUE(put(writer, key_of("x", KeyNamespace::kAnonymous), 2));
  OwnCopy copy(geometry);
  ASSERT_EQ(writer.reader().get(key_of("x", KeyNamespace::kUser), *copy), ReadOutcome::kFound);
  EXPECT_EQ(copy->sequence(), 1U);
  EXPECT_EQ(writer.used_count(), 2U);
}

TEST(ShardWriter, ADraftStartsWithTheCurrentVersionAndANewOneWithZeros) {
  const TableGeometry geometry = geometry_of(8, 1, 1);
  const ShardMemory memory(geometry);
  ShardWriter writer = attach(memory, geometry);
  ShardWriter::Draft draft = writer.begin(key_of("ann"));
  EXPECT_EQ(draft.room, Room::kNew);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(draft.frame) % kCacheLineBytes, 0U);
  for (std::uint32_t at = 0; at < geometry.frame_bytes; ++at) {
    ASSERT_EQ(draft.frame[at], std::byte{0});
  }
  draft.frame[3] = std::byte{42};
  draft.sequence = 5;
  draft.late = 2;
  draft.flags = kFlagPartial;
  draft.updated_us = 99;
  writer.publish(draft);
  draft = writer.begin(key_of("ann"));
  EXPECT_EQ(draft.room, Room::kKnown);
  EXPECT_EQ(draft.frame[3], std::byte{42});
  EXPECT_EQ(draft.sequence, 5U);
  EXPECT_EQ(draft.late, 2U);
  EXPECT_EQ(draft.flags, kFlagPartial);
  EXPECT_EQ(draft.updated_us, 99);
}

TEST(ShardWriter, ADroppedDraftChangesNothing) {
  const TableGeometry geometry = geometry_of(8, 1, 1);
  const ShardMemory memory(geometry);
  ShardWriter writer = attach(memory, geometry);
  ASSERT_TRUE(put(writer, key_of("ann"), 1));
  const std::vector<std::uint8_t> before(memory.bytes(), memory.bytes() + memory.size());
  ShardWriter::Draft draft = writer.begin(key_of("ann"));
  draft.frame[0] = std::byte{1};
  (void)writer.begin(key_of("bob"));
  EXPECT_EQ(std::memcmp(before.data(), memory.bytes(), memory.size()), 0);
}

TEST(ShardWriter, NewUsersAreRefusedWhenBlocksRunOutAndKnownUsersGoOn) {
  const TableGeometry geometry = geometry_of(20, 4, 4);
  const ShardMemory memory(geometry);
  ShardWriter writer = attach(memory, geometry, 3);
  std::uint32_t inserted = 0;
  while (writer.can_insert(key_of("user" + std::to_string(inserted)), 0)) {
    ASSERT_TRUE(put(writer, key_of("user" + std::to_string(inserted)), 1));
    ++inserted;
  }
  EXPECT_EQ(inserted, 17U);
  EXPECT_FALSE(writer.can_insert(1));
  EXPECT_EQ(writer.begin(key_of("new")).room, Room::kFull);
  for (std::uint64_t sequence = 2; sequence < 100; ++sequence) {
    for (std::uint32_t user = 0; user < inserted; ++user) {
      ASSERT_TRUE(put(writer, key_of("user" + std::to_string(user)), sequence));
    }
  }
  ASSERT_TRUE(writer.clear(key_of("user0")));
  EXPECT_TRUE(writer.can_insert(key_of("new"), 0));
  EXPECT_FALSE(writer.can_insert(key_of("new"), 1));
  EXPECT_TRUE(put(writer, key_of("new"), 1));
}

TEST(ShardWriter, CanInsertCountsWhatIsPendingInTheSameChain) {
  const TableGeometry geometry = geometry_of(64, 1, 2);
  const ShardMemory memory(geometry);
  ShardWriter writer = attach(memory, geometry);
  EXPECT_TRUE(writer.can_insert(2));
  EXPECT_FALSE(writer.can_insert(3));  // each might need a bucket of its own: a careful no
  for (int user = 0; user < 7; ++user) {
    ASSERT_TRUE(put(writer, key_of("u" + std::to_string(user)), 1));
  }
  EXPECT_TRUE(writer.can_insert(key_of("next"), 0));
  EXPECT_TRUE(writer.can_insert(key_of("next"), 1));
  EXPECT_FALSE(writer.can_insert(key_of("next"), 2));
}

TEST(ShardWriter, ResidentsAreFoundByTheirPlaceAndTakenAwayThere) {
  const TableGeometry geometry = geometry_of(64, 2, 2);
  const ShardMemory memory(geometry);
  ShardWriter writer = attach(memory, geometry);
  for (int user = 0; user < 12; ++user) {
    ASSERT_TRUE(
        put(writer, key_of("user" + std::to_string(user)), 1 + static_cast<unsigned>(user)));
  }
  const std::string five = "user5";
  std::uint64_t place_of_five = ~std::uint64_t{0};
  int residents = 0;
  for (std::uint64_t position = 0; position < writer.position_count(); ++position) {
    ShardWriter::Resident resident;
    if (!writer.resident_at(position, resident)) continue;
    ++residents;
    EXPECT_EQ(resident.position, position);
    if (resident.key() == key_of(five)) place_of_five = position;
    EXPECT_EQ("user" + std::to_string(resident.header.sequence - 1),
              std::string(resident.key().bytes, resident.key().size));
  }
  EXPECT_EQ(residents, 12);
  bool could_be_there = false;
  writer.for_each_place(
      key_of(five), [&](std::uint64_t position) { could_be_there |= position == place_of_five; });
  EXPECT_TRUE(could_be_there);
  writer.clear_at(place_of_five);
  EXPECT_FALSE(writer.contains(key_of(five)));
  EXPECT_EQ(writer.used_count(), 11U);
  ShardWriter::Resident resident;
  EXPECT_FALSE(writer.resident_at(place_of_five, resident));
}

TEST(ShardWriter, PartialProfilesAreCountedAlsoByTheNextOwner) {
  const TableGeometry geometry = geometry_of(16, 1, 1);
  const ShardMemory memory(geometry);
  ShardWriter writer = attach(memory, geometry);
  const auto publish = [&](const std::string& user, std::uint16_t flags) {
    ShardWriter::Draft draft = writer.begin(key_of(user));
    draft.flags = flags;
    writer.publish(draft);
  };
  publish("ann", kFlagPartial);
  publish("bob", kFlagPartial);
  publish("cid", 0);
  publish("ann", kFlagPartial);
  EXPECT_EQ(writer.partial_count(), 2U);
  EXPECT_TRUE(writer.is_partial(key_of("ann")));
  EXPECT_FALSE(writer.is_partial(key_of("cid")));
  EXPECT_FALSE(writer.is_partial(key_of("dan")));
  publish("ann", 0);
  EXPECT_EQ(writer.partial_count(), 1U);
  EXPECT_EQ(attach(memory, geometry).partial_count(), 1U);
  ASSERT_TRUE(writer.clear(key_of("bob")));
  EXPECT_EQ(writer.partial_count(), 0U);
}

TEST(ShardWriter, AChainEndsAtItsCap) {
  const TableGeometry geometry = geometry_of(1024, 1, 64);
  const ShardMemory memory(geometry);
  ShardWriter writer = attach(memory, geometry);
  std::uint32_t inserted = 0;
  while (put(writer, key_of("user" + std::to_string(inserted)), 1)) ++inserted;
  EXPECT_EQ(inserted, kChainBucketsMax * kEntriesPerBucket);
  EXPECT_EQ(writer.free_overflow_count(), 64 - (kChainBucketsMax - 1));
  OwnCopy copy(geometry);
  for (std::uint32_t user = 0; user < inserted; ++user) {
    ASSERT_EQ(writer.reader().get(key_of("user" + std::to_string(user)), *copy),
              ReadOutcome::kFound);
  }
  // Attaching again finds the same chain.
  ShardWriter again = attach(memory, geometry);
  EXPECT_EQ(again.used_count(), inserted);
  EXPECT_EQ(again.begin(key_of("one more")).room, Room::kFull);
}

TEST(ShardWriter, AFreedBlockWaitsForAsManyOthersAsTheReuseFifoIsLong) {
  const TableGeometry geometry = geometry_of(64, 1, 1);
  const ShardMemory memory(geometry);
  ShardWriter writer = attach(memory, geometry, 4);
  const auto current = [&] {
    return block_of(ShardParts<std::byte>(static_cast<std::byte*>(memory.get()), geometry)
                        .entry(0)
                        .load(std::memory_order_relaxed));
  };
  ASSERT_TRUE(put(writer, key_of("ann"), 1));
  std::vector<std::uint32_t> blocks = {current()};
  for (std::uint64_t sequence = 2; sequence < 40; ++sequence) {
    ASSERT_TRUE(put(writer, key_of("ann"), sequence));
    for (std::size_t back = 1; back <= 4 && back <= blocks.size(); ++back) {
      ASSERT_NE(blocks[blocks.size() - back], current());
    }
    blocks.push_back(current());
  }
  // And few blocks go round, so that they stay in the cache.
  std::sort(blocks.begin(), blocks.end());
  blocks.erase(std::unique(blocks.begin(), blocks.end()), blocks.end());
  EXPECT_EQ(blocks.size(), 5U);
}

TEST(ShardWriter, AttachRefusesADamagedShardAndLeavesItAsItIs) {
  const TableGeometry geometry = geometry_of(16, 1, 2);
  struct Case {
    const char* name;
    void (*damage)(ShardParts<std::byte>&);
    const char* expected;
  };
  const Case cases[] = {
      {"another magic", [](auto& parts) { parts.header().magic.store(1); }, "another layout"},
      {"another shard", [](auto& parts) { parts.header().shard = 9; }, "another layout"},
      {"other counts", [](auto& parts) { parts.header().main_buckets += 1; }, "another layout"},
      {"a block out of range", [](auto& parts) { parts.entry(0).store(make_entry(1, 16)); },
       "a block that is not there"},
      {"a block twice", [](auto& parts) { parts.entry(5).store(parts.entry(0).load()); },
       "a block that is not there or has another"},
      {"a block without a stamp",
       [](auto& parts) { parts.block(block_of(parts.entry(0).load()))[0].store(0); }, "not whole"},
      {"another key", [](auto& parts) { parts.block(block_of(parts.entry(0).load()))[4].store(0); },
       "not its own"},
      {"a link to itself", [](auto& parts) { parts.link(1).store(1); }, "chain"},
      {"a link out of range", [](auto& parts) { parts.link(1).store(3); }, "chain"},
      {"a lonely bucket in use", [](auto& parts) { parts.entry(16).store(make_entry(1, 15)); },
       "not empty"},
      {"stamps that end soon", [](auto& parts) { parts.header().next_stamp.store(~0ULL - 1); },
       "stamps are used up"},
      // The first block of all: those behind it have lower ones.
      {"a last stamp in a block", [](auto& parts) { parts.block(0)[0].store(~0ULL); },
       "stamps are used up"},
  };
  for (const Case& test : cases) {
    const ShardMemory memory(geometry);
    {
      ShardWriter writer = attach(memory, geometry);
      for (int user = 0; user < 9; ++user) {
        ASSERT_TRUE(put(writer, key_of("u" + std::to_string(user)), 1));
      }
    }
    ShardParts<std::byte> parts(static_cast<std::byte*>(memory.get()), geometry);
    // Nine users: the main bucket is full, and a bucket is linked: number 1 of the index.
    ASSERT_EQ(parts.link(0).load(), 1U);
    test.damage(parts);
    const std::vector<std::uint8_t> before(memory.bytes(), memory.bytes() + memory.size());
    const Result<ShardWriter> writer = ShardWriter::attach(memory.get(), geometry, 0, kSecret, 1);
    ASSERT_FALSE(writer.ok()) << test.name;
    EXPECT_NE(writer.error().message().find(test.expected), std::string::npos)
        << test.name << ": " << writer.error().message();
    EXPECT_EQ(std::memcmp(before.data(), memory.bytes(), memory.size()), 0) << test.name;
  }
}

TEST(ShardWriter, StampsGrowAcrossAttaches) {
  const TableGeometry geometry = geometry_of(16, 1, 1);
  const ShardMemory memory(geometry);
  std::uint64_t last = 0;
  for (int life = 0; life < 5; ++life) {
    ShardWriter writer = attach(memory, geometry);
    EXPECT_GT(writer.next_stamp(), last);
    ASSERT_TRUE(put(writer, key_of("ann"), 1));
    ASSERT_TRUE(put(writer, key_of("ann"), 2));
    last = writer.next_stamp() - 1;
  }
  // Even where only the blocks know: the counter is taken from what is higher.
  ShardParts<std::byte>(static_cast<std::byte*>(memory.get()), geometry)
      .header()
      .next_stamp.store(1);
  EXPECT_GT(attach(memory, geometry).next_stamp(), last);
}

TEST(ShardWriter, AStampIsNotUsedAgainWhereItsBlockWasBeingRebuilt) {
  const TableGeometry geometry = geometry_of(16, 1, 1);
  const ShardMemory memory(geometry);
  std::uint64_t last = 0;
  {
    ShardWriter writer = attach(memory, geometry);
    ASSERT_TRUE(put(writer, key_of("ann"), 1));
    ASSERT_TRUE(put(writer, key_of("bob"), 1));
    last = writer.next_stamp() - 1;
    ASSERT_TRUE(writer.clear(key_of("bob")));
  }
  // Killed as bob's block was built for somebody: the newest stamp is in no block any more.
  const ShardParts<std::byte> parts(static_cast<std::byte*>(memory.get()), geometry);
  for (std::uint32_t block = 0; block < geometry.blocks_per_shard; ++block) {
    if (parts.block(block)[0].load() == last) parts.block(block)[0].store(0);
  }
  EXPECT_GT(attach(memory, geometry).next_stamp(), last);
}

TEST(ShardWriter, SequenceIsKeptForTheNextOwner) {
  const TableGeometry geometry = geometry_of(16, 1, 1);
  const ShardMemory memory(geometry);
  attach(memory, geometry).set_sequence(77);
  EXPECT_EQ(attach(memory, geometry).sequence(), 77U);
  EXPECT_EQ(ShardReader<>(memory.get(), geometry, kSecret).sequence(), 77U);
}

TEST(ShardWriter, RandomOperationsAgreeWithAnUnorderedMap) {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 12; ++round) {
    const auto blocks = static_cast<std::uint32_t>(40 + random() % 400);
    const auto reuse = static_cast<std::uint32_t>(1 + random() % 8);
    const TableGeometry geometry = geometry_of(blocks, blocks / 6 + 1, blocks / 12 + 2, 24, 48);
    const ShardMemory memory(geometry);
    ShardWriter writer = attach(memory, geometry, reuse);
    ShardReader<> reader(memory.get(), geometry, kSecret);
    std::unordered_map<std::string, std::uint64_t> reference;
    OwnCopy copy(geometry);
    for (std::uint64_t step = 1; step < 6000; ++step) {
      const std::string text = "key-" + std::to_string(random() % (blocks + blocks / 4));
      const Key key = key_of(text);
      const bool known = reference.contains(text);
      switch (random() % 8) {
        case 0:
          ASSERT_EQ(writer.clear(key), reference.erase(text) != 0);
          break;
        case 1:
        case 2: {
          const ReadOutcome outcome = reader.get(key, *copy);
          ASSERT_EQ(outcome, known ? ReadOutcome::kFound : ReadOutcome::kAbsent);
          if (known) {
            ASSERT_EQ(copy->sequence(), reference[text]);
            ASSERT_TRUE(is_whole(*copy));
          }
          break;
        }
        default: {
          const bool room = known || writer.can_insert(key, 0);
          ASSERT_EQ(put(writer, key, step), room);
          if (room) reference[text] = step;
        }
      }
      if (random() % 1000 == 0) {
        writer = attach(memory, geometry, reuse);
      }
      ASSERT_EQ(writer.used_count(), reference.size());
      ASSERT_EQ(writer.free_block_count(), blocks - reference.size());
    }
    std::uint64_t seen = 0;
    const std::uint64_t busy = reader.for_each(*copy, [&](ProfileCopy& profile) {
      const Key key = profile.key();
      const auto found = reference.find(std::string(key.bytes, key.size));
      ASSERT_NE(found, reference.end());
      EXPECT_EQ(found->second, profile.sequence());
      ++seen;
    });
    EXPECT_EQ(busy, 0U);
    EXPECT_EQ(seen, reference.size());
  }
}

TEST(ShardWriter, PlannedTablesTakeAllTheirProfiles) {
  constexpr std::uint64_t kProfiles = 20000;
  constexpr std::uint32_t kShards = 4;
  const TableGeometry geometry = TableGeometry::plan(kProfiles, kShards, 1, 16, 16);
  std::vector<std::unique_ptr<ShardMemory>> memories;
  std::vector<ShardWriter> writers;
  for (std::uint32_t shard = 0; shard < kShards; ++shard) {
    memories.push_back(std::make_unique<ShardMemory>(geometry));
    writers.push_back(attach(*memories.back(), geometry, kReuseBlocksDefault));
  }
  for (std::uint64_t user = 0; user < kProfiles; ++user) {
    const std::string text = "u" + std::to_string(user);
    ASSERT_TRUE(put(writers[shard_of(key_of(text), kShards)], key_of(text), 1)) << user;
  }
}

TEST(ShardWriter, APlannedShardTakesProfilesUntilItsLastSpareBlock) {
  // Small shards too, whose counts of full buckets vary more; each filled anew many times over.
  for (const std::uint64_t expected : {1U, 10U, 100U, 1'000U, 16'000U}) {
    const TableGeometry geometry = TableGeometry::plan(expected, 1, 1, 16, 16);
    std::uint64_t user = 0;
    for (std::uint64_t shards = 1 + 400'000 / (expected + 400); shards > 0; --shards) {
      const ShardMemory memory(geometry);
      ShardWriter writer = attach(memory, geometry, kReuseBlocksDefault);
      while (writer.spare_block_count() > 0) {
        const std::string text = "u" + std::to_string(user++);
        ASSERT_TRUE(put(writer, key_of(text), 1)) << text << " of " << expected;
      }
    }
  }
}

}  // namespace
}  // namespace deja
