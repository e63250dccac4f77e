// More users than the table holds: who goes, who stays, and what a new one finds.
#include <gtest/gtest.h>

#include <set>

#include "tests/support/test_store.h"
#include "tests/support/worker_world.h"

namespace deja {
namespace {

/// One shard with room for some thirty.
TestAppliance tiny() {
  TestAppliance appliance = TestAppliance::small();
  appliance.profiles_max = 12;
  appliance.shard_count = 1;
  return appliance;
}

std::string name_of(int number) {
  return "user-" + std::to_string(number);
}

/// An event of user `number` at a time of its own: the higher, the later.
TestEvent event_at(int number, std::int64_t second) {
  TestEvent event = view_of(name_of(number));
  event.received_us += second * 1'000'000;
  return event;
}

/// Sends new users until one is refused; how many are in.
int fill(WorkerWorld& world) {
  int count = 0;
  for (; world.counter(kTableFullCounter) == 0; ++count) {
    world.ingest.send(event_at(count, count));
    world.run_dry();
    static_cast<void>(world.keeper.drain());
  }
  static_cast<void>(world.ingest.take_verdicts());
  return count - 1;
}

std::set<int> who_is_there(WorkerWorld& world, int count) {
  std::set<int> there;
  for (int number = 0; number < count; ++number) {
    if (world.profile(name_of(number)).found) there.insert(number);
  }
  return there;
}

TEST(WorkerEvict, ANewUserTakesThePlaceOfAConfirmedOneAndBeginsAPartialProfile) {
  WorkerWorld world(tiny());
  Worker& worker = world.start_fresh();
  const int known = fill(world);
  world.keeper.confirm(0, world.fixture.reader(0).sequence());
  world.ingest.send(event_at(1000, 1000));
  worker.duty_cycle();
  const SeenProfile fresh = world.profile(name_of(1000));
  ASSERT_TRUE(fresh.found);
  EXPECT_TRUE(fresh.partial) << "the store may have more of it";
  EXPECT_EQ(fresh.views, 1);
  EXPECT_EQ(world.fixture.reader(0).header().has_absent, 1U);
  const auto logged = world.keeper.drain();
  ASSERT_EQ(logged.size(), 1U);
  EXPECT_EQ(logged[0].record.kind, LogKind::kApplied);
  EXPECT_EQ(logged[0].record.flags, kLogBeganPartial);
  EXPECT_EQ(world.counter(kTableFullCounter), 1U) << "the one before";
  EXPECT_EQ(world.counter("deja_profiles_partial"), 1U);
  EXPECT_GE(world.counter("deja_evicted_total"), 1U);
  const std::size_t left = who_is_there(world, known).size();
  EXPECT_EQ(left + world.counter("deja_evicted_total"), static_cast<std::size_t>(known));
  EXPECT_EQ(world.counter("deja_profiles"), left + 1);
  EXPECT_EQ(world.start().recovered(), true);
  world.run_dry();
  EXPECT_EQ(world.counter("deja_profiles_partial"), 1U) << "counted anew by the sweep";
}

TEST(WorkerEvict, OnceEventsOfAProfileAreUnderWayOrUnconfirmedItStays) {
  WorkerWorld world(tiny());
  Worker& worker = world.start_fresh();
  const int known = fill(world);
  const std::uint64_t confirmed = world.fixture.reader(0).sequence();
  // Half of them change again after what is confirmed; of the others half are in the batch.
  for (int number = 0; number < known; number += 2) world.ingest.send(event_at(number, 500));
  world.run_dry();
  world.keeper.confirm(0, confirmed);
  for (int number = 1; number < known; number += 4) {
    static_cast<void>(world.ingest.commit(event_at(number, 600)));
  }
  for (int number = 1000; number < 1100; ++number) {
    static_cast<void>(world.ingest.commit(event_at(number, 600)));
  }
  world.ingest.publish();
  worker.duty_cycle();
  for (int number = 0; number < known; number += 2) {
    EXPECT_EQ(world.profile(name_of(number)).views, 2) << number << ": above the confirmed";
  }
  for (int number = 1; number < known; number += 4) {
    EXPECT_EQ(world.profile(name_of(number)).views, 2) << number << ": in the batch";
  }
  EXPECT_GT(world.counter("deja_evicted_total"), 0U);
}

TEST(WorkerEvict, APartialProfileStays) {
  WorkerWorld world(tiny());
  static_cast<void>(world.start_fresh());
  static_cast<void>(fill(world));
  const std::uint64_t refused = world.counter(kTableFullCounter);
  // Everything is confirmed again and again, but nothing is ever answered.
  for (int number = 1000; number < 1200; ++number) {
    world.keeper.confirm(0, world.fixture.reader(0).sequence());
    world.ingest.send(event_at(number, number));
    world.run_dry();
    static_cast<void>(world.keeper.drain());
    static_cast<void>(world.ingest.take_verdicts());
  }
  EXPECT_GT(world.counter(kTableFullCounter), refused) << "all are partial in the end";
  EXPECT_EQ(world.counter("deja_profiles_partial"), world.counter("deja_profiles"));
  EXPECT_EQ(world.counter("deja_profiles_partial") + world.counter(kTableFullCounter) - refused,
            200U);
}

TEST(WorkerEvict, AKeeperThatConfirmsWhatNeverHappenedConfirmsNothing) {
  WorkerWorld world(tiny());
  static_cast<void>(world.start_fresh());
  const int known = fill(world);
  world.keeper.confirm(0, world.fixture.reader(0).sequence() + 1);
  world.ingest.send(event_at(1000, 1000));
  world.run_dry();
  EXPECT_FALSE(world.profile(name_of(1000)).found);
  EXPECT_EQ(world.counter(kTableFullCounter), 2U);
  EXPECT_EQ(who_is_there(world, known).size(), static_cast<std::size_t>(known));
  EXPECT_EQ(world.fixture.reader(0).header().has_absent, 0U);
}

TEST(WorkerEvict, TheLongestIdleOfAFewGoes) {
  double evicted_rank = 0;
  int evicted = 0;
  int known = 0;
  // Whom chance draws differs from one to the next: many of them agree.
  for (int appliance = 0; appliance < 16; ++appliance) {
    WorkerWorld world(tiny());
    static_cast<void>(world.start_fresh());
    known = fill(world);
    world.keeper.confirm(0, world.fixture.reader(0).sequence());
    for (int number = 1000; number < 1000 + known / 3; ++number) {
      world.ingest.send(event_at(number, number));
      world.run_dry();
    }
    const std::set<int> there = who_is_there(world, known);
    for (int number = 0; number < known; ++number) {
      if (there.contains(number)) continue;
      evicted_rank += number;
      ++evicted;
    }
  }
  ASSERT_GT(evicted, 16 * 5);
  // Of all would be (known - 1) / 2, of the longest idle alone known / 6. A table as small as this
  // has mostly empty places, so a draw of sixteen meets few users.
  EXPECT_LT(evicted_rank / evicted, known * 0.4) << "far from what chance would take";
}

TEST(WorkerEvict, AFewPlacesAreKeptFreeAheadOfNeed) {
  TestAppliance appliance = TestAppliance::small();
  appliance.profiles_max = 2000;
  appliance.shard_count = 2;
  WorkerWorld world(appliance);
  Worker& worker = world.start_fresh();
  static_cast<void>(fill(world));
  std::uint64_t before = world.counter("deja_profiles");
  while (worker.duty_cycle() != 0) {
  }
  EXPECT_EQ(world.counter("deja_profiles"), before) << "nothing is confirmed";
  for (const std::uint32_t shard : {0U, 1U}) {
    world.keeper.confirm(shard, world.fixture.reader(shard).sequence());
  }
  for (int pass = 0; pass < 100; ++pass) worker.duty_cycle();
  EXPECT_LT(world.counter("deja_profiles"), before);
  EXPECT_EQ(before - world.counter("deja_profiles"), world.counter("deja_evicted_total"));
  EXPECT_LT(world.counter("deja_evicted_total"), before / 20) << "a few";
  before = world.counter("deja_evicted_total");
  for (int pass = 0; pass < 100; ++pass) EXPECT_EQ(worker.duty_cycle(), 0U);
  EXPECT_EQ(world.counter("deja_evicted_total"), before) << "and no more than that";
}

TEST(WorkerEvict, WhileAnAnswerOfTheStoreWaitsNobodyGoesAndNobodyIsRefused) {
  WorkerWorld world(tiny());
  Worker& worker = world.start_fresh();
  static_cast<void>(fill(world));
  world.keeper.confirm(0, world.fixture.reader(0).sequence());
  const std::string someone = name_of(1000);
  const Key key{KeyNamespace::kUser, someone.data(), static_cast<std::uint32_t>(someone.size())};
  // More answers than one pass takes; nobody waits for them any more.
  for (int answer = 0; answer < 100; ++answer) ASSERT_TRUE(world.keeper.give_nothing(key));
  const std::uint64_t evicted = world.counter("deja_evicted_total");
  const std::uint64_t before = world.ingest.published_position();
  const std::uint64_t end = world.ingest.send(event_at(1000, 1000));
  worker.duty_cycle();
  EXPECT_EQ(world.counter("deja_evicted_total"), evicted);
  EXPECT_EQ(world.ingest.consumed_position(), before) << "it waits";
  world.run_dry();
  EXPECT_EQ(world.ingest.consumed_position(), end);
  EXPECT_TRUE(world.profile(someone).partial) << "an old answer is not taken for a new one";
  EXPECT_EQ(world.counter("deja_merges_dropped_total"), 100U);
}

TEST(WorkerEvict, ABurstOfNewUsersInOneBatchFindsRoom) {
  WorkerWorld world(tiny());
  static_cast<void>(world.start_fresh());
  const int known = fill(world);
  world.keeper.confirm(0, world.fixture.reader(0).sequence());
  const int burst = known / 2;
  for (int number = 1000; number < 1000 + burst; ++number) {
    static_cast<void>(world.ingest.commit(event_at(number, number)));
    static_cast<void>(world.ingest.commit(event_at(number, number)));
  }
  world.ingest.publish();
  world.run_dry();
  for (int number = 1000; number < 1000 + burst; ++number) {
    EXPECT_EQ(world.profile(name_of(number)).views, 2) << number;
  }
  EXPECT_EQ(world.counter(kTableFullCounter), 1U);
}

}  // namespace
}  // namespace deja
