// An event that kills whoever touches it: after three workers it is among the dead letters, and its
// neighbours are where they belong. Whatever else kills a worker costs no event anything.
#include <gtest/gtest.h>

#include <csignal>

#include "tests/support/test_store.h"
#include "tests/support/worker_process.h"
#include "tests/support/worker_world.h"

namespace deja {
namespace {

constexpr const char* kCulprit = "mallory";
constexpr std::uint64_t kCulpritId = 4711;

/// A batch of eleven events of one shard, the sixth of which is to kill.
class WorkerPoison : public testing::Test {
 protected:
  explicit WorkerPoison(const TestAppliance& appliance = one_shard()) : world_(appliance) {}

  static TestAppliance one_shard() {
    TestAppliance appliance = TestAppliance::small();
    appliance.shard_count = 1;
    return appliance;
  }
  void send_batch(std::uint32_t shard_flags = 0) {
    ASSERT_TRUE(world_.keeper.give_shard(0, 0, shard_flags));
    ASSERT_TRUE(world_.keeper.give_end());
    for (int number = 0; number < 11; ++number) {
      const bool culprit = number == 5;
      const std::string user = culprit ? kCulprit : "user-" + std::to_string(number % 3);
      const std::uint64_t id = culprit ? kCulpritId : 1 + static_cast<std::uint64_t>(number);
      const std::uint64_t end = world_.ingest.commit(view_of(user, id));
      if (culprit) culprit_end_ = end;
    }
    world_.ingest.publish();
  }
  [[nodiscard]] WorkerProcess dies_at(const std::string& point,
                                      const std::string& signal = "SEGV") {
    return {world_.fixture.segment_directory(), point, 0, signal, kCulprit};
  }
  [[nodiscard]] WorkerProcess is_killed_at(const std::string& point) {
    return {world_.fixture.segment_directory(), point};
  }
  void go_on() {
    world_.start();
    world_.run_dry();
  }
  /// The neighbours exactly once, in every account.
  void expect_neighbours() {
    EXPECT_EQ(world_.profile("user-0").views, 4);
    EXPECT_EQ(world_.profile("user-1").views, 4);
    EXPECT_EQ(world_.profile("user-2").views, 2);
    EXPECT_EQ(world_.ingest.consumed_position(), world_.ingest.published_position());
  }
  void expect_dead(std::uint64_t sequence) {
    expect_neighbours();
    EXPECT_EQ(world_.profile(kCulprit).views, 0);
    EXPECT_EQ(world_.counter(kAppliedCounter), 10U);
    EXPECT_EQ(world_.counter(kDeadCounter), 1U);
    const auto verdicts = world_.ingest.take_verdicts();
    ASSERT_EQ(verdicts.size(), 1U);
    EXPECT_EQ(verdicts[0].ring_end, culprit_end_);
    EXPECT_EQ(verdicts[0].reason, RefusalReason::kPoison);
    std::size_t dead = 0;
    for (const auto& logged : world_.keeper.drain()) {
      if (logged.record.kind != LogKind::kDead) continue;
      ++dead;
      EXPECT_EQ(logged.record.reason, RefusalReason::kPoison);
      EXPECT_EQ(logged.record.sequence, sequence);
      EXPECT_EQ(logged.record.ring_end, culprit_end_);
      EXPECT_EQ(logged.event, view_of(kCulprit, kCulpritId).bytes(1));
    }
    EXPECT_EQ(dead, 1U);
  }
  void expect_alive() {
    expect_neighbours();
    EXPECT_EQ(world_.profile(kCulprit).views, 1);
    EXPECT_EQ(world_.counter(kAppliedCounter), 11U);
    EXPECT_EQ(world_.counter(kDeadCounter), 0U);
    EXPECT_TRUE(world_.ingest.take_verdicts().empty());
  }

