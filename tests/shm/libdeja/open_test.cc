// Attaching: every way in which files can be wrong has its answer, and none of them a crash.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <random>

#include "tests/shm/libdeja/segment_by_hand.h"

namespace deja {
namespace {

using namespace libdeja_test;

TEST(LibdejaOpen, AnApplianceThatIsServedOpens) {
  const SegmentByHand segment;
  Opened opened(segment);
  ASSERT_EQ(opened.status(), DEJA_OK);
  EXPECT_EQ(deja_state(opened.get()), DEJA_OK);
  EXPECT_EQ(deja_incarnation(opened.get()), 1000U);
  EXPECT_EQ(deja_feature_count(opened.get()), segment.features().size());
  EXPECT_EQ(deja_profile_bytes(opened.get()), 16 + segment.geometry().block_bytes());
}

TEST(LibdejaOpen, WithoutFilesItIsAbsent) {
  deja_appliance* appliance = nullptr;
  EXPECT_EQ(deja_open("nobody", nullptr, &appliance), DEJA_ABSENT);
  EXPECT_EQ(appliance, nullptr);
  EXPECT_EQ(deja_open("nobody", "/nowhere/at/all", &appliance), DEJA_ABSENT);
  deja_close(nullptr);
}

TEST(LibdejaOpen, ArgumentsThatCanNotBeAreMisuse) {
  deja_appliance* appliance = nullptr;
  EXPECT_EQ(deja_open(nullptr, nullptr, &appliance), DEJA_MISUSE);
  EXPECT_EQ(deja_open("shop", nullptr, nullptr), DEJA_MISUSE);
  EXPECT_EQ(deja_open("", nullptr, &appliance), DEJA_MISUSE);
  EXPECT_EQ(deja_open("../shop", nullptr, &appliance), DEJA_MISUSE);
  EXPECT_EQ(deja_open(std::string(40, 'x').c_str(), nullptr, &appliance), DEJA_MISUSE);
  EXPECT_EQ(deja_open("shop", std::string(300, 'x').c_str(), &appliance), DEJA_MISUSE);
}

TEST(LibdejaOpen, FilesOfAnotherUserAreDenied) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  const SegmentByHand segment;
  ASSERT_EQ(chmod(segment.directory(), 0755), 0);
  ASSERT_EQ(chmod(segment.segment_path("superblock").c_str(), 0600), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    deja_appliance* appliance = nullptr;
    const bool other = seteuid(65534) == 0;
    _exit(other && deja_open("hand", segment.directory(), &appliance) == DEJA_DENIED ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(LibdejaOpen, ASuperblockThatCanNotBeHasItsAnswer) {
  struct Case {
    const char* name;
    void (*damage)(SuperblockLayout&);
    deja_status expected;
  };
  const Case cases[] = {
      {"still being made", [](auto& block) { block.magic = 0; }, DEJA_ABSENT},
      {"another magic", [](auto& block) { block.magic = 1; }, DEJA_DAMAGED},
      {"newer", [](auto& block) { ++block.layout_version; }, DEJA_NEWER},
      {"no version", [](auto& block) { block.layout_version = 0; }, DEJA_DAMAGED},
      {"another hash", [](auto& block) { ++block.layout_hash; }, DEJA_DAMAGED},
      {"unknown shards", [](auto& block) { block.shard_function = ShardFunction{9}; },
       DEJA_DAMAGED},
      {"no shards", [](auto& block) { block.shard_count = 0; }, DEJA_DAMAGED},
      {"too many shards", [](auto& block) { block.shard_count = 1U << 20U; }, DEJA_DAMAGED},
      {"no workers", [](auto& block) { block.worker_count = 0; }, DEJA_DAMAGED},
      {"more workers than files", [](auto& block) { block.worker_count = 4; }, DEJA_ABSENT},
      {"too many blocks", [](auto& block) { block.blocks_per_shard += 1000; }, DEJA_DAMAGED},
      {"the most blocks", [](auto& block) { block.blocks_per_shard = ~0U; }, DEJA_DAMAGED},
      {"too many buckets", [](auto& block) { block.main_buckets = 1U << 30U; }, DEJA_DAMAGED},
      {"no buckets", [](auto& block) { block.main_buckets = 0; }, DEJA_DAMAGED},
      {"too many overflows", [](auto& block) { block.overflow_buckets = 1U << 30U; }, DEJA_DAMAGED},
      {"odd keys", [](auto& block) { block.key_bytes = 13; }, DEJA_DAMAGED},
      {"long keys", [](auto& block) { block.key_bytes = 72; }, DEJA_DAMAGED},
      {"a frame too short for its features", [](auto& block) { block.frame_bytes = 8; },
       DEJA_DAMAGED},
      {"too many rings", [](auto& block) { block.ingest_count = 3; }, DEJA_DAMAGED},
      {"no rings", [](auto& block) { block.ingest_count = 0; }, DEJA_DAMAGED},
      {"a catalog longer than its file", [](auto& block) { block.catalog_bytes += 4096; },
       DEJA_DAMAGED},
      {"an endless catalog", [](auto& block) { block.catalog_bytes = ~0U; }, DEJA_DAMAGED},
      {"no catalog", [](auto& block) { block.catalog_bytes = 0; }, DEJA_DAMAGED},
      {"half a catalog", [](auto& block) { block.catalog_bytes /= 2; }, DEJA_DAMAGED},
      {"another incarnation", [](auto& block) { block.incarnation = 7; }, DEJA_ABSENT},
      {"stopped", [](auto& block) { block.state = SegmentState::kStopped; }, DEJA_ABSENT},
  };
  for (const Case& test : cases) {
    SegmentByHand segment;
    test.damage(segment.superblock());
    EXPECT_EQ(Opened(segment).status(), test.expected) << test.name;
  }
}

TEST(LibdejaOpen, FilesTooShortAreDamaged) {
  for (const char* name : {"superblock", "catalog", "profiles-2", "consumed-1"}) {
    for (const bool empty : {true, false}) {
      const SegmentByHand segment;
      const std::string path = std::strcmp(name, "superblock") == 0 ? segment.segment_path(name)
                                                                    : segment.path_now(name);
      const auto size = static_cast<off_t>(std::filesystem::file_size(path));
      const off_t shorter = std::strcmp(name, "superblock") == 0 ? 200 : size - 1;
      ASSERT_EQ(truncate(path.c_str(), empty ? 0 : shorter), 0);
      EXPECT_EQ(Opened(segment).status(), DEJA_DAMAGED) << name;
    }
  }
}

TEST(LibdejaOpen, ADirectoryForAFileIsDamaged) {
  const SegmentByHand segment;
  std::filesystem::remove(segment.path_now("consumed-0"));
  std::filesystem::create_directory(segment.path_now("consumed-0"));
  EXPECT_EQ(Opened(segment).status(), DEJA_DAMAGED);
}

TEST(LibdejaOpen, AFeatureOfALaterTypeLeavesTheOthersReadable) {
  SegmentByHand::Options options;
  options.features = {{"views", spec_of(FeatureType::kCount)}, {"later", FeatureSpec{}}};
  options.features[1].spec.type = static_cast<FeatureType>(40);
  SegmentByHand segment(options);
  Opened opened(segment);
  ASSERT_EQ(opened.status(), DEJA_OK);
  segment.put("ann", {5});
  deja_profile* profile = opened.profile();
  ASSERT_EQ(deja_get(opened.get(), user("ann"), profile), DEJA_OK);
  double number = 0;
  EXPECT_EQ(deja_number(opened.get(), profile, 0, 0, &number), DEJA_OK);
  EXPECT_EQ(number, 5);
  EXPECT_EQ(deja_number(opened.get(), profile, 1, 0, &number), DEJA_WRONG_TYPE);
}

/// Everything that can be done with a handle.
void use(deja_appliance* appliance, deja_profile* profile, std::mt19937_64& random) {
  deja_cursor cursor{};
  for (int step = 0; step < 300; ++step) {
    const deja_status status = deja_next(appliance, &cursor, profile);
    if (status == DEJA_END) break;
    if (status != DEJA_OK) continue;
    const deja_key key = deja_profile_key(profile);
    ASSERT_LE(key.size, kKeyBytesMax);
    const auto now_us = static_cast<std::int64_t>(random());
    (void)deja_age_us(profile, now_us);
    for (deja_feature feature = 0; feature < deja_feature_count(appliance); ++feature) {
      double number = 0;
      deja_scalar scalar;
      deja_item items[10];
      deja_session_state session;
      std::uint32_t count = 0;
      (void)deja_number(appliance, profile, feature, now_us, &number);
      (void)deja_value(appliance, profile, feature, &scalar);
      (void)deja_items(appliance, profile, feature, now_us, items, 10, &count);
      (void)deja_session(appliance, profile, feature, now_us, &session);
      (void)deja_is_estimate(appliance, profile, feature, now_us);
    }
  }
  (void)deja_get(appliance, user("user-1"), profile);
}

TEST(LibdejaOpen, RandomDamageInAnyFileNeverLeadsOutside) {
  const char* text = std::getenv("DEJA_SEED");
  const std::uint64_t seed = text != nullptr ? std::strtoull(text, nullptr, 10) : 20261120;
  std::printf("DEJA_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  int opened_count = 0;
  for (int round = 0; round < 120; ++round) {
    SegmentByHand::Options options;
    options.profiles_max = 8;
    options.shard_count = 2;
    options.worker_count = 1;
    SegmentByHand segment(options);
    for (int at = 0; at < 8; ++at) {
      std::vector<std::uint8_t> frame(segment.geometry().frame_bytes);
      for (std::uint8_t& byte : frame) byte = static_cast<std::uint8_t>(random());
      segment.put("user-" + std::to_string(at), frame);
    }
    const char* name = round % 3 == 0 ? "superblock" : (round % 3 == 1 ? "catalog" : "profiles-0");
    const std::uint64_t size = round % 3 == 0 ? sizeof(SuperblockLayout)
                                              : (round % 3 == 1 ? segment.superblock().catalog_bytes
                                                                : segment.geometry().file_bytes(0));
    for (std::uint64_t flips = 1 + random() % (round % 3 == 2 ? 2000 : 3); flips > 0; --flips) {
      // Not what says that there is no appliance at all: that answer comes after 100 ms only.
      const std::uint64_t at = round % 3 == 0 ? 64 + random() % (size - 96) : random() % size;
      segment.file(name)[at] ^= static_cast<std::uint8_t>(1U << (random() % 8));
    }
    Opened opened(segment);
    if (opened.status() != DEJA_OK) continue;
    ++opened_count;
    use(opened.get(), opened.profile(), random);
  }
  EXPECT_GT(opened_count, 20);
}

}  // namespace
}  // namespace deja
