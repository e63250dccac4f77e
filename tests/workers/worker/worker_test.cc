// The duty cycle, seen from its neighbours: what ingest, the keeper and a renderer find after it.
#include "workers/worker.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <chrono>
#include <map>
#include <random>
#include <thread>

#include "shm/base/clock.h"
#include "tests/support/seed.h"
#include "tests/support/worker_world.h"

namespace deja {
namespace {

TEST(Worker, AnEventIsInTheProfileAndInTheLogAfterOnePass) {
  WorkerWorld world;
  Worker& worker = world.start_fresh();
  const std::uint64_t end = world.ingest.send(view_of("ann", 7));
  EXPECT_EQ(worker.duty_cycle(), 1U);

  const SeenProfile ann = world.profile("ann");
  ASSERT_TRUE(ann.found);
  EXPECT_EQ(ann.views, 1);
  EXPECT_EQ(ann.sequence, 1U);
  EXPECT_EQ(ann.updated_us, view_of("ann").received_us);
  EXPECT_EQ(world.ingest.consumed_position(), end);
  EXPECT_EQ(world.fixture.reader(world.shard("ann")).sequence(), 1U);

  const auto logged = world.keeper.drain();
  ASSERT_EQ(logged.size(), 1U);
  EXPECT_EQ(logged[0].record.kind, LogKind::kApplied);
  EXPECT_EQ(logged[0].record.sequence, 1U);
  EXPECT_EQ(logged[0].record.ring_position, 0U);
  EXPECT_EQ(logged[0].record.ring_end, end);
  EXPECT_EQ(logged[0].record.shard, world.shard("ann"));
  EXPECT_EQ(logged[0].event, view_of("ann", 7).bytes(4));
  const auto& layout = *world.fixture.file("worker-0").at<WorkerLayout>();
  EXPECT_EQ(layout.applied_position.value,
            world.fixture.file("log-0").at<RingHeaderLayout>()->producer_position);
  EXPECT_EQ(world.counter(kAppliedCounter), 1U);
  EXPECT_EQ(world.counter("deja_profiles"), 1U);
  EXPECT_EQ(worker.duty_cycle(), 0U);
}

/// Whether the keeper, asleep as of now, was rung since the last look.
class SleepingKeeper {
 public:
  explicit SleepingKeeper(const WorkerWorld& world)
      : bell_(std::move(*Bell::open(world.fixture.segment(), kKeeperBell))) {
    bell_.announce_sleep();
  }
  [[nodiscard]] bool rung() const {
    pollfd poll_for{bell_.descriptor(), POLLIN, 0};
    return poll(&poll_for, 1, 0) == 1;
  }
  void sleep_again() {
    bell_.awake();
    bell_.announce_sleep();
  }