  WorkerWorld world_;
  std::uint64_t culprit_end_ = 0;
};

TEST_F(WorkerPoison, InItsDecodingItIsDeadBeforeItWasLoggedAsAnythingElse) {
  send_batch();
  for (int life = 0; life < 3; ++life) {
    EXPECT_EQ(dies_at("worker.poison_decode").run(), SIGSEGV) << life;
    EXPECT_EQ(world_.ingest.consumed_position(), 0U);
  }
  EXPECT_EQ(dies_at("worker.poison_decode").run(), 0) << "nobody decodes it any more";
  go_on();
  expect_dead(0);
  EXPECT_EQ(world_.fixture.reader(0).sequence(), 10U);
}

TEST_F(WorkerPoison, InItsApplyingItIsDeadAndItsSequenceStaysEmpty) {
  send_batch();
  for (int life = 0; life < 3; ++life) {
    EXPECT_EQ(dies_at("worker.poison_apply").run(), SIGSEGV) << life;
  }
  EXPECT_EQ(dies_at("worker.poison_apply").run(), 0) << "nobody applies it any more";
  go_on();
  expect_dead(6);
  EXPECT_EQ(world_.fixture.reader(0).sequence(), 11U);
  world_.ingest.send(view_of(kCulprit, kCulpritId));
  world_.ingest.send(view_of("user-0", 100));
  world_.run_dry();
  EXPECT_EQ(world_.counter(kDuplicateCounter), 1U) << "its id is remembered";
  EXPECT_EQ(world_.counter(kAppliedCounter), 11U);
  EXPECT_EQ(world_.counter(kDeadCounter), 1U);
  go_on();
  EXPECT_EQ(world_.counter(kAppliedCounter), 11U) << "and the counts stay in the next life";
  EXPECT_EQ(world_.counter(kDeadCounter), 1U);
}

TEST_F(WorkerPoison, InTheRedoItIsDeadToo) {
  send_batch();
  EXPECT_EQ(is_killed_at("worker.after_log").run(), SIGKILL);
  for (int life = 0; life < 3; ++life) {
    EXPECT_EQ(dies_at("worker.poison_apply").run(), SIGSEGV) << life;
  }
  go_on();
  expect_dead(6);
}

TEST_F(WorkerPoison, AKnownUsersProfileKeepsWhatItHad) {
  ASSERT_TRUE(world_.keeper.give_event(1, view_of(kCulprit, 1000)));
  send_batch();
  for (int life = 0; life < 3; ++life) {
    // The journal's event is applied first.
    WorkerProcess process = dies_at("worker.poison_apply");
    process.passes = life == 0 ? 1 : 0;
    EXPECT_EQ(process.run(), SIGSEGV) << life;
  }
  go_on();
  expect_neighbours();
  EXPECT_EQ(world_.profile(kCulprit).views, 1);
  EXPECT_EQ(world_.profile(kCulprit).sequence, 1U);
  EXPECT_EQ(world_.counter(kDeadCounter), 1U);
  EXPECT_EQ(world_.counter(kAppliedCounter), 10U);
}

TEST_F(WorkerPoison, ARandomKillCostsNothingHoweverOften) {
  send_batch();
  for (const char* point : {"worker.poison_decode", "worker.poison_apply"}) {
    for (int life = 0; life < 10; ++life) EXPECT_EQ(dies_at(point, "KILL").run(), SIGKILL) << life;
  }
  EXPECT_EQ(is_killed_at("").run(), 0);
  go_on();
  expect_alive();
}

TEST_F(WorkerPoison, AStrangersSignalCostsNothing) {
  send_batch();
  for (const char* point : {"worker.poison_decode", "worker.poison_apply"}) {
    for (int life = 0; life < 4; ++life) {
      WorkerProcess process = dies_at(point, "STOP");
      process.sent_while_stopped = SIGSEGV;
      EXPECT_EQ(process.run(), SIGSEGV) << life;
    }
  }
  go_on();
  expect_alive();
}

TEST_F(WorkerPoison, EveryKindOfFaultCounts) {
  send_batch();
  EXPECT_EQ(dies_at("worker.poison_decode", "BUS").run(), SIGBUS);
  EXPECT_EQ(dies_at("worker.poison_decode", "ILL").run(), SIGILL);
  EXPECT_EQ(dies_at("worker.poison_decode", "FPE").run(), SIGFPE);
  go_on();
  expect_dead(0);
}

TEST_F(WorkerPoison, AnAbortCounts) {
  send_batch();
  for (int life = 0; life < 3; ++life) {
    EXPECT_EQ(dies_at("worker.poison_apply", "ABRT").run(), SIGABRT) << life;
  }
  go_on();
  expect_dead(6);
}

TEST_F(WorkerPoison, TwoStrikesAreNotThreeAndAnotherRecordBeginsAtOne) {
  send_batch();
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(dies_at("worker.poison_decode").run(), SIGSEGV) << life;
  }
  WorkerProcess other = dies_at("worker.poison_decode");
  other.key = "user-2";
  for (int life = 0; life < 2; ++life) EXPECT_EQ(other.run(), SIGSEGV) << life;
  EXPECT_EQ(dies_at("worker.poison_decode").run(), SIGSEGV) << "one again";
  go_on();
  expect_alive();
}

TEST_F(WorkerPoison, AWorkerKilledForHangingCounts) {
  send_batch();
  for (int life = 0; life < 4; ++life) {
    WorkerProcess process = dies_at("worker.poison_apply", "STOP");
    process.predecessor_hung = life != 0;
    EXPECT_EQ(process.run(), life == 3 ? 0 : SIGKILL) << life;
  }
  go_on();
  expect_dead(6);
}

TEST_F(WorkerPoison, AWorkerKilledForHangingAtNoRecordStrikesNone) {
  send_batch();
  for (int life = 0; life < 5; ++life) {
    WorkerProcess process = is_killed_at("worker.after_log");
    if (life != 0) process.point = "worker.before_decision";  // none is made
    process.predecessor_hung = true;
    static_cast<void>(process.run());
  }
  go_on();
  expect_alive();
}

TEST_F(WorkerPoison, DyingWhileAStrikeIsCountedCountsItOnce) {
  send_batch();
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(dies_at("worker.poison_apply").run(), SIGSEGV) << life;
    for (int kill = 0; kill < 4; ++kill) {
      EXPECT_EQ(is_killed_at("worker.after_strike").run(), SIGKILL) << kill;
    }
  }
  go_on();
  expect_alive();
}

