// The interleavings that the two second looks are for, each made to happen at its very point; and
// hostile memory. tests/stress/table_race_test.cc leaves them to chance.
#include "shm/shard_reader.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <random>

#include "tests/shm/table/shard_memory.h"

namespace deja {
namespace {

using namespace table_test;

std::function<void(ReadStep)> hook;

struct Hooked : BothLooks {
  static void between(ReadStep step) {
    if (hook) hook(step);
  }
};
struct HookedWithoutEntryAgain : Hooked {
  static constexpr bool kEntryAgain = false;
};
struct HookedWithoutStampAgain : Hooked {
  static constexpr bool kStampAgain = false;
};

/// A shard with ann and bob and a reuse FIFO of one block.
struct Scene {
  Scene() : memory(geometry), writer(attach(memory, geometry, 1)), copy(geometry) {
    CHECK(put(writer, key_of("ann"), 1));
    CHECK(put(writer, key_of("bob"), 1));
    CHECK(put(writer, key_of("bob"), 2));  // now one block waits
  }
  ~Scene() { hook = nullptr; }
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;

  /// Reads ann while `action` happens once, at the first `step`.
  template <typename Looks>
  ReadOutcome read_ann(ReadStep step, std::function<void()> action) {
    hook = [step, action = std::move(action), done = false](ReadStep now) mutable {
      if (now != step || done) return;
      done = true;
      action();
    };
    const ShardReader<Looks> reader(memory.get(), geometry, kSecret);
    const ReadOutcome outcome = reader.get(key_of("ann"), *copy);
    hook = nullptr;
    return outcome;
  }

