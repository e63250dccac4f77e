#include "ring/bell.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "ring/idle_strategy.h"
#include "shm/process_file.h"

namespace deja {
namespace {

/// A segment with one bell and nothing else.
class BellTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/dev/shm/deja-unit-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    directory_ = path;
    SegmentPlan plan;
    plan.directory = directory_;
    plan.appliance = "test";
    plan.profiles_max = 1;
    plan.shard_count = plan.worker_count = plan.ingest_count = 1;
    plan.key_bytes = plan.frame_bytes = 8;
    plan.huge_pages = HugePages::kOff;
    plan.catalog = plan.settings = empty_message();
    plan.files.push_back({"bell-test", sizeof(BellLayout), Audience::kService, {}});
    plan.fifos.push_back("bell-test.fifo");
    const Result<SegmentReport> report = create_segment(plan);
    ASSERT_TRUE(report.ok()) << report.error().message();
    Result<Segment> opened = Segment::open(directory_ + "/deja-test");
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    segment_ = std::make_unique<Segment>(std::move(*opened));
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  static std::vector<std::uint8_t> empty_message() {
    std::vector<std::uint8_t> bytes(16, 0);
    bytes[4] = 1;  // one segment of one word: a null root
    return bytes;
  }
  [[nodiscard]] Bell bell() const { return std::move(*Bell::open(*segment_, "test")); }
  [[nodiscard]] BellRope rope() const { return std::move(*BellRope::open(*segment_, "test")); }
  [[nodiscard]] static bool rung(const Bell& bell) {
    pollfd poll_for{bell.descriptor(), POLLIN, 0};
    return poll(&poll_for, 1, 0) == 1;
  }

  std::string directory_;
  std::unique_ptr<Segment> segment_;
};

TEST_F(BellTest, AWakeSleeperIsNotRung) {
  Bell sleeper = bell();
  BellRope waker = rope();
  EXPECT_FALSE(waker.ring_if_asleep());
  sleeper.announce_sleep();
  sleeper.cancel_sleep();
  EXPECT_FALSE(waker.ring_if_asleep());
  EXPECT_FALSE(rung(sleeper));
}

TEST_F(BellTest, SomethingElseThatIsThereToReadEndsASleepToo) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  Bell sleeper = bell();
  sleeper.wake_on(ends[0]);
  Bell moved = std::move(sleeper);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  moved.announce_sleep();
  moved.sleep(std::int64_t{3600} * 1'000'000'000);  // else the test's own limit ends it
  EXPECT_EQ(close(ends[0]) + close(ends[1]), 0);
}

TEST_F(BellTest, ARingBeforeTheSleepEndsIt) {
  Bell sleeper = bell();
  BellRope waker = rope();
  sleeper.announce_sleep();
  EXPECT_TRUE(waker.ring_if_asleep());
  EXPECT_TRUE(rung(sleeper));
  sleeper.sleep(60'000'000'000);  // a minute, were it not for the byte
  EXPECT_FALSE(waker.ring_if_asleep()) << "nobody sleeps";
  sleeper.announce_sleep();
  EXPECT_FALSE(rung(sleeper)) << "and the next sleep is not ended by what ended this one";
}

TEST_F(BellTest, ASleepIsBounded) {
  Bell sleeper = bell();
  sleeper.announce_sleep();
  sleeper.sleep(1'000'000);
  EXPECT_FALSE(rope().ring_if_asleep());
}

TEST_F(BellTest, RingingASleeperWhoNeverWakesNeverBlocks) {
  Bell sleeper = bell();
  BellRope waker = rope();
  sleeper.announce_sleep();
  for (int time = 0; time < 100'000; ++time) ASSERT_TRUE(waker.ring_if_asleep());
  sleeper.awake();
  EXPECT_FALSE(rung(sleeper));
}

TEST_F(BellTest, ASleeperKilledAsleepLeavesNothingToItsSuccessor) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Bell sleeper = bell();
    sleeper.announce_sleep();
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  BellRope waker = rope();
  EXPECT_TRUE(waker.ring_if_asleep()) << "nobody there: as harmless as it is useless";
  Bell successor = bell();
  EXPECT_FALSE(rung(successor));
  EXPECT_FALSE(waker.ring_if_asleep());
}

TEST_F(BellTest, AWakerKilledLeavesTheBellInOrder) {
  Bell sleeper = bell();
  sleeper.announce_sleep();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    BellRope waker = rope();
    static_cast<void>(waker.ring_if_asleep());
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  sleeper.sleep(60'000'000'000);
  BellRope another = rope();
  sleeper.announce_sleep();
  EXPECT_TRUE(another.ring_if_asleep());
}

TEST_F(BellTest, NoBellIsASentence) {
  const Result<Bell> missing = Bell::open(*segment_, "nobody");
  ASSERT_FALSE(missing.ok());
  EXPECT_FALSE(missing.error().message().empty());
  EXPECT_FALSE(BellRope::open(*segment_, "nobody").ok());
}

// --- idle strategies ----------------------------------------------------------------------------

using Action = IdleStrategy::Action;

TEST(IdleStrategy, SpinNeverSleepsAndYieldsOnASharedCore) {
  IdleStrategy alone(schema::Wait::SPIN);
  IdleStrategy sharing(schema::Wait::SPIN, true);
  for (int pass = 0; pass < 1000; ++pass) {
    EXPECT_EQ(alone.next(0), Action::kGoOn);
    EXPECT_EQ(sharing.next(0), Action::kYield);
  }
  EXPECT_EQ(sharing.next(1), Action::kGoOn);
}

TEST(IdleStrategy, SleepSleepsAtOnce) {
  IdleStrategy idle(schema::Wait::SLEEP);
  EXPECT_EQ(idle.next(1), Action::kGoOn);
  EXPECT_EQ(idle.next(0), Action::kSleep);
}

TEST(IdleStrategy, AdaptiveSpinsFirstAndSleepsInTheEnd) {
  IdleStrategy idle(schema::Wait::ADAPTIVE);
  EXPECT_EQ(idle.next(0), Action::kYield);
  while (idle.next(0) != Action::kSleep) {
  }
  EXPECT_EQ(idle.next(0), Action::kSleep) << "and stays asleep while nothing comes";
  EXPECT_EQ(idle.next(1), Action::kGoOn);
  EXPECT_EQ(idle.next(0), Action::kYield) << "work starts the spinning anew";
}

}  // namespace
}  // namespace deja
