// A handle through the lives of an appliance, and waiting for one's own click.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "shm/token.h"
#include "tests/shm/libdeja/segment_by_hand.h"

namespace deja {
namespace {

using namespace libdeja_test;

SegmentByHand::Options only(const std::string& name) {
  SegmentByHand::Options options;
  options.features = {{name, spec_of(FeatureType::kCount)}};
  return options;
}

TEST(LibdejaLifetime, ARestartIsStaleAndThenAReattach) {
  SegmentByHand segment(only("views"));
  segment.put("ann", {5});
  Opened opened(segment);
  deja_profile* profile = opened.profile();
  ASSERT_EQ(deja_get(opened.get(), user("ann"), profile), DEJA_OK);
  ASSERT_EQ(deja_reattach(opened.get()), DEJA_OK);  // current already: nothing changes
  double number = 0;
  EXPECT_EQ(deja_number(opened.get(), profile, 0, 0, &number), DEJA_OK);

  SegmentByHand::Options options = only("carts");
  options.features.push_back({"views", spec_of(FeatureType::kCount)});
  segment.next_incarnation(options);
  segment.put("ann", {1, 0, 0, 0, 0, 0, 0, 0, 9});
  std::vector<std::uint64_t> old(deja_profile_bytes(opened.get()) / 8);
  auto* second = reinterpret_cast<deja_profile*>(old.data());
  deja_cursor cursor{};
  const deja_key key = user("ann");
  deja_status status = DEJA_OK;
  EXPECT_EQ(deja_state(opened.get()), DEJA_STALE);
  EXPECT_EQ(deja_get(opened.get(), user("ann"), second), DEJA_STALE);
  EXPECT_EQ(deja_get_many(opened.get(), &key, 1, second, &status), DEJA_STALE);
  EXPECT_EQ(deja_next(opened.get(), &cursor, second), DEJA_STALE);
  // The copy from before still reads, and so does the last state where that is allowed.
  EXPECT_EQ(deja_number(opened.get(), profile, 0, 0, &number), DEJA_OK);
  deja_allow_stale(opened.get(), 1);
  EXPECT_EQ(deja_get(opened.get(), user("ann"), second), DEJA_OK);
  deja_allow_stale(opened.get(), 0);

  ASSERT_EQ(deja_reattach(opened.get()), DEJA_OK);
  EXPECT_EQ(deja_state(opened.get()), DEJA_OK);
  EXPECT_EQ(deja_incarnation(opened.get()), 1001U);
  EXPECT_EQ(deja_number(opened.get(), profile, 0, 0, &number), DEJA_STALE);
  deja_feature views = 0;
  ASSERT_EQ(deja_feature_find(opened.get(), "views", &views), DEJA_OK);
  EXPECT_EQ(views, 1U);
  profile = opened.profile();
  ASSERT_EQ(deja_get(opened.get(), user("ann"), profile), DEJA_OK);
  ASSERT_EQ(deja_number(opened.get(), profile, views, 0, &number), DEJA_OK);
  EXPECT_EQ(number, 9);
}

TEST(LibdejaLifetime, WhileTheServerIsAwayTheOldStateStaysReadable) {
  SegmentByHand segment(only("views"));
  segment.put("ann", {5});
  Opened opened(segment);
  segment.superblock().state.store(SegmentState::kStopped);
  EXPECT_EQ(deja_get(opened.get(), user("ann"), opened.profile()), DEJA_STALE);
  EXPECT_EQ(deja_reattach(opened.get()), DEJA_ABSENT);
  std::filesystem::remove_all(segment.segment_path(""));
  EXPECT_EQ(deja_reattach(opened.get()), DEJA_ABSENT);
  deja_allow_stale(opened.get(), 1);
  ASSERT_EQ(deja_get(opened.get(), user("ann"), opened.profile()), DEJA_OK);
  double number = 0;
  EXPECT_EQ(deja_number(opened.get(), opened.profile(), 0, 0, &number), DEJA_OK);
  EXPECT_EQ(number, 5);
}

TEST(LibdejaLifetime, TheHeartbeatIsTheServers) {
  SegmentByHand segment(only("views"));
  Opened opened(segment);
  segment.superblock().heartbeat_us.store(12345);
  EXPECT_EQ(deja_heartbeat_us(opened.get()), 12345);
  EXPECT_GT(deja_now_us(), 1'700'000'000'000'000);
}

TEST(LibdejaWait, ATokenIsVisibleWhenAllItsPositionsAreConsumed) {
  SegmentByHand segment;
  Opened opened(segment);
  const TokenPart parts[] = {{0, 1, 100}, {1, 2, 200}};
  char token[token_bytes_max(2)];
  ASSERT_NE(format_token(1000, parts, 2, token, sizeof token), 0U);
  EXPECT_EQ(deja_wait(opened.get(), token, 0), DEJA_TIMEOUT);
  segment.consume(1, 0, 100);
  EXPECT_EQ(deja_wait(opened.get(), token, 0), DEJA_TIMEOUT);
  segment.consume(2, 1, 199);
  EXPECT_EQ(deja_wait(opened.get(), token, 3000), DEJA_TIMEOUT);
  segment.consume(2, 1, 250);
  EXPECT_EQ(deja_wait(opened.get(), token, 0), DEJA_OK);
}

TEST(LibdejaWait, TheWaiterComesBackWhenTheEventDoes) {
  SegmentByHand segment;
  Opened opened(segment);
  std::atomic<bool> waiting{false};
  std::thread worker([&] {
    while (!waiting.load()) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    segment.consume(0, 1, 0x20);
  });
  waiting = true;
  EXPECT_EQ(deja_wait(opened.get(), "v1.3e8.1:0:20", 60'000'000), DEJA_OK);
  worker.join();
}

TEST(LibdejaWait, TokensOfOtherLivesHaveTheirAnswers) {
  SegmentByHand segment;
  Opened opened(segment);
  EXPECT_EQ(deja_wait(opened.get(), "v1.3e7.9:9:ffff", 0), DEJA_OK);  // an earlier life's
  segment.superblock().state.store(SegmentState::kStarting);
  EXPECT_EQ(deja_wait(opened.get(), "v1.3e7.9:9:ffff", 0), DEJA_TIMEOUT);
  segment.superblock().state.store(SegmentState::kServing);
  EXPECT_EQ(deja_wait(opened.get(), "v1.3e9.0:0:0", 0), DEJA_STALE);  // a later one's
  segment.superblock().state.store(SegmentState::kSuperseded);
  EXPECT_EQ(deja_wait(opened.get(), "v1.3e8.0:0:ffff", 1'000'000), DEJA_STALE);
}

TEST(LibdejaWait, WhatIsNoTokenOfThisApplianceIsMisuse) {
  const SegmentByHand segment;
  Opened opened(segment);
  for (const char* token : {"", "v1.3e8", "v1.3e8.2:0:0", "v1.3e8.0:3:0", "v1.3e8.0:0:0.0:9:0",
                            "v1.3e8.0:0:0x", "garbage"}) {
    EXPECT_EQ(deja_wait(opened.get(), token, 0), DEJA_MISUSE) << token;
  }
  EXPECT_EQ(deja_wait(opened.get(), nullptr, 0), DEJA_MISUSE);
  EXPECT_EQ(deja_wait(nullptr, "v1.3e8.0:0:0", 0), DEJA_MISUSE);
  EXPECT_EQ(deja_wait(opened.get(), "v1.3e8.0:0:0", INT64_MAX), DEJA_OK);
}

}  // namespace
}  // namespace deja
