// The stored part of a profile comes back while a partial one is there already.
#include <gtest/gtest.h>

#include <random>

#include "tests/support/seed.h"
#include "tests/support/worker_process.h"
#include "tests/workers/worker/return_scene.h"

namespace deja {
namespace {

Key key_of(const std::string& user) {
  return {KeyNamespace::kUser, user.data(), static_cast<std::uint32_t>(user.size())};
}

class WorkerMerge : public ReturnScene {};

TEST_F(WorkerMerge, APartialProfileIsThereAtOnceAndWholeOnceTheStoreHasAnswered) {
  world_.ingest.send(view_of("ann", 7));
  worker_->duty_cycle();
  SeenProfile ann = world_.profile("ann");
  EXPECT_TRUE(ann.partial);
  EXPECT_EQ(ann.views, 1);
  EXPECT_EQ(world_.counter("deja_profiles_partial"), 1U);
  static_cast<void>(world_.keeper.drain());

  const std::uint64_t before = returned_position();
  ASSERT_TRUE(world_.keeper.give_stored(world_.shard("ann"), stored()));
  EXPECT_EQ(worker_->duty_cycle(), 1U);
  ann = world_.profile("ann");
  EXPECT_FALSE(ann.partial);
  EXPECT_EQ(ann.views, 4);
  EXPECT_EQ(ann.spend, 10);
  EXPECT_EQ(ann.late, 2U);
  EXPECT_EQ(ann.sequence, 102U);
  EXPECT_EQ(ann.updated_us, view_of("ann").received_us + 5) << "the later of both";
  EXPECT_EQ(world_.fixture.reader(world_.shard("ann")).sequence(), 102U);
  EXPECT_GT(returned_position(), before);
  EXPECT_EQ(world_.counter("deja_profiles_partial"), 0U);
  EXPECT_EQ(world_.counter("deja_profiles_merged_total"), 1U);
  EXPECT_EQ(world_.counter(kAppliedCounter), 1U) << "a merge is no event";

  const auto logged = world_.keeper.drain();
  ASSERT_EQ(logged.size(), 1U);
  EXPECT_EQ(logged[0].record.kind, LogKind::kMerged);
  EXPECT_EQ(logged[0].record.sequence, 102U);
  EXPECT_EQ(logged[0].record.shard, world_.shard("ann"));
  EXPECT_EQ(logged[0].record.ring_end, 0U);
  EXPECT_EQ(logged[0].record.ring_position, returned_position());
  EXPECT_EQ(logged[0].event, world_.keeper.profile_bytes(world_.shard("ann"), stored()));
  const auto& layout = *world_.fixture.file("worker-0").at<WorkerLayout>();
  EXPECT_EQ(layout.applied_position.value,
            world_.fixture.file("log-0").at<RingHeaderLayout>()->producer_position);

  world_.ingest.send(view_of("ann", 7));
  world_.ingest.send(view_of("ann", 8));
  world_.run_dry();
  EXPECT_EQ(world_.profile("ann").views, 5);
  EXPECT_EQ(world_.profile("ann").sequence, 103U);
  EXPECT_EQ(world_.counter(kAppliedCounter), 2U);
  world_.start();
  world_.run_dry();
  world_.ingest.send(view_of("ann", 9));
  world_.run_dry();
  EXPECT_EQ(world_.counter(kAppliedCounter), 3U) << "and stays none in the next life";
}

TEST_F(WorkerMerge, NothingStoredMakesAProfileWholeToo) {
  world_.ingest.send(view_of("new"));
  worker_->duty_cycle();
  ASSERT_TRUE(world_.profile("new").partial);
  ASSERT_TRUE(world_.keeper.give_nothing(key_of("new")));
  worker_->duty_cycle();
  EXPECT_FALSE(world_.profile("new").partial);
  EXPECT_EQ(world_.profile("new").views, 1);
  EXPECT_EQ(world_.profile("new").sequence, 102U);
}

TEST_F(WorkerMerge, AnAnswerThatNobodyWaitsForLeavesNothing) {
  const std::uint32_t shard = world_.shard("ann");
  ASSERT_TRUE(world_.keeper.give_stored(shard, stored()));  // nobody of that name is there
  worker_->duty_cycle();
  EXPECT_FALSE(world_.profile("ann").found);
  world_.ingest.send(view_of("ann"));
  worker_->duty_cycle();
  for (int time = 0; time < 3; ++time) ASSERT_TRUE(world_.keeper.give_stored(shard, stored()));
  ASSERT_TRUE(world_.keeper.give_nothing(key_of("ann")));
  world_.run_dry();
  EXPECT_EQ(world_.profile("ann").views, 4) << "merged once";
  EXPECT_EQ(world_.counter("deja_merges_dropped_total"), 4U);
  EXPECT_EQ(world_.keeper.drain().size(), 2U);
  EXPECT_EQ(world_.fixture.reader(shard).sequence(), 102U);
  EXPECT_EQ(world_.counter("deja_return_faults_total"), 0U);
}

TEST_F(WorkerMerge, AnswersThatMakeNoSenseAreCountedAndPassedOver) {
  world_.ingest.send(view_of("ann"));
  worker_->duty_cycle();
  std::mt19937_64 random(test_seed());
  const std::vector<std::uint8_t> good = world_.keeper.profile_bytes(world_.shard("ann"), stored());
  std::uint64_t given = 0;
  const auto give = [&](const std::vector<std::uint8_t>& bytes, std::uint32_t type) {
    while (!world_.keeper.give(bytes, type)) worker_->duty_cycle();
    ++given;
  };
  for (int round = 0; round < 300; ++round) {
    std::vector<std::uint8_t> bytes(random() % 400);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
    give(bytes, static_cast<std::uint32_t>(1 + random() % 8));
  }
  for (const std::size_t cut : {1U, 8U, 64U}) {
    give({good.begin(), good.end() - static_cast<std::ptrdiff_t>(cut)}, kReturnStored);
  }
  give(good, kReturnNothing);
  give(good, kReturnProfile);
  std::vector<std::uint8_t> elsewhere = good;
  elsewhere[20] ^= 1U;  // the shard
  give(elsewhere, kReturnStored);
  world_.run_dry();
  EXPECT_EQ(world_.counter("deja_return_faults_total"), given);
  EXPECT_TRUE(world_.profile("ann").partial);
  EXPECT_EQ(world_.profile("ann").views, 1);
  EXPECT_EQ(world_.keeper.drain().size(), 1U);
}

TEST_F(WorkerMerge, WhereverItDiesTheNextEventOfThatUserCounts) {
  const std::string& directory = world_.fixture.segment_directory();
  std::uint64_t applied = 0;
  int number = 0;
  for (const char* point :
       {"worker.after_merge_log", "worker.before_merge_publish", "worker.after_merge_publish",
        "worker.after_merge_sequence", "worker.after_merge_release", "worker.after_tally"}) {
    // Somebody new each time, of whom the store has what it has of ann.
    const std::string user = "bob" + std::to_string(number++);
    rename_stored(user);
    world_.ingest.send(view_of(user));
    world_.run_dry();
    ASSERT_TRUE(world_.keeper.give_stored(world_.shard(user), stored()));
    world_.worker.reset();
    EXPECT_EQ((WorkerProcess{directory, point}.run()), SIGKILL) << point;
    world_.ingest.send(view_of(user));
    world_.start();
    world_.run_dry();
    applied += 2;
    EXPECT_EQ(world_.profile(user).views, 5) << point;
    EXPECT_FALSE(world_.profile(user).partial) << point;
    EXPECT_EQ(world_.counter(kAppliedCounter), applied) << point;
    EXPECT_EQ(world_.counter("deja_merges_dropped_total"), 0U) << point;
  }
}

TEST(WorkerMergeLog, WithoutRoomInTheLogTheAnswerWaits) {
  TestAppliance appliance = TestAppliance::small();
  appliance.log_bytes = 4096;
  appliance.shard_count = 1;
  WorkerWorld world(appliance);
  ASSERT_TRUE(world.keeper.give_shard(0, 0, kReturnShardHasAbsent));
  Worker& worker = world.start_fresh();
  std::uint64_t end = 0;
  for (std::uint64_t id = 1; id <= 40; ++id) {
    end = world.ingest.commit(view_of("user-" + std::to_string(id), id));
  }
  world.ingest.publish();
  world.run_dry();
  ASSERT_LT(world.ingest.consumed_position(), end) << "the log is full";
  ASSERT_TRUE(world.profile("user-1").partial);
  ASSERT_TRUE(world.keeper.give_nothing(key_of("user-1")));
  // Where a small record still fits, it is merged; the log is full for sure behind a few of them.
  for (std::uint64_t id = 2; id <= 20; ++id) {
    if (!world.profile("user-" + std::to_string(id)).partial) break;
    ASSERT_TRUE(world.keeper.give_nothing(key_of("user-" + std::to_string(id))));
  }
  worker.duty_cycle();
  const std::uint64_t merged = world.counter("deja_profiles_merged_total");
  EXPECT_LT(merged, 10U);
  EXPECT_EQ(worker.duty_cycle(), 0U);
  while (world.ingest.consumed_position() < end) {
    static_cast<void>(world.keeper.drain());
    worker.duty_cycle();
  }
  EXPECT_GT(world.counter("deja_profiles_merged_total"), merged);
  EXPECT_FALSE(world.profile("user-1").partial);
  EXPECT_EQ(world.counter(kAppliedCounter), 40U);
}

}  // namespace
}  // namespace deja
