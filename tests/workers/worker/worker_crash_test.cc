// A worker that is killed at each of its crash points, as a stranger would kill it, and started
// again: nothing is lost, nothing is doubled, every count is exact, and of every event that is
// followed there is a mark.
#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "tests/support/followed_lane.h"
#include "tests/support/seed.h"
#include "tests/support/worker_process.h"
#include "tests/support/worker_world.h"

namespace deja {
namespace {

/// Not a test: what this program does when it runs itself as a worker that is to die.
TEST(WorkerCrash, IsAWorkerWhereItIsAskedToBe) {
  be_a_worker_if_asked();
}

/// Runs a worker till it has emptied its rings or is dead. True when the crash point killed it.
bool run_worker_and_kill_at(const std::string& segment_directory, const std::string& point,
                            std::uint64_t passes) {
  const WorkerProcess process{segment_directory, point, passes};
  const int signal = process.run();
  EXPECT_TRUE(signal == 0 || signal == SIGKILL) << point << " " << signal;
  return signal != 0;
}

/// Events of some users with some duplicates, broken records and records without an id, and what
/// must come of them.
class Story {
 public:
  Story(std::uint64_t seed, WorkerWorld& world)
      : random_(seed), lane_(*world.fixture.file("trace-ingest-0").at<TraceLaneLayout>()) {}

  /// Hands events over, all of them followed, as long as `left` and the ring allow.
  void send(TestIngest& ingest, int left) {
    for (; left > 0; --left) {
      if (random_() % 8 == 0) {
        const std::uint64_t end = ingest.commit(std::vector<std::uint8_t>(16));
        if (end == 0) break;
        follow(lane_, end);
        kinds_.push_back(LogKind::kDead);
        ++dead_count;
        continue;
      }
      if (random_() % 8 == 0) {
        if (ingest.commit(std::vector<std::uint8_t>(200), kRejectedEvent) == 0) break;
        ++rejected_count;
        continue;
      }
      const std::string user = "user-" + std::to_string(random_() % 12);
      TestEvent event = view_of(user, random_() % 3 == 0 ? 0 : 1 + random_() % 60);
      const std::uint64_t end = ingest.commit(event);
      if (end == 0) break;
      follow(lane_, end);
      const std::uint32_t shard = shard_of(event.as_key(), 4);
      if (event.id_low != 0 && !ids_[shard].insert(event.id_low).second) {
        kinds_.push_back(LogKind::kDuplicate);
        ++duplicate_count;
        continue;
      }
      kinds_.push_back(LogKind::kApplied);
      ++views[user];
      ++sequences[shard];
      ++applied_count;
    }
    ingest.publish();
  }

  void expect_told(WorkerWorld& world, const std::string& where) const {
    SCOPED_TRACE(where);
    for (const auto& [user, count] : views) {
      EXPECT_EQ(world.profile(user).views, count) << user;
    }
    for (std::uint32_t shard = 0; shard < 4; ++shard) {
      const auto expected = sequences.find(shard);
      EXPECT_EQ(world.fixture.reader(shard).sequence(),
                expected == sequences.end() ? 0 : expected->second);
    }
    EXPECT_EQ(world.ingest.consumed_position(), world.ingest.published_position());
    EXPECT_EQ(world.counter(kAppliedCounter), applied_count);
    EXPECT_EQ(world.counter(kDuplicateCounter), duplicate_count);
    EXPECT_EQ(world.counter(kDeadCounter), dead_count);
    EXPECT_EQ(world.counter("deja_profiles"), views.size());
    const auto& marks = world.fixture.file("trace-worker-0").at<WorkerTraceLayout>()->marks;
    for (std::uint64_t number = 0; number < kinds_.size(); ++number) {
      WorkerMark mark{};
      ASSERT_TRUE(marked(marks, number, mark)) << number;
      EXPECT_EQ(static_cast<LogKind>(mark.kind), kinds_[number]) << number;
    }
  }

  std::map<std::string, double> views;
  std::map<std::uint32_t, std::uint64_t> sequences;
  std::uint64_t applied_count = 0;
  std::uint64_t duplicate_count = 0;
  std::uint64_t dead_count = 0;
  std::uint64_t rejected_count = 0;  ///< logged, and no event