  TableGeometry geometry = geometry_of(16, 1, 1);
  ShardMemory memory;
  ShardWriter writer;
  OwnCopy copy;
};

/// ann's block is used for the next but one version of ann: her entry is the same word again.
void turn_ann_round(Scene& scene) {
  CHECK(put(scene.writer, key_of("ann"), 3));
  CHECK(put(scene.writer, key_of("ann"), 4));
}

/// ann's block is used for bob.
void give_anns_block_to_bob(Scene& scene) {
  CHECK(put(scene.writer, key_of("ann"), 3));
  CHECK(put(scene.writer, key_of("bob"), 4));
}

TEST(ShardReader, ABlockRebuiltDuringTheCopyIsReadAnew) {
  Scene scene;
  ASSERT_EQ(scene.read_ann<Hooked>(ReadStep::kCopying, [&] { turn_ann_round(scene); }),
            ReadOutcome::kFound);
  EXPECT_TRUE(is_whole(*scene.copy));
  EXPECT_EQ(scene.copy->sequence(), 4U);
}

TEST(ShardReader, WithoutTheStampAgainARebuiltBlockIsTorn) {
  Scene scene;
  ASSERT_EQ(
      scene.read_ann<HookedWithoutStampAgain>(ReadStep::kCopying, [&] { turn_ann_round(scene); }),
      ReadOutcome::kFound);
  EXPECT_FALSE(is_whole(*scene.copy));
}

TEST(ShardReader, ABlockGivenToAnotherUserIsNotTakenForACollision) {
  Scene scene;
  ASSERT_EQ(scene.read_ann<Hooked>(ReadStep::kEntryLoaded, [&] { give_anns_block_to_bob(scene); }),
            ReadOutcome::kFound);
  EXPECT_TRUE(is_whole(*scene.copy));
  EXPECT_EQ(scene.copy->sequence(), 3U);
}

TEST(ShardReader, WithoutTheEntryAgainAUserWhoIsThereIsAbsent) {
  Scene scene;
  EXPECT_EQ(scene.read_ann<HookedWithoutEntryAgain>(ReadStep::kEntryLoaded,
                                                    [&] { give_anns_block_to_bob(scene); }),
            ReadOutcome::kAbsent);
}

TEST(ShardReader, TheEntryIsLookedAtBeforeTheStamp) {
  // bob in ann's block is copied whole; then ann comes back to that block. A reader who looks at
  // the stamp first and at the entry after that finds both unchanged, and ann missing.
  Scene scene;
  int stage = 0;
  hook = [&](ReadStep step) {
    if (stage == 0 && step == ReadStep::kEntryLoaded) {
      stage = 1;
      give_anns_block_to_bob(scene);
    } else if (stage == 1 && step == ReadStep::kEntryAgain) {
      stage = 2;
      CHECK(put(scene.writer, key_of("bob"), 5));
      CHECK(put(scene.writer, key_of("ann"), 6));
    }
  };
  const ShardReader<Hooked> reader(scene.memory.get(), scene.geometry, kSecret);
  ASSERT_EQ(reader.get(key_of("ann"), *scene.copy), ReadOutcome::kFound);
  EXPECT_TRUE(is_whole(*scene.copy));
}

TEST(ShardReader, AStepAtEveryPointLeavesEveryReadWhole) {
  for (const ReadStep step : {ReadStep::kEntryLoaded, ReadStep::kStampLoaded, ReadStep::kCopying,
                              ReadStep::kCopied, ReadStep::kEntryAgain}) {
    for (void (*action)(Scene&) : {turn_ann_round, give_anns_block_to_bob}) {
      Scene scene;
      ASSERT_EQ(scene.read_ann<Hooked>(step, [&] { action(scene); }), ReadOutcome::kFound);
      EXPECT_TRUE(is_whole(*scene.copy));
      EXPECT_EQ(scene.copy->key(), key_of("ann"));
    }
  }
}

TEST(ShardReader, AnOwnerWhoIsAlwaysFasterMakesItBusyAndNotEndless) {
  Scene scene;
  std::uint64_t sequence = 3;
  std::uint32_t attempts = 0;
  hook = [&](ReadStep step) {
    if (step != ReadStep::kCopying) return;
    ++attempts;
    CHECK(put(scene.writer, key_of("ann"), sequence++));
  };
  const ShardReader<Hooked> reader(scene.memory.get(), scene.geometry, kSecret);
  EXPECT_EQ(reader.get(key_of("ann"), *scene.copy), ReadOutcome::kBusy);
  EXPECT_EQ(attempts, kReadAttemptsMax);
  ShardCursor cursor;
  EXPECT_EQ(reader.next(cursor, *scene.copy), ReadOutcome::kBusy);
  EXPECT_EQ(reader.next(cursor, *scene.copy), ReadOutcome::kFound);
  EXPECT_EQ(scene.copy->key(), key_of("bob"));
}

TEST(ShardReader, AUserClearedDuringTheReadIsAbsentOrWhole) {
  for (const ReadStep step : {ReadStep::kEntryLoaded, ReadStep::kCopying, ReadStep::kCopied}) {
    Scene scene;
    EXPECT_EQ(scene.read_ann<Hooked>(step, [&] { CHECK(scene.writer.clear(key_of("ann"))); }),
              ReadOutcome::kAbsent);
  }
}

TEST(ShardReader, ZeroedMemoryIsAnEmptyShard) {
  const TableGeometry geometry = geometry_of(16, 3, 2);
  const ShardMemory memory(geometry);
  const ShardReader<> reader(memory.get(), geometry, kSecret);
  OwnCopy copy(geometry);
  EXPECT_EQ(reader.get(key_of("ann"), *copy), ReadOutcome::kAbsent);
  ShardCursor cursor;
  EXPECT_EQ(reader.next(cursor, *copy), ReadOutcome::kAbsent);
  EXPECT_EQ(reader.sequence(), 0U);
}

TEST(ShardReader, HostileMemoryNeverLeadsOutsideAndNeverForEver) {
  std::mt19937_64 random(test_seed());
  const TableGeometry geometry = geometry_of(16, 2, 3);
  // Heap memory of the exact size, so that AddressSanitizer sees one byte too many.
  const std::unique_ptr<std::byte, void (*)(void*)> memory(
      static_cast<std::byte*>(std::aligned_alloc(kCacheLineBytes, geometry.shard_bytes())),
      std::free);
  OwnCopy copy(geometry);
  for (int round = 0; round < 300; ++round) {
    for (std::uint64_t at = 0; at < geometry.shard_bytes(); at += 8) {
      std::uint64_t word = random() % 3 == 0 ? random() % 20 : random();
      // Half of the entries carry the tag that is asked for.
      if (random() % 2 == 0) {
        word = (word & 0xffffffffU) | std::uint64_t{tag_of(keyed_hash(kSecret, key_of("ann")))}
                                          << 32U;
      }
      std::memcpy(memory.get() + at, &word, 8);
    }
    const ShardReader<> reader(memory.get(), geometry, kSecret);
    (void)reader.get(key_of("ann"), *copy);
    (void)reader.for_each(*copy, [](ProfileCopy& profile) { ASSERT_LE(profile.key().size, 16U); });
  }
  // A chain that is a ring.
  std::memset(memory.get(), 0, geometry.shard_bytes());
  ShardParts<std::byte> parts(memory.get(), geometry);
  for (std::uint32_t bucket = 0; bucket < geometry.bucket_count(); ++bucket) {
    parts.link(bucket).store(1);
  }
  EXPECT_EQ(ShardReader<>(memory.get(), geometry, kSecret).get(key_of("ann"), *copy),
            ReadOutcome::kAbsent);
}

}  // namespace
}  // namespace deja