 private:
  Bell bell_;
};

TEST(Worker, TheKeeperIsRungOnceTheCoreWasGivenAwayAfterAnEvent) {
  WorkerWorld world;
  Worker& worker = world.start_fresh();
  SleepingKeeper keeper(world);
  world.ingest.send(view_of("ann", 7));
  EXPECT_EQ(worker.duty_cycle(), 1U);
  EXPECT_EQ(worker.duty_cycle(), 0U);
  EXPECT_FALSE(keeper.rung()) << "whoever waits for the event may need this core first";
  EXPECT_EQ(worker.duty_cycle(), 0U);
  EXPECT_TRUE(keeper.rung());
  keeper.sleep_again();
  for (int pass = 0; pass < 10; ++pass) EXPECT_EQ(worker.duty_cycle(), 0U);
  EXPECT_FALSE(keeper.rung()) << "once is enough";
}

TEST(Worker, AWorkerThatIsNeverIdleRingsTheKeeperAllTheSame) {
  WorkerWorld world;
  Worker& worker = world.start_fresh();
  const SleepingKeeper keeper(world);
  for (std::uint64_t id = 1; id <= 4; ++id) {
    world.ingest.send(view_of("ann", id));
    EXPECT_EQ(worker.duty_cycle(), 1U);
  }
  EXPECT_TRUE(keeper.rung());
}

TEST(Worker, NobodySleepsBeforeTheKeeperWasRung) {
  TestAppliance appliance = TestAppliance::small();
  appliance.wait = schema::Wait::SLEEP;
  WorkerWorld world(appliance);
  Worker& worker = world.start_fresh();
  SleepingKeeper keeper(world);
  std::atomic<bool> finish{false};
  const auto& asleep = world.fixture.file("bell-worker-0").at<BellLayout>()->sleeping;
  std::thread thread([&] { EXPECT_TRUE(worker.run(finish).ok()); });
  // Its next pass would ring, so what counts is how things are while it sleeps for the first time
  // after the event. A host that keeps us from looking in time makes another try.
  bool looked = false;
  for (std::uint64_t id = 1; !looked; ++id) {
    keeper.sleep_again();
    const std::uint64_t end = world.ingest.send(view_of("ann", id));
    while (world.ingest.consumed_position() < end) std::this_thread::yield();
    const std::int64_t begin_ns = steady_ns();
    while (asleep.load() == 0) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const bool rung = keeper.rung();
    looked = asleep.load() != 0 && steady_ns() - begin_ns < kSleepBoundNs;
    if (looked) {
      EXPECT_TRUE(rung);
    }
  }
  finish.store(true);
  thread.join();
}

TEST(Worker, AWorkerThatEndsRingsTheKeeper) {
  WorkerWorld world;
  Worker& worker = world.start_fresh();
  const SleepingKeeper keeper(world);
  const std::atomic<bool> finish{true};
  world.ingest.send(view_of("ann", 7));
  EXPECT_TRUE(worker.run(finish).ok());
  EXPECT_TRUE(keeper.rung());
}

TEST(Worker, AKnownIdChangesNothingAndLeavesARecordInTheLog) {
  WorkerWorld world;
  Worker& worker = world.start_fresh();
  world.ingest.commit(view_of("ann", 7));
  world.ingest.commit(view_of("ann", 7));  // earlier in this very batch
  world.ingest.publish();
  EXPECT_EQ(worker.duty_cycle(), 2U);
  const std::uint64_t end = world.ingest.send(view_of("ann", 7));  // in the id set
  EXPECT_EQ(worker.duty_cycle(), 1U);

  EXPECT_EQ(world.profile("ann").views, 1);
  EXPECT_EQ(world.ingest.consumed_position(), end);
  const auto logged = world.keeper.drain();
  ASSERT_EQ(logged.size(), 3U);
  for (const std::size_t at : {1U, 2U}) {
    EXPECT_EQ(logged[at].record.kind, LogKind::kDuplicate);
    EXPECT_EQ(logged[at].record.sequence, 0U);
    EXPECT_TRUE(logged[at].event.empty());
  }
  EXPECT_EQ(world.counter(kAppliedCounter), 1U);
  EXPECT_EQ(world.counter(kDuplicateCounter), 2U);
  EXPECT_TRUE(world.ingest.take_verdicts().empty());
}

TEST(Worker, EventsWithoutAnIdAreAllApplied) {
  WorkerWorld world;
  Worker& worker = world.start_fresh();
  for (int time = 0; time < 5; ++time) world.ingest.commit(view_of("ann"));
  world.ingest.publish();
  worker.duty_cycle();
  EXPECT_EQ(world.profile("ann").views, 5);
}

TEST(Worker, AnIdBelongsToItsShard) {
  WorkerWorld world;
  Worker& worker = world.start_fresh();
  for (int user = 0; user < 20; ++user) {
    world.ingest.commit(view_of("user-" + std::to_string(user), 7));
  }
  world.ingest.publish();
  worker.duty_cycle();
  EXPECT_EQ(world.counter(kAppliedCounter), 4U) << "one for each shard";
  EXPECT_EQ(world.counter(kDuplicateCounter), 16U);
}

TEST(Worker, BytesThatAreNoEventBecomeADeadLetterAndAVerdict) {
  WorkerWorld world;
  Worker& worker = world.start_fresh();
  std::vector<std::uint8_t> broken = view_of("ann").bytes(4);
  broken[0] = 0xff;
  const std::uint64_t end = world.ingest.commit(broken);
  world.ingest.commit(std::vector<std::uint8_t>());
  world.ingest.commit(view_of("ann"));
  world.ingest.publish();
  EXPECT_EQ(worker.duty_cycle(), 3U);
  EXPECT_EQ(world.profile("ann").views, 1) << "the rest goes on";
  const auto logged = world.keeper.drain();
  ASSERT_EQ(logged.size(), 3U);
  EXPECT_EQ(logged[0].record.kind, LogKind::kDead);
  EXPECT_EQ(logged[0].record.reason, RefusalReason::kBrokenRecord);
  EXPECT_EQ(logged[0].event, broken);
  const auto verdicts = world.ingest.take_verdicts();
  ASSERT_EQ(verdicts.size(), 2U);
  EXPECT_EQ(verdicts[0].ring_end, end);
  EXPECT_EQ(verdicts[0].reason, RefusalReason::kBrokenRecord);
  EXPECT_EQ(world.counter(kDeadCounter), 2U);
}

TEST(Worker, ARejectedEventIsLoggedUnreadAndIsNoEvent) {
  WorkerWorld world;
  Worker& worker = world.start_fresh();
  // An event's own bytes: read as one it would be applied.
  const std::vector<std::uint8_t> rejected = view_of("ann", 7).bytes(4);
  world.ingest.commit(rejected, kRejectedEvent);
  world.ingest.commit(view_of("ann", 7));
  world.ingest.commit(std::vector<std::uint8_t>(), kRejectedEvent);
  world.ingest.publish();
  EXPECT_EQ(worker.duty_cycle(), 3U);
  EXPECT_EQ(world.profile("ann").views, 1);
  const auto logged = world.keeper.drain();
  ASSERT_EQ(logged.size(), 3U);
  for (const std::size_t at : {0U, 2U}) {
    EXPECT_EQ(logged[at].record.kind, LogKind::kDead);
    EXPECT_EQ(logged[at].record.reason, RefusalReason::kRejected);
    EXPECT_EQ(logged[at].record.sequence, 0U);
  }
  EXPECT_EQ(logged[0].event, rejected);
  EXPECT_EQ(logged[1].record.kind, LogKind::kApplied);
  EXPECT_TRUE(world.ingest.take_verdicts().empty());
  EXPECT_EQ(world.counter(kDeadCounter), 0U);
  EXPECT_EQ(world.counter(kAppliedCounter), 1U);
  EXPECT_EQ(world.ingest.consumed_position(), world.ingest.published_position());
}

TEST(Worker, ARejectedEventNeedsNoRoomForAVerdict) {
  TestAppliance appliance = TestAppliance::small();
  WorkerWorld world(appliance);
  Worker& worker = world.start_fresh();
  // Refusals until their ring is full, and nobody reads them.
  for (int time = 0;
       time < 10'000 && world.ingest.consumed_position() == world.ingest.published_position();
       ++time) {
    world.ingest.commit(std::vector<std::uint8_t>(8));
    world.ingest.publish();
    worker.duty_cycle();
    static_cast<void>(world.keeper.drain());
  }
  ASSERT_NE(world.ingest.consumed_position(), world.ingest.published_position());
  static_cast<void>(world.ingest.take_verdicts());
  worker.duty_cycle();
  ASSERT_EQ(world.ingest.consumed_position(), world.ingest.published_position());
  for (int time = 0; time < 300; ++time) {
    world.ingest.commit(std::vector<std::uint8_t>(8), kRejectedEvent);
    world.ingest.publish();
    worker.duty_cycle();
    static_cast<void>(world.keeper.drain());
  }
  EXPECT_EQ(world.ingest.consumed_position(), world.ingest.published_position());
}

TEST(Worker, ARecordLongerThanTheLogTakesIsDeadToo) {
  TestAppliance appliance = TestAppliance::small();
  appliance.log_bytes = 4096;
  WorkerWorld world(appliance);
  Worker& worker = world.start_fresh();
  world.ingest.commit(std::vector<std::uint8_t>(2000));
  world.ingest.publish();
  EXPECT_EQ(worker.duty_cycle(), 1U);
  const auto logged = world.keeper.drain();
  ASSERT_EQ(logged.size(), 1U);
  EXPECT_EQ(logged[0].record.kind, LogKind::kDead);
  EXPECT_TRUE(logged[0].event.empty());
}

TEST(Worker, ABrokenRingIsReportedAndTheOthersGoOn) {
  TestAppliance appliance = TestAppliance::small();
  appliance.ingest_count = 2;
  WorkerWorld world(appliance);
  TestIngest second(world.fixture, 1);
  Worker& worker = world.start_fresh();
  world.fixture.file("ring-0-0").at<RingHeaderLayout>()->producer_position = 1'000'000;
  second.send(view_of("ann"));
  EXPECT_EQ(worker.duty_cycle(), 1U);
  EXPECT_EQ(worker.duty_cycle(), 0U);
  EXPECT_EQ(world.profile("ann").views, 1);
  const Result<ProcessView> view =
      ProcessView::read(world.fixture.segment().path("process-worker-0"));
  ASSERT_TRUE(view.ok());
  ASSERT_EQ(view->errors.size(), 1U);
  EXPECT_EQ(view->errors[0].count, 1U);
}

TEST(Worker, AFullTableRefusesNewUsersAndTakesKnownOnes) {
  TestAppliance appliance = TestAppliance::small();
  appliance.profiles_max = 40;
  appliance.shard_count = 2;
  WorkerWorld world(appliance);
  Worker& worker = world.start_fresh();
  std::map<std::uint64_t, std::string> sent;  // by end in the ring
  std::vector<VerdictLayout> verdicts;
  for (int user = 0; user < 1000; ++user) {
    const std::string name = "user-" + std::to_string(user);
    sent[world.ingest.commit(view_of(name, 1000 + static_cast<std::uint64_t>(user)))] = name;
    world.ingest.publish();
    world.run_dry();
    for (const VerdictLayout& verdict : world.ingest.take_verdicts()) verdicts.push_back(verdict);
  }
  ASSERT_GT(verdicts.size(), 0U);
  for (const VerdictLayout& verdict : verdicts) {
    EXPECT_EQ(verdict.reason, RefusalReason::kTableFull);
    EXPECT_FALSE(world.profile(sent.at(verdict.ring_end)).found);
    sent.erase(verdict.ring_end);
  }
  ASSERT_GE(sent.size(), 40U);
  for (const auto& [end, name] : sent) EXPECT_EQ(world.profile(name).views, 1) << name;
  EXPECT_EQ(world.counter(kAppliedCounter), sent.size());
  EXPECT_EQ(world.counter("deja_profiles"), sent.size());
  EXPECT_EQ(world.counter(kTableFullCounter), verdicts.size());

  world.ingest.send(view_of(sent.begin()->second));
  worker.duty_cycle();
  EXPECT_EQ(world.profile(sent.begin()->second).views, 2) << "known users go on";
}

TEST(Worker, ATableWithRoomTakesAllNewUsersOfOneBatch) {
  TestAppliance appliance = TestAppliance::small();
  appliance.profiles_max = 40;
  appliance.shard_count = 2;
  WorkerWorld world(appliance);
  static_cast<void>(world.start_fresh());
  for (int user = 0; user < 40; ++user) {
    static_cast<void>(world.ingest.commit(view_of("user-" + std::to_string(user))));
  }
  world.ingest.publish();
  world.run_dry();
  EXPECT_EQ(world.counter("deja_profiles"), 40U);
  EXPECT_EQ(world.counter(kTableFullCounter), 0U);
  EXPECT_EQ(world.counter(kAppliedCounter), 40U);
}

TEST(Worker, ARefusedEventSentAgainIsNotADuplicate) {
  TestAppliance appliance = TestAppliance::small();
  appliance.profiles_max = 1;
  appliance.shard_count = 1;
  WorkerWorld world(appliance);
  Worker& worker = world.start_fresh();
  std::uint64_t id = 1;
  while (world.counter(kTableFullCounter) == 0) {
    world.ingest.send(view_of("user-" + std::to_string(id), id));
    worker.duty_cycle();
    ++id;
  }
  world.ingest.send(view_of("user-" + std::to_string(id - 1), id - 1));
  worker.duty_cycle();
  EXPECT_EQ(world.counter(kTableFullCounter), 2U);
  EXPECT_EQ(world.counter(kDuplicateCounter), 0U);
}

TEST(Worker, AFullLogHoldsTheRingsAndLosesNothing) {
  TestAppliance appliance = TestAppliance::small();
  appliance.log_bytes = 8192;
  WorkerWorld world(appliance);
  Worker& worker = world.start_fresh();
  std::uint64_t end = 0;
  for (std::uint64_t id = 1; id <= 200; ++id) end = world.ingest.commit(view_of("ann", id));
  world.ingest.publish();
  world.run_dry();
  EXPECT_LT(world.ingest.consumed_position(), end);
  EXPECT_GT(world.counter("deja_log_full_total"), 0U);
  const double stalled_at = world.profile("ann").views;
  EXPECT_GT(stalled_at, 0);
  std::size_t logged = 0;
  while (world.ingest.consumed_position() < end) {
    logged += world.keeper.drain().size();
    worker.duty_cycle();
  }
  logged += world.keeper.drain().size();
  EXPECT_EQ(logged, 200U);
  EXPECT_EQ(world.profile("ann").views, 200);
}

TEST(Worker, AFullVerdictRingHoldsTheRingsToo) {
  WorkerWorld world;
  Worker& worker = world.start_fresh();
  std::uint64_t end = 0;
  for (int record = 0; record < 500; ++record) {
    end = world.ingest.commit(std::vector<std::uint8_t>(8));
  }
  world.ingest.publish();
  world.run_dry();
  EXPECT_LT(world.ingest.consumed_position(), end);
  std::size_t verdicts = 0;
  while (world.ingest.consumed_position() < end) {
    verdicts += world.ingest.take_verdicts().size();
    worker.duty_cycle();
  }
  verdicts += world.ingest.take_verdicts().size();
  EXPECT_EQ(verdicts, 500U);
  EXPECT_EQ(world.counter(kDeadCounter), 500U);
}

// --- the whole, at random -----------------------------------------------------------------------

TEST(Worker, AnyMixOfRecordsEndsInExactlyOneCounterEach) {
  std::mt19937_64 random(test_seed());
  TestAppliance appliance = TestAppliance::small();
  appliance.ingest_count = 2;
  appliance.profiles_max = 60;
  appliance.dedup_window = 50;
  WorkerWorld world(appliance);
  TestIngest second(world.fixture, 1);
  TestIngest* rings[] = {&world.ingest, &second};
  world.start_fresh();
  std::map<std::string, double> views;
  std::uint64_t sent = 0;
  std::uint64_t logged[5] = {};
  const auto drain = [&] {
    for (const auto& entry : world.keeper.drain()) {
      ++logged[static_cast<std::size_t>(entry.record.kind)];
      if (entry.record.kind != LogKind::kApplied) continue;
      Event event(world.features.root_of_slot());
      const EventDecoder decoder(world.fixture.segment().catalog(),
                                 world.fixture.segment().geometry(), 0);
      ASSERT_TRUE(decoder.decode(entry.event.data(), static_cast<std::uint32_t>(entry.event.size()),
                                 event));
      views[std::string(event.key.bytes, event.key.size)] += 1;
    }
  };
  for (int round = 0; round < 400; ++round) {
    for (std::uint64_t left = random() % 20; left != 0; --left) {
      TestIngest& ingest = *rings[random() % 2];
      if (random() % 10 == 0) {
        sent += ingest.commit(std::vector<std::uint8_t>(random() % 64)) != 0 ? 1 : 0;
      } else {
        const std::string user = "user-" + std::to_string(random() % 300);
        sent += ingest.commit(view_of(user, random() % 400)) != 0 ? 1 : 0;
      }
    }
    rings[random() % 2]->publish();
    if (random() % 3 == 0) world.worker->duty_cycle();
    if (random() % 5 == 0) drain();
    if (random() % 7 == 0) static_cast<void>(rings[random() % 2]->take_verdicts());
    if (random() % 40 == 0) world.start();
  }
  for (TestIngest* ingest : rings) ingest->publish();
  while (world.ingest.consumed_position() < world.ingest.published_position() ||
         second.consumed_position() < second.published_position()) {
    world.worker->duty_cycle();
    drain();
    for (TestIngest* ingest : rings) static_cast<void>(ingest->take_verdicts());
  }
  drain();
  EXPECT_EQ(world.counter(kAppliedCounter), logged[1]);
  EXPECT_EQ(world.counter(kDuplicateCounter), logged[2]);
  EXPECT_EQ(world.counter(kTableFullCounter), logged[3]);
  EXPECT_EQ(world.counter(kDeadCounter), logged[4]);
  EXPECT_EQ(logged[1] + logged[2] + logged[3] + logged[4], sent);
  for (const std::uint64_t count : {logged[1], logged[2], logged[3], logged[4]}) {
    EXPECT_GT(count, 0U);
  }
  for (const auto& [user, count] : views) EXPECT_EQ(world.profile(user).views, count) << user;
  EXPECT_EQ(world.counter("deja_profiles"), views.size());
}

TEST(Worker, FinishesWhatIsInItsRingsAndEnds) {
  WorkerWorld world;
  Worker& worker = world.start_fresh();
  std::atomic<bool> finish{false};
  std::thread thread([&] { EXPECT_TRUE(worker.run(finish).ok()); });
  for (std::uint64_t id = 1; id <= 100; ++id) world.ingest.send(view_of("ann", id));
  finish.store(true);
  thread.join();
  EXPECT_EQ(world.profile("ann").views, 100);
  EXPECT_EQ(world.ingest.consumed_position(), world.ingest.published_position());
}

TEST(Worker, ASleepingWorkerIsWoken) {
  TestAppliance appliance = TestAppliance::small();
  appliance.wait = schema::Wait::SLEEP;
  WorkerWorld world(appliance);
  Worker& worker = world.start_fresh();
  std::atomic<bool> finish{false};
  std::thread thread([&] { EXPECT_TRUE(worker.run(finish).ok()); });
  for (std::uint64_t id = 1; id <= 200; ++id) {
    const std::uint64_t end = world.ingest.send(view_of("ann", id));
    while (world.ingest.consumed_position() < end) std::this_thread::yield();
  }
  finish.store(true);
  thread.join();
  EXPECT_EQ(world.profile("ann").views, 200);
}

TEST(Worker, APlaceThatIsNotThereIsASentence) {
  SegmentFixture fixture;
  const auto attached = Worker::attach(fixture.segment(), 1);
  ASSERT_FALSE(attached.ok());
  EXPECT_FALSE(attached.error().message().empty());
}

}  // namespace
}  // namespace deja