 private:
  std::mt19937_64 random_;
  TraceLaneLayout& lane_;
  std::vector<LogKind> kinds_;  ///< of what is followed
  std::map<std::uint32_t, std::set<std::uint64_t>> ids_;
};

/// Each consumed record has exactly one log record, in order, and each sequence is there once.
void expect_one_log_record_each(TestKeeper& keeper, const Story& story) {
  std::uint64_t ring_end = 0;
  std::map<std::uint32_t, std::uint64_t> sequences;
  std::uint64_t dead = 0;
  std::uint64_t rejected = 0;
  for (const auto& logged : keeper.drain()) {
    EXPECT_EQ(logged.record.ring_position, ring_end);
    ring_end = logged.record.ring_end;
    if (logged.record.kind == LogKind::kApplied) {
      EXPECT_EQ(logged.record.sequence, ++sequences[logged.record.shard]);
    }
    const bool is_rejected = logged.record.reason == RefusalReason::kRejected;
    dead += logged.record.kind == LogKind::kDead && !is_rejected ? 1 : 0;
    rejected += is_rejected ? 1 : 0;
  }
  EXPECT_EQ(sequences, story.sequences);
  EXPECT_EQ(dead, story.dead_count);
  EXPECT_EQ(rejected, story.rejected_count);
}

void expect_one_verdict_each(TestIngest& ingest, const Story& story) {
  std::set<std::uint64_t> ends;
  const auto verdicts = ingest.take_verdicts();
  for (const VerdictLayout& verdict : verdicts) ends.insert(verdict.ring_end);
  EXPECT_EQ(verdicts.size(), story.dead_count);
  EXPECT_EQ(ends.size(), story.dead_count);
}

/// In the order in which a worker meets them.
const std::vector<std::string>& crash_points() {
  static const std::vector<std::string> points = {
      "worker.before_recovered", "worker.before_return_release", "worker.after_log",
      "worker.before_publish",   "table.before_stamp",           "table.before_publish",
      "table.after_publish",     "worker.after_publish",         "worker.in_id_set",
      "worker.after_ids",        "worker.in_sequences",          "worker.after_sequence",
      "worker.after_verdicts",   "worker.after_consumed",        "worker.after_tally",
      "worker.after_applied"};
  return points;
}

TEST(WorkerCrash, DyingAtAnyPointLosesNothingAndDoublesNothing) {
  std::uint64_t seed = test_seed();
  for (const std::string& point : crash_points()) {
    WorkerWorld world;
    ASSERT_TRUE(world.keeper.give_end());
    Story story(seed++, world);
    story.send(world.ingest, 60);
    EXPECT_TRUE(run_worker_and_kill_at(world.fixture.segment_directory(), point, 0)) << point;
    world.start();
    world.run_dry();
    story.expect_told(world, point);
    // And it goes on from there.
    story.send(world.ingest, 60);
    world.run_dry();
    story.expect_told(world, point + ", and on");
    expect_one_log_record_each(world.keeper, story);
    expect_one_verdict_each(world.ingest, story);
  }
}

TEST(WorkerCrash, DyingInTheRedoIsLikeDyingThere) {
  WorkerWorld world;
  ASSERT_TRUE(world.keeper.give_end());
  Story story(test_seed(), world);
  story.send(world.ingest, 60);
  const std::string& directory = world.fixture.segment_directory();
  EXPECT_TRUE(run_worker_and_kill_at(directory, "worker.after_log", 0));
  for (const std::uint64_t passes : {0U, 5U, 20U}) {
    EXPECT_TRUE(run_worker_and_kill_at(directory, "worker.in_redo", passes));
  }
  for (const char* point : {"table.before_publish", "worker.in_id_set", "worker.after_tally"}) {
    static_cast<void>(run_worker_and_kill_at(directory, point, 0));
  }
  world.start();
  world.run_dry();
  story.expect_told(world, "redo");
  expect_one_log_record_each(world.keeper, story);
  expect_one_verdict_each(world.ingest, story);
}

TEST(WorkerCrash, KilledAgainAndAgainItStillTellsTheWholeStory) {
  const std::uint64_t seed = test_seed();
  std::mt19937_64 random(seed);
  WorkerWorld world;
  ASSERT_TRUE(world.keeper.give_end());
  Story story(seed, world);
  for (int life = 0; life < 25; ++life) {
    story.send(world.ingest, static_cast<int>(random() % 30));
    const auto& points = crash_points();
    static_cast<void>(run_worker_and_kill_at(world.fixture.segment_directory(),
                                             points[random() % points.size()], random() % 25));
  }
  world.start();
  world.run_dry();
  story.expect_told(world, "in the end");
  expect_one_log_record_each(world.keeper, story);
  expect_one_verdict_each(world.ingest, story);
}

}  // namespace
}  // namespace deja
