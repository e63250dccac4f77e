// Whom a renderer misses comes back as he was stored.
#include <map>

#include "tests/support/worker_process.h"
#include "tests/workers/worker/return_scene.h"

namespace deja {
namespace {

/// All of a block but its stamp, which is its place's.
std::vector<std::uint64_t> content(const std::vector<std::uint64_t>& block) {
  return {block.begin() + 1, block.end()};
}

class WorkerPutBack : public ReturnScene {};

TEST_F(WorkerPutBack, IsThereAsHeWasStoredAndNothingIsLogged) {
  const std::uint64_t sequence = world_.fixture.reader(world_.shard("ann")).sequence();
  const std::uint64_t before = returned_position();
  ASSERT_TRUE(world_.keeper.give_asked(world_.shard("ann"), stored()));
  EXPECT_EQ(worker_->duty_cycle(), 1U);
  const SeenProfile ann = world_.profile("ann");
  ASSERT_TRUE(ann.found);
  EXPECT_FALSE(ann.partial);
  EXPECT_EQ(content(ann.block), content(stored_));
  EXPECT_EQ(ann.views, 3);
  EXPECT_GT(returned_position(), before);
  EXPECT_EQ(world_.fixture.reader(world_.shard("ann")).sequence(), sequence);
  EXPECT_EQ(world_.keeper.drain().size(), 0U);
  EXPECT_EQ(world_.counter("deja_profiles"), 1U);
  EXPECT_EQ(world_.counter("deja_profiles_put_back_total"), 1U);

  world_.ingest.send(view_of("ann", 7));
  worker_->duty_cycle();
  EXPECT_EQ(world_.profile("ann").views, 4);
  EXPECT_FALSE(world_.profile("ann").partial) << "nothing of him is missing";
  EXPECT_EQ(world_.profile("ann").sequence, sequence + 1);
}

TEST_F(WorkerPutBack, WhoCameBackByAnEventMeanwhileIsMerged) {
  world_.ingest.send(view_of("ann"));
  worker_->duty_cycle();
  ASSERT_TRUE(world_.profile("ann").partial);
  ASSERT_TRUE(world_.keeper.give_asked(world_.shard("ann"), stored()));
  worker_->duty_cycle();
  EXPECT_FALSE(world_.profile("ann").partial);
  EXPECT_EQ(world_.profile("ann").views, 4);
  // And asked for again, or twice at once, he stays what he is.
  for (int time = 0; time < 2; ++time) {
    ASSERT_TRUE(world_.keeper.give_asked(world_.shard("ann"), stored()));
  }
  worker_->duty_cycle();
  EXPECT_EQ(world_.profile("ann").views, 4);
  EXPECT_EQ(world_.counter("deja_profiles_put_back_total"), 0U);
  EXPECT_EQ(world_.counter("deja_merges_dropped_total"), 2U);
  EXPECT_EQ(world_.counter("deja_return_faults_total"), 0U);
}

TEST_F(WorkerPutBack, MakesWayAgainForSomebodyNew) {
  const std::uint32_t shard = world_.shard("ann");
  ASSERT_TRUE(world_.keeper.give_asked(shard, stored()));
  worker_->duty_cycle();
  world_.keeper.confirm(shard, world_.fixture.reader(shard).sequence());
  for (int number = 0; world_.profile("ann").found && number < 10'000; ++number) {
    world_.ingest.send(view_of("user-" + std::to_string(number)));
    worker_->duty_cycle();
    static_cast<void>(world_.keeper.drain());
    static_cast<void>(world_.ingest.take_verdicts());
  }
  EXPECT_FALSE(world_.profile("ann").found);
  EXPECT_EQ(world_.counter("deja_evicted_total"), 1U) << "he alone is confirmed";
}

TEST_F(WorkerPutBack, IsNotTakenWhereItMakesNoSense) {
  const std::uint32_t shard = world_.shard("ann");
  const std::vector<std::uint8_t> good = world_.keeper.profile_bytes(shard, stored());
  std::uint64_t given = 0;
  const auto give = [&](const std::vector<std::uint8_t>& bytes) {
    ASSERT_TRUE(world_.keeper.give(bytes, kReturnAsked));
    ++given;
  };
  for (std::size_t cut = 1; cut < good.size(); cut += 13) {
    give({good.begin(), good.end() - static_cast<std::ptrdiff_t>(cut)});
  }
  std::vector<std::uint8_t> elsewhere = good;
  elsewhere[offsetof(ReturnProfileLayout, shard)] ^= 1U;
  give(elsewhere);
  world_.run_dry();
  EXPECT_EQ(world_.counter("deja_return_faults_total"), given);

  // Newer than its shard: nothing was stored so.
  std::vector<std::uint8_t> newer = good;
  ReturnProfileLayout facts;
  std::memcpy(&facts, newer.data(), sizeof facts);
  facts.sequence = world_.fixture.reader(shard).sequence() + 1;
  std::memcpy(newer.data(), &facts, sizeof facts);
  ASSERT_TRUE(world_.keeper.give(newer, kReturnAsked));
  world_.run_dry();
  EXPECT_FALSE(world_.profile("ann").found);
  EXPECT_EQ(world_.counter("deja_profiles_put_back_total"), 0U);
}

TEST(WorkerPutBackRoom, OnlyWhoIsConfirmedGoesForHim) {
  TestAppliance appliance = TestAppliance::small();
  appliance.profiles_max = 12;
  appliance.shard_count = 1;
  WorkerWorld world(appliance);
  Worker& worker = world.start_fresh();
  std::map<std::string, std::vector<std::uint64_t>> blocks;
  for (int number = 0; world.counter(kTableFullCounter) == 0; ++number) {
    const std::string user = "user-" + std::to_string(number);
    world.ingest.send(view_of(user));
    world.run_dry();
    static_cast<void>(world.keeper.drain());
    if (const SeenProfile seen = world.profile(user); seen.found) blocks[user] = seen.block;
  }
  const std::uint64_t all = world.fixture.reader(0).sequence();
  world.keeper.confirm(0, all);
  world.ingest.send(view_of("somebody new"));
  worker.duty_cycle();
  world.keeper.confirm(0, 0);
  const std::uint64_t evicted = world.counter("deja_evicted_total");
  ASSERT_GE(evicted, 1U);

  // Those who left have one place less than they had, and nobody may go.
  std::string left_out;
  for (auto& [user, block] : blocks) {
    if (world.profile(user).found) continue;
    ASSERT_TRUE(world.keeper.give_asked(0, {block.data(), world.fixture.segment().geometry()}));
    worker.duty_cycle();
    if (!world.profile(user).found) left_out = user;
  }
  ASSERT_FALSE(left_out.empty());
  EXPECT_EQ(world.counter("deja_profiles_put_back_total"), evicted - 1);
  EXPECT_EQ(world.counter("deja_merges_dropped_total"), 1U);
  EXPECT_EQ(world.counter("deja_evicted_total"), evicted);

  world.keeper.confirm(0, all);
  const ProfileCopy stored{blocks[left_out].data(), world.fixture.segment().geometry()};
  ASSERT_TRUE(world.keeper.give_asked(0, stored));
  worker.duty_cycle();
  EXPECT_EQ(content(world.profile(left_out).block), content(blocks[left_out]));
  EXPECT_GT(world.counter("deja_evicted_total"), evicted);
  EXPECT_EQ(world.counter("deja_return_faults_total"), 0U);
}

TEST_F(WorkerPutBack, WhereverItDiesHeIsThereOnce) {
  const std::string& directory = world_.fixture.segment_directory();
  std::uint64_t there = 0;
  for (const char* point : {"worker.before_put_back", "worker.after_put_back"}) {
    const std::string user = "bob" + std::to_string(there);
    rename_stored(user);
    ASSERT_TRUE(world_.keeper.give_asked(world_.shard(user), stored()));
    world_.worker.reset();
    EXPECT_EQ((WorkerProcess{directory, point}.run()), SIGKILL) << point;
    world_.start();
    world_.run_dry();
    EXPECT_EQ(content(world_.profile(user).block), content(stored_)) << point;
    EXPECT_EQ(world_.counter("deja_profiles"), ++there) << point;
    EXPECT_EQ(world_.keeper.drain().size(), 0U) << point;
  }
}

}  // namespace
}  // namespace deja