TEST_F(WorkerPoison, DyingAtTheDecisionMakesItOnce) {
  send_batch();
  for (int life = 0; life < 3; ++life) {
    EXPECT_EQ(dies_at("worker.poison_apply").run(), SIGSEGV) << life;
  }
  EXPECT_EQ(is_killed_at("worker.before_decision").run(), SIGKILL);
  EXPECT_EQ(is_killed_at("worker.after_decision").run(), SIGKILL);
  EXPECT_EQ(is_killed_at("worker.after_decision").run(), 0) << "it is there";
  go_on();
  expect_dead(6);
}

TEST_F(WorkerPoison, KilledAnywhereInTheRedoThatLeavesItOutTheCountsAreExact) {
  send_batch();
  for (int life = 0; life < 3; ++life) {
    EXPECT_EQ(dies_at("worker.poison_apply").run(), SIGSEGV) << life;
  }
  int killed = 0;
  for (const char* point :
       {"worker.after_decision", "worker.in_redo", "worker.in_id_set", "worker.after_tally",
        "worker.in_redo", "worker.after_tally", "worker.in_redo", "worker.after_tally",
        "worker.in_redo", "worker.in_redo", "worker.after_tally", "worker.in_redo"}) {
    killed += is_killed_at(point).run() == SIGKILL ? 1 : 0;
  }
  EXPECT_GT(killed, 5);
  go_on();
  expect_dead(6);
}

TEST_F(WorkerPoison, WhomItBeganAPartialProfileOfIsPartialAllTheSame) {
  send_batch(kReturnShardHasAbsent);
  static_cast<void>(world_.ingest.send(view_of(kCulprit, 2000)));  // later in the same batch
  for (int life = 0; life < 3; ++life) {
    EXPECT_EQ(dies_at("worker.poison_apply").run(), SIGSEGV) << life;
  }
  go_on();
  expect_neighbours();
  EXPECT_EQ(world_.counter(kDeadCounter), 1U);
  EXPECT_EQ(world_.profile(kCulprit).views, 1) << "of the other event";
  EXPECT_TRUE(world_.profile(kCulprit).partial) << "the store may have more";
}

TEST_F(WorkerPoison, AMergeThatKillsIsLeftOutToo) {
  send_batch(kReturnShardHasAbsent);
  EXPECT_EQ(is_killed_at("").run(), 0);
  ASSERT_TRUE(world_.profile(kCulprit).partial);
  ASSERT_TRUE(world_.keeper.give_nothing(
      {KeyNamespace::kUser, kCulprit, static_cast<std::uint32_t>(std::strlen(kCulprit))}));
  for (int life = 0; life < 3; ++life) {
    EXPECT_EQ(dies_at("worker.poison_merge").run(), SIGSEGV) << life;
  }
  EXPECT_EQ(dies_at("worker.poison_merge").run(), 0);
  go_on();
  expect_alive();
  EXPECT_TRUE(world_.profile(kCulprit).partial);
  EXPECT_EQ(world_.fixture.reader(0).sequence(), 12U);
  EXPECT_EQ(world_.counter("deja_merges_dropped_total"), 0U) << "its answer is not read again";
}

TEST(WorkerPoisonLog, ADecisionFindsRoomInALogThatIsFull) {
  TestAppliance appliance = TestAppliance::small();
  appliance.shard_count = 1;
  appliance.log_bytes = 4096;
  WorkerWorld world(appliance);
  ASSERT_TRUE(world.keeper.give_end());
  static_cast<void>(world.ingest.commit(view_of(kCulprit, 1)));
  for (std::uint64_t id = 2; id < 60; ++id)
    static_cast<void>(world.ingest.commit(view_of("ann", id)));
  world.ingest.publish();
  for (int life = 0; life < 3; ++life) {
    const WorkerProcess process{world.fixture.segment_directory(), "worker.poison_apply", 0, "SEGV",
                                kCulprit};
    EXPECT_EQ(process.run(), SIGSEGV) << life;
  }
  world.start();
  while (world.ingest.consumed_position() < world.ingest.published_position()) {
    world.worker->duty_cycle();
    static_cast<void>(world.keeper.drain());
  }
  EXPECT_EQ(world.profile("ann").views, 58);
  EXPECT_FALSE(world.profile(kCulprit).found);
  EXPECT_EQ(world.counter(kAppliedCounter), 58U);
  EXPECT_EQ(world.counter(kDeadCounter), 1U);
}

}  // namespace
}  // namespace deja
