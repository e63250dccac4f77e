// What a worker takes before its first event: stored profiles, events and ids of the journal, and
// the word that this was all.
#include <gtest/gtest.h>

#include <random>

#include "tests/support/seed.h"
#include "tests/support/worker_world.h"

namespace deja {
namespace {

TEST(WorkerRecovery, TakesNoEventBeforeAllStoredProfilesAreIn) {
  WorkerWorld world;
  Worker& worker = world.start();
  world.ingest.send(view_of("ann"));
  EXPECT_EQ(worker.duty_cycle(), 0U);
  EXPECT_FALSE(worker.recovered());
  EXPECT_EQ(world.ingest.consumed_position(), 0U);
  ASSERT_TRUE(world.keeper.give_end());
  EXPECT_EQ(worker.duty_cycle(), 1U);
  EXPECT_EQ(worker.duty_cycle(), 1U);
  EXPECT_EQ(world.profile("ann").views, 1);
}

TEST(WorkerRecovery, StoredProfilesComeBackByteForByteAndCountsGoOnFromThere) {
  WorkerWorld before;
  before.start_fresh();
  for (int event = 0; event < 300; ++event) {
    before.ingest.send(view_of("user-" + std::to_string(event % 40)));
    before.ingest.send(order_of("user-" + std::to_string(event % 7), event));
    before.run_dry();
  }
  WorkerWorld after;
  Worker& worker = after.start();
  for (int user = 0; user < 40; ++user) {
    SeenProfile seen = before.profile("user-" + std::to_string(user));
    const ProfileCopy copy(seen.block.data(), before.fixture.segment().geometry());
    ASSERT_TRUE(after.keeper.give_profile(before.shard("user-" + std::to_string(user)), copy));
  }
  for (std::uint32_t shard = 0; shard < 4; ++shard) {
    ASSERT_TRUE(after.keeper.give_shard(shard, 1000 + shard));
  }
  ASSERT_TRUE(after.keeper.give_end());
  while (!worker.recovered()) worker.duty_cycle();

  for (int user = 0; user < 40; ++user) {
    SeenProfile stored = before.profile("user-" + std::to_string(user));
    SeenProfile seen = after.profile("user-" + std::to_string(user));
    ASSERT_TRUE(seen.found);
    stored.block[0] = seen.block[0] = 0;  // the stamp is the incarnation's own
    EXPECT_EQ(seen.block, stored.block);
  }
  EXPECT_EQ(after.counter("deja_profiles"), 40U);
  EXPECT_EQ(after.counter(kAppliedCounter), 0U) << "they were applied in another life";
  after.ingest.send(view_of("user-3"));
  worker.duty_cycle();
  EXPECT_EQ(after.profile("user-3").sequence, 1001 + after.shard("user-3"));
  EXPECT_EQ(after.profile("user-3").views, before.profile("user-3").views + 1);
  EXPECT_EQ(after.counter(kAppliedCounter), 1U);
}

TEST(WorkerRecovery, AProfileThatIsHandedOverTwiceDoesNotTurnBack) {
  WorkerWorld before;
  before.start_fresh();
  before.ingest.send(view_of("ann"));
  before.run_dry();
  SeenProfile older = before.profile("ann");
  before.ingest.send(view_of("ann"));
  before.run_dry();
  SeenProfile newer = before.profile("ann");
  WorkerWorld after;
  Worker& worker = after.start();
  for (SeenProfile* given : {&newer, &older}) {
    const ProfileCopy copy(given->block.data(), before.fixture.segment().geometry());
    ASSERT_TRUE(after.keeper.give_profile(before.shard("ann"), copy));
  }
  ASSERT_TRUE(after.keeper.give_end());
  while (!worker.recovered()) worker.duty_cycle();
  EXPECT_EQ(after.profile("ann").sequence, newer.sequence);
  EXPECT_EQ(after.profile("ann").views, 2);
}

TEST(WorkerRecovery, StoredProfilesThatMakeNoSenseAreCountedAndPassedOver) {
  WorkerWorld world;
  Worker& worker = world.start();
  std::mt19937_64 random(test_seed());
  std::uint64_t given = 0;
  while (given < 600) {
    std::vector<std::uint8_t> bytes(random() % 400);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
    const auto type = static_cast<std::uint32_t>(kReturnProfile + random() % 8);
    if (type == kReturnEnd) continue;
    while (!world.keeper.give(bytes, type)) worker.duty_cycle();
    ++given;
  }
  ASSERT_TRUE(world.keeper.give(std::vector<std::uint8_t>(3), kReturnShard));
  ASSERT_TRUE(world.keeper.give_shard(4, 1));
  ASSERT_TRUE(world.keeper.give_shard(0, ~std::uint64_t{0}));
  while (!world.keeper.give_end()) worker.duty_cycle();
  while (!worker.recovered()) worker.duty_cycle();
  EXPECT_EQ(world.counter("deja_return_faults_total"), given + 3);
  world.ingest.send(view_of("ann"));
  worker.duty_cycle();
  EXPECT_EQ(world.profile("ann").sequence, 1U);
}

TEST(WorkerRecovery, AWorkerThatIsStartedAgainWaitsForNobody) {
  WorkerWorld world;
  world.start_fresh();
  world.ingest.send(view_of("ann", 1));
  world.worker->duty_cycle();
  Worker& successor = world.start();
  EXPECT_TRUE(successor.recovered());
  world.ingest.send(view_of("ann", 1));
  world.ingest.send(view_of("ann", 2));
  world.run_dry();
  EXPECT_EQ(world.profile("ann").views, 2);
  EXPECT_EQ(world.counter(kAppliedCounter), 2U);
  EXPECT_EQ(world.counter(kDuplicateCounter), 1U);
}

// --- the journal --------------------------------------------------------------------------------

/// The users' ids, n of them, whose shard is `shard`.
std::vector<std::string> users_of(WorkerWorld& world, std::uint32_t shard, std::size_t count) {
  std::vector<std::string> users;
  for (int number = 0; users.size() < count; ++number) {
    const std::string user = "user-" + std::to_string(number);
    if (world.shard(user) == shard) users.push_back(user);
  }
  return users;
}

TEST(WorkerRecovery, EventsOfTheJournalAreAppliedWhereTheProfileHasThemNotYet) {
  WorkerWorld before;
  before.start_fresh();
  for (int view = 0; view < 3; ++view) before.ingest.send(view_of("ann"));
  before.run_dry();
  SeenProfile stored = before.profile("ann");
  ASSERT_EQ(stored.sequence, 3U);

  WorkerWorld world;
  Worker& worker = world.start();
  const std::uint32_t shard = world.shard("ann");
  const std::string other = users_of(world, shard, 1)[0];
  const ProfileCopy copy(stored.block.data(), world.fixture.segment().geometry());
  ASSERT_TRUE(world.keeper.give_profile(shard, copy));
  ASSERT_TRUE(world.keeper.give_event(2, view_of("ann", 102)));
  ASSERT_TRUE(world.keeper.give_event(3, view_of("ann", 103)));
  ASSERT_TRUE(world.keeper.give_event(4, view_of(other, 104)));
  ASSERT_TRUE(world.keeper.give_event(5, view_of("ann", 105)));
  worker.duty_cycle();
  EXPECT_EQ(world.profile("ann").views, 4);
  EXPECT_EQ(world.profile("ann").sequence, 5U);
  EXPECT_EQ(world.profile(other).views, 1);
  EXPECT_EQ(world.fixture.reader(shard).sequence(), 5U);

  ASSERT_TRUE(world.keeper.give_ids(shard, {102, 103, 104, 105}));
  ASSERT_TRUE(world.keeper.give_shard(shard, 7));
  ASSERT_TRUE(world.keeper.give_end());
  while (!worker.recovered()) worker.duty_cycle();
  EXPECT_EQ(world.counter(kAppliedCounter), 0U) << "they were applied in another life";
  EXPECT_EQ(world.counter("deja_events_replayed_total"), 4U);
  EXPECT_EQ(world.counter("deja_return_faults_total"), 0U);
  for (const std::uint64_t id : {102U, 103U, 105U, 106U}) world.ingest.send(view_of("ann", id));
  world.run_dry();
  EXPECT_EQ(world.counter(kDuplicateCounter), 3U);
  EXPECT_EQ(world.profile("ann").views, 5);
  EXPECT_EQ(world.profile("ann").sequence, 8U) << "behind the shard's sequence";
}

TEST(WorkerRecovery, IdsAreRememberedOnlyAsTheyAreHandedOver) {
  WorkerWorld world;
  Worker& worker = world.start();
  ASSERT_TRUE(world.keeper.give_event(1, view_of("ann", 7)));
  ASSERT_TRUE(world.keeper.give_end());
  while (!worker.recovered()) worker.duty_cycle();
  world.ingest.send(view_of("ann", 7));
  world.run_dry();
  EXPECT_EQ(world.profile("ann").views, 2) << "its id is older than the window";
}

TEST(WorkerRecovery, TheLastIdsOfTheWindowAreKeptHoweverOftenTheyAreHandedOver) {
  TestAppliance appliance = TestAppliance::small();
  appliance.dedup_window = 3;
  WorkerWorld world(appliance);
  Worker& worker = world.start();
  const std::uint32_t shard = world.shard("ann");
  for (int time = 0; time < 2; ++time) ASSERT_TRUE(world.keeper.give_ids(shard, {1, 2, 3, 4, 5}));
  ASSERT_TRUE(world.keeper.give_ids(shard, {0}));
  ASSERT_TRUE(world.keeper.give_end());
  while (!worker.recovered()) worker.duty_cycle();
  for (const std::uint64_t id : {3U, 4U, 5U, 2U}) world.ingest.send(view_of("ann", id));
  world.run_dry();
  EXPECT_EQ(world.counter(kDuplicateCounter), 3U);
  EXPECT_EQ(world.profile("ann").views, 1);
}

TEST(WorkerRecovery, AShardWhoseProfilesDidNotAllComeBackSaysSo) {
  WorkerWorld world;
  Worker& worker = world.start();
  ASSERT_TRUE(world.keeper.give_shard(1, 5, kReturnShardHasAbsent));
  ASSERT_TRUE(world.keeper.give_shard(2, 5));
  ASSERT_TRUE(world.keeper.give_end());
  while (!worker.recovered()) worker.duty_cycle();
  EXPECT_EQ(world.fixture.reader(1).header().has_absent, 1U);
  EXPECT_EQ(world.fixture.reader(2).header().has_absent, 0U);
}

/// An appliance of one shard with room for few.
TestAppliance tiny() {
  TestAppliance appliance = TestAppliance::small();
  appliance.profiles_max = 9;
  appliance.shard_count = 1;
  return appliance;
}

/// Hands 80 stored profiles over to a worker that has no room for so many.
void give_too_many(WorkerWorld& world, std::uint32_t type) {
  WorkerWorld before;
  before.start_fresh();
  for (int user = 0; user < 80; ++user) before.ingest.send(view_of("user-" + std::to_string(user)));
  before.run_dry();
  Worker& worker = world.start();
  for (int user = 0; user < 80; ++user) {
    SeenProfile seen = before.profile("user-" + std::to_string(user));
    const ProfileCopy copy(seen.block.data(), before.fixture.segment().geometry());
    while (!world.keeper.give_profile(0, copy, type)) worker.duty_cycle();
  }
  while (!world.keeper.give_end()) worker.duty_cycle();
  while (!worker.recovered()) worker.duty_cycle();
}

TEST(WorkerRecovery, StoredProfilesLeaveRoomForNewUsersAndStayInTheStore) {
  WorkerWorld world(tiny());
  give_too_many(world, kReturnProfile);
  const std::uint64_t profiles = world.counter("deja_profiles");
  EXPECT_GT(profiles, 0U);
  EXPECT_LT(profiles, 80U);
  EXPECT_EQ(world.counter("deja_profiles_left_in_store_total"), 80 - profiles);
  EXPECT_EQ(world.counter("deja_return_faults_total"), 0U);
  EXPECT_EQ(world.fixture.reader(0).header().has_absent, 1U);
  const std::uint32_t spare = world.fixture.segment().geometry().blocks_per_shard / 16;
  ASSERT_GT(spare, 0U);
  // Nothing is confirmed yet, so nobody may go for them.
  for (std::uint32_t user = 0; user < spare; ++user) {
    world.ingest.send(view_of("new-" + std::to_string(user)));
  }
  world.run_dry();
  EXPECT_EQ(world.counter(kTableFullCounter), 0U);
  EXPECT_EQ(world.counter("deja_profiles"), profiles + spare);
}

TEST(WorkerRecovery, AStoredProfileThatEventsFollowIsTakenAsLongAsThereIsAnyRoom) {
  WorkerWorld world(tiny());
  give_too_many(world, kReturnNeeded);
  world.ingest.send(view_of("new"));
  world.run_dry();
  EXPECT_EQ(world.counter(kTableFullCounter), 1U) << "they took the room of new users too";
  EXPECT_EQ(world.fixture.reader(0).header().has_absent, 1U);
}

TEST(WorkerRecovery, AnEventOfTheJournalThatFindsNoRoomEndsTheWorkerAndIsNotGivenBack) {
  WorkerWorld world(tiny());
  Worker& worker = world.start();
  std::uint64_t sequence = 0;
  const std::atomic<bool> finish{false};
  for (int user = 0; user < 80; ++user) {
    ASSERT_TRUE(world.keeper.give_event(++sequence, view_of("user-" + std::to_string(user))));
  }
  ASSERT_TRUE(world.keeper.give_end());
  const Status done = worker.run(finish);
  ASSERT_FALSE(done.ok());
  EXPECT_NE(done.error().message().find("no room"), std::string::npos) << done.error().message();
  EXPECT_EQ(worker.duty_cycle(), 0U);
  EXPECT_FALSE(worker.recovered());
  EXPECT_EQ(world.fixture.file("worker-0").at<WorkerLayout>()->returned_position.value, 0U);
  EXPECT_FALSE(world.start().run(finish).ok()) << "the next one meets the same";
}

}  // namespace
}  // namespace deja
