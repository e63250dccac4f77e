// A keeper killed behind every single instruction of its start, its drain, its journal, its dead
// letters and its writes to Redis; the one that comes next in the living segment, and the one that
// comes next when the power went as well. Against a real redis-server.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <random>
#include <unordered_set>

#include "shm/base/crash_point.h"
#include "shm/columns/finish.h"
#include "tests/step/keeper_world.h"
#include "tests/step/step_report.h"
#include "tests/support/redis_server.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

constexpr std::uint64_t kStepsMax = 5'000'000;
constexpr std::uint64_t kStepsToKillMax = 5'000;

class SteppedKeeper {
 public:
  explicit SteppedKeeper(const std::string& redis_url) : world_(redis_url) { world_.take(start_); }

  void step_through() {
    SteppedProcess process([this] { world_.be_the_keeper(); });
    Picture now;
    world_.take(now);
    try_recovery(now, false);
    while (!world_.done() && report_.steps < kStepsMax && !testing::Test::HasFailure()) {
      ASSERT_TRUE(process.step());
      ++report_.steps;
      if (process.system_call()) ++call_count_;
      if (!world_.changed(process, now)) continue;
      world_.take(now);
      ++report_.changes;
      if (seen_.insert(world_.hash(now)).second) {
        ++report_.pictures;
        try_recovery(now, report_.changes % second_level_every() == 0);
      }
      world_.send_more();
    }
    EXPECT_TRUE(world_.done());
    EXPECT_EQ(world_.sent_more, 2) << "events came while the keeper was at work";
    EXPECT_GT(world_.disk.files().size(), 3U) << "the journal went into a new segment";
  }
  void kill_at_random(std::uint64_t count) {
    std::mt19937_64 random(test_seed());
    for (; report_.kills < count; ++report_.kills) {
      world_.put_back(start_);
      world_.disk.reset();
      Picture now;
      {
        SteppedProcess process([this] { world_.be_the_keeper(); });
        world_.take(now);
        // To a system call first, since there are hundreds of thousands of instructions.
        for (std::uint64_t left = 2 * (random() % call_count_); left > 0; --left) {
          ASSERT_TRUE(process.run_to_system_call());
          static_cast<void>(world_.changed(process, now));
        }
        for (std::uint64_t left = random() % kStepsToKillMax; left > 0; --left) {
          ASSERT_TRUE(process.step());
          static_cast<void>(world_.changed(process, now));
        }
      }
      world_.take(now);
      try_recovery(now, false);
    }
  }
  void report() const {
    report_.print(world_.memory->bytes());
    EXPECT_GT(report_.pictures, 25U);
  }

 private:
  using Complaints = KeeperStory::Complaints;
  using Picture = KeeperWorld::Picture;
  void try_recovery(const Picture& picture, bool second_level) {
    judge_cut(picture);
    std::map<std::string, long> points;
    observed_ = second_level ? &points : nullptr;
    if (second_level) CrashPoints::observe([](const char* name) { ++(*observed_)[name]; });
    take_over();
    CrashPoints::observe(nullptr);
    for (const auto& [point, ignored] : points) {
      world_.put_back(picture);
      die_in_recovery_at(point);
      ++report_.second;
      take_over();
    }
    world_.put_back(picture);
    after_power_loss(picture);
    world_.put_back(picture);
  }

  void judge_cut(const Picture& picture) {
    Complaints complaints;
    const KeeperStory story = world_.story();
    story.judge_disk(picture.synced, world_.appliance.durable_position(0),
                     world_.drained_position(), complaints);
    story.judge_redis(world_.redis, picture.synced, world_.watermarks(), complaints);
    report_.complain(complaints);
  }

