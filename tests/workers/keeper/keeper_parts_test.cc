// The keeper's pure parts: names in Redis, the touched set, catalogs from strangers.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "tests/support/seed.h"
#include "workers/keeper/loss_window.h"
#include "workers/keeper/stored_catalog.h"
#include "workers/keeper/stored_profile.h"
#include "workers/keeper/touched_set.h"

namespace deja {
namespace {

Key user(const std::string& name, KeyNamespace name_space = KeyNamespace::kUser) {
  return {name_space, name.data(), static_cast<std::uint32_t>(name.size())};
}

TEST(StoredProfile, HasANameThatReadsBackWhateverTheKeyIs) {
  for (const std::string& name : {std::string("ada"), std::string("}:user:x"),
                                  std::string("\0\n:", 3), std::string(64, 'x')}) {
    for (const KeyNamespace name_space : {KeyNamespace::kUser, KeyNamespace::kAnonymous}) {
      const std::string stored = profile_key(17, user(name, name_space));
      const std::optional<ProfileName> parsed = parse_profile_key(stored);
      ASSERT_TRUE(parsed.has_value());
      EXPECT_EQ(parsed->shard, 17U);
      EXPECT_TRUE(parsed->key == user(name, name_space));
    }
  }
  const std::string ada = "ada";
  EXPECT_EQ(profile_key(3, user(ada)), "deja:{3}:user:ada");
  EXPECT_EQ(profile_key(3, user(ada, KeyNamespace::kAnonymous)), "deja:{3}:anon:ada");
}

TEST(StoredProfile, IsNotReadFromOtherNames) {
  for (const std::string& name :
       {std::string(""), std::string("deja:epoch"), std::string("deja:{}:user:x"),
        std::string("deja:{-1}:user:x"), std::string("deja:{4294967296}:user:x"),
        std::string("deja:{1}:watermark"), std::string("deja:{1}:user:"),
        std::string("deja:{1}user:x"), std::string("deja:{1"),
        "deja:{1}:user:" + std::string(65, 'x')}) {
    EXPECT_FALSE(parse_profile_key(name).has_value()) << name;
  }
}

/// 0: not there.
std::uint64_t sequence_of(const TouchedKeys& keys, const std::string& owned) {
  std::uint64_t found = 0;
  for (const auto& [key, sequence] : keys) {
    if (key != owned) continue;
    EXPECT_EQ(found, 0U) << owned << " is there twice";
    found = sequence;
  }
  return found;
}

TEST(TouchedKeys, HoldWhatAMapWouldHold) {
  std::mt19937_64 random(test_seed());
  const HashSecret secret{{random(), random()}};
  TouchedKeys keys;
  std::map<std::string, std::uint64_t> expected;
  for (int round = 0; round < 50'000; ++round) {
    // Of all lengths, some the beginning of others; both namespaces.
    const std::string name = std::string(random() % 60, 'x') + std::to_string(random() % 200);
    const Key key = user(name, static_cast<KeyNamespace>(random() % 2));
    const std::uint64_t sequence = random() % 1000;
    const auto [place, is_new] = expected.try_emplace(owned_key(key), sequence);
    place->second = std::max(place->second, sequence);
    ASSERT_EQ(keys.touch(secret, key, sequence), is_new);
  }
  EXPECT_EQ(keys.size(), expected.size());
  std::map<std::string, std::uint64_t> held;
  for (const auto& [key, sequence] : keys) {
    EXPECT_TRUE(held.emplace(key, sequence).second) << "twice";
  }
  EXPECT_EQ(held, expected);
  keys.clear();
  EXPECT_TRUE(keys.empty());
  EXPECT_TRUE(keys.begin() == keys.end());
  const std::string name = "x";
  EXPECT_TRUE(keys.touch(secret, user(name), 1));
}

TEST(TouchedSet, KeepsEachKeyOnceWithItsNewestSequence) {
  TouchedSet touched(2, 100);
  const std::string ada = "ada";
  touched.touch(1, user(ada), 5, 1000);
  touched.touch(1, user(ada), 9, 900);
  touched.touch(1, user(ada), 7, 1100);
  touched.touch(1, user(ada, KeyNamespace::kAnonymous), 8, 1000);
  EXPECT_EQ(touched.count(), 2U);
  const TouchedSet::Shard taken = touched.take(1);
  EXPECT_EQ(sequence_of(taken.keys, owned_key(user(ada))), 9U);
  EXPECT_EQ(taken.oldest_us, 900);
  EXPECT_TRUE(touched.empty());
  EXPECT_EQ(touched.count(), 0U);
}

TEST(TouchedSet, WalksTheShardThatFindsNoRoomAndForgetsNone) {
  TouchedSet touched(2, 3);
  for (int at = 0; at < 3; ++at) touched.touch(0, "0u" + std::to_string(at), 1, 0);
  touched.touch(1, "0x", 1, 0);
  EXPECT_TRUE(touched.shard(1).walk);
  EXPECT_EQ(touched.count(), 3U);
  touched.touch(1, "0y", 2, 0);  // covered by the walk
  EXPECT_EQ(touched.count(), 3U);
  EXPECT_FALSE(touched.shard(0).walk);
  touched.touch(0, "0u1", 2, 0);  // known: needs no room
  EXPECT_EQ(sequence_of(touched.shard(0).keys, "0u1"), 2U);
}

TEST(TouchedSet, TakesBackWhatCouldNotBeWritten) {
  TouchedSet touched(1, 100);
  touched.touch(0, "0a", 5, 100);
  touched.touch(0, "0b", 6, 100);
  TouchedSet::Shard taken = touched.take(0);
  touched.touch(0, "0a", 9, 300);
  touched.put_back(0, std::move(taken));
  EXPECT_EQ(sequence_of(touched.shard(0).keys, "0a"), 9U);
  EXPECT_EQ(sequence_of(touched.shard(0).keys, "0b"), 6U);
  EXPECT_EQ(touched.shard(0).oldest_us, 100);
  touched.walk(0);
  TouchedSet::Shard walked = touched.take(0);
  touched.touch(0, "0c", 1, 0);
  touched.put_back(0, std::move(walked));
  EXPECT_TRUE(touched.shard(0).walk);
  EXPECT_EQ(touched.count(), 0U);
}

/// Two shards' watermarks and what is confirmed of them; a window of a second.
struct WindowScene {
  void tick(std::int64_t at_ms) { window.tick(watermarks, at_ms * 1'000'000); }
  std::atomic<std::uint64_t> watermarks[2] = {0, 0};
  std::atomic<std::uint64_t> confirmed[2] = {0, 0};
  LossWindow window{confirmed, 2, 1'000'000'000};
};

TEST(LossWindow, ConfirmsWhatStoodForTheWholeWindow) {
  WindowScene scene;
  scene.watermarks[0] = 5;
  scene.tick(0);
  EXPECT_EQ(scene.confirmed[0], 0U);
  scene.watermarks[0] = 9;
  for (std::int64_t at_ms = 100; at_ms < 1000; at_ms += 100) {
    scene.tick(at_ms);
    EXPECT_EQ(scene.confirmed[0], 0U) << at_ms;
  }
  scene.tick(1000);
  EXPECT_EQ(scene.confirmed[0], 5U);
  scene.tick(1100);
  EXPECT_EQ(scene.confirmed[0], 9U);
  EXPECT_EQ(scene.confirmed[1], 0U);
}

TEST(LossWindow, WhatRedisTakesBackIsNotConfirmedByWhatItSaidBefore) {
  WindowScene scene;
  scene.watermarks[0] = scene.watermarks[1] = 5;
  scene.tick(0);
  scene.watermarks[0] = 9;
  scene.tick(500);
  scene.tick(1000);
  ASSERT_EQ(scene.confirmed[0], 5U);
  scene.watermarks[0] = 3;
  scene.window.take_back(0, 3);
  EXPECT_EQ(scene.confirmed[0], 3U);
  scene.tick(1500);
  EXPECT_EQ(scene.confirmed[0], 3U);
  EXPECT_EQ(scene.confirmed[1], 5U);
}

TEST(StoredCatalog, IsRefusedWhenItIsNoMessage) {
  EXPECT_FALSE(StoredCatalog::parse("garbage").ok());
  EXPECT_FALSE(StoredCatalog::parse("12345678").ok());
  EXPECT_FALSE(StoredCatalog::parse(std::string(64, '\xff')).ok());
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(8 * (random() % 40), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % 3 == 0 ? random() : 0);
    (void)StoredCatalog::parse(bytes);  // whatever it says, it comes back
  }
}

TEST(FrameTranslation, CarriesByDefinitionAndNotByNameOrPlace) {
  const auto feature = [](const char* name, std::uint64_t definition, std::uint32_t offset,
                          std::uint32_t bytes) {
    FeatureColumn column{name, definition, {}};
    column.spec.offset = offset;
    column.spec.bytes = bytes;
    return column;
  };
  StoredCatalog from{
      1, 24, {feature("a", 10, 0, 8), feature("b", 20, 8, 8), feature("c", 0, 16, 8)}};
  StoredCatalog to{2,
                   40,
                   {feature("b", 11, 0, 8), feature("renamed", 20, 8, 8), feature("a", 10, 16, 8),
                    feature("c", 0, 24, 8), feature("d", 10, 32, 8)}};
  std::string translated;
  FrameTranslation(from, to).translate("aaaaaaaabbbbbbbbcccccccc", translated);
  const std::string none(8, '\0');
  EXPECT_EQ(translated, none + "bbbbbbbb" + "aaaaaaaa" + none + "aaaaaaaa");
}

}  // namespace
}  // namespace deja