  /// The next keeper in the segment that lives on.
  void take_over() {
    ++report_.recoveries;
    world_.appliance.start_keeper(world_.options());
    const bool came_to_its_end = eventually([&] { return world_.done(); });
    const std::string said = world_.appliance.stop_keeper();
    Complaints complaints;
    if (!came_to_its_end) complaints.push_back("lost: the next keeper has not come to its end");
    if (!said.empty()) complaints.push_back("lost: the next keeper says: " + said);
    judge_end(world_.disk.files(), complaints);
    report_.complain(complaints);
  }
  void judge_end(const DiskFiles& files, Complaints& complaints) {
    const KeeperStory story = world_.story();
    story.judge_disk(files, world_.appliance.last_ring_end(), world_.drained_position(),
                     complaints);
    story.judge_redis(world_.redis, files, world_.watermarks(), complaints);
    for (std::uint32_t shard = 0; shard < KeeperWorld::kShards; ++shard) {
      if (world_.redis.number(watermark_key(shard), "sequence") != story.last_sequence(shard)) {
        complaints.emplace_back("lost: Redis' watermark is not at the end");
      }
    }
    for (const auto& [user, shard] : story.users()) {
      const std::string key = profile_key(shard, KeeperAppliance::user_key(user));
      if (world_.redis.number(key, "views") != story.views(user, story.last_sequence(shard))) {
        complaints.push_back("lost: Redis has not all of " + user);
      }
    }
  }

  /// A new segment, from Redis and from what of the journal was synced.
  void after_power_loss(const Picture& picture) {
    ++report_.recoveries;
    DiskWatch::put_back(world_.after_folder(), picture.synced);
    Complaints complaints;
    const KeeperStory story = world_.story();
    const JournalSeen journal = journal_of(picture.synced, complaints);
    KeeperAppliance appliance(world_.plan(world_.redis_url, "/after"));
    appliance.start_keeper(world_.options());
    if (!appliance.recover()) {
      complaints.push_back("lost: no start after a power loss: " + appliance.stop_keeper());
      report_.complain(complaints);
      return;
    }
    for (std::uint32_t shard = 0; shard < KeeperWorld::kShards; ++shard) {
      if (appliance.sequence(shard) <
          story.durable_sequence(shard, world_.appliance.durable_position(0))) {
        complaints.emplace_back("lost: what was told durable, with the power");
      }
    }
    for (const auto& [user, shard] : story.users()) {
      std::uint64_t expected = story.views(user, appliance.sequence(shard), &journal);
      const auto profile = appliance.read(user);
      const std::uint64_t has = profile ? views_in(appliance, profile->frame) : 0;
      if (has == expected) continue;
      complaints.push_back((has > expected ? "doubled: " : "lost: ") + user + " has " +
                           std::to_string(has) + " views after a power loss, not " +
                           std::to_string(expected));
    }
    const std::string said = appliance.stop_keeper();
    if (!said.empty()) complaints.push_back("lost: after a power loss: " + said);
    report_.complain(complaints);
  }
  static std::uint64_t views_in(const KeeperAppliance& appliance, const std::string& frame) {
    const FeatureSpec& spec = appliance.features().specs()[0];
    std::vector<std::uint64_t> words((frame.size() + 7) / 8);
    std::memcpy(words.data(), frame.data(), frame.size());
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(words.data());
    return static_cast<std::uint64_t>(finish_number(spec, bytes + spec.offset, 0).number);
  }

  void die_in_recovery_at(const std::string& point) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      CrashPoints::arm(point.c_str(), 0);
      alarm(20);  // where it never comes by
      auto keeper = Keeper::open(world_.appliance.segment_directory(), world_.options());
      const std::atomic<bool> stop{false};
      if (keeper.ok()) static_cast<void>((*keeper)->run(stop));
      _exit(1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << point;
  }

  inline static std::map<std::string, long>* observed_ = nullptr;

  KeeperWorld world_;
  Picture start_;
  std::unordered_set<std::size_t> seen_;
  std::uint64_t call_count_ = 0;
  StepReport report_{"the keeper"};
};

TEST(KeeperStep, WhatItKeepsSurvivesAKillBehindEveryInstruction) {
  SKIP_WITHOUT_REDIS();
  RedisServer redis;
  ASSERT_TRUE(redis.start());
  // What io_uring does is done by the kernel, between two instructions of nobody.
  setenv("DEJA_IO", "epoll", 1);
  const Silence silence;
  SteppedKeeper stepped(redis.url());
  stepped.step_through();
  stepped.kill_at_random(real_kills());
  stepped.report();
  unsetenv("DEJA_IO");
}

}  // namespace
}  // namespace deja
