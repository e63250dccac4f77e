// A keeper as a process of its own, killed at named points and at any: what the next one makes of
// it. Against a real redis-server.
#include <gtest/gtest.h>

#include <random>

#include "tests/support/redis_server.h"
#include "tests/support/seed.h"
#include "tests/workers/keeper/keeper_process.h"
#include "workers/dead_letters/dead_letter_scan.h"

namespace deja {
namespace {

/// What the child below runs: not a test, and disabled as one.
TEST(KeeperProcess, DISABLED_IsTheKeeperProcess) {
  KeeperOptions options;
  options.journal_segment_bytes = 1U << 15U;  // several in a test
  Result<std::unique_ptr<Keeper>> keeper = Keeper::open(std::getenv(kSegmentVariable), options);
  ASSERT_TRUE(keeper.ok()) << keeper.error().message();
  const std::atomic<bool> stop{false};
  (void)(*keeper)->run(stop);
}

class KeeperCrash : public testing::Test {
 protected:
  TestPlan plan() {
    TestPlan plan;
    plan.redis_url = redis_.url();
    return plan;
  }
  std::string field(const KeeperAppliance& appliance, const std::string& user, const char* name) {
    return redis_.cli("hget " + appliance.redis_key(user) + " " + name);
  }
  RedisServer redis_;
};

class KeeperCrashPoint : public KeeperCrash, public testing::WithParamInterface<const char*> {};

TEST_P(KeeperCrashPoint, LosesNothingThere) {
  SKIP_WITHOUT_REDIS();
  ASSERT_TRUE(redis_.start());
  KeeperAppliance appliance(plan());
  const pid_t child = start_keeper_process(appliance, GetParam());
  ASSERT_TRUE(appliance.recover());
  const std::uint32_t shard = appliance.shard_of_user("ada");
  appliance.view("ada");
  ASSERT_EQ(ended_by(child), SIGKILL);
  EXPECT_EQ(appliance.watermark(shard), 0U);
  EXPECT_EQ(field(appliance, "ada", "views"), "1");
  appliance.view("ada");
  appliance.start_keeper();
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  EXPECT_EQ(field(appliance, "ada", "views"), "2");
  EXPECT_EQ(field(appliance, "ada", "epoch"), "2");
  EXPECT_EQ(appliance.stop_keeper(), "");
}

INSTANTIATE_TEST_SUITE_P(At, KeeperCrashPoint,
                         testing::Values("keeper.after_replies", "keeper.after_watermark"),
                         [](const auto& point) {
                           return std::string(point.param).substr(sizeof "keeper." - 1);
                         });

/// Points of the journal: wherever the keeper dies, the next one has every event on the disk and in
/// Redis, once.
class JournalCrashPoint : public KeeperCrash, public testing::WithParamInterface<const char*> {};

TEST_P(JournalCrashPoint, LosesNothingThere) {
  SKIP_WITHOUT_REDIS();
  ASSERT_TRUE(redis_.start());
  TestPlan small = plan();
  small.loss_window_us = 1000;  // so that segments are pruned at once
  KeeperAppliance appliance(small);
  // A first life, so that there is something to come back to.
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  appliance.view("ada");
  ASSERT_EQ(appliance.stop_keeper(), "");
  const pid_t child = start_keeper_process(appliance, GetParam());
  bool dead = false;
  int views = 1;
  for (; !dead && views < 60'000; ++views) {
    appliance.view("ada");
    usleep(500);
    dead = waitpid(child, nullptr, WNOHANG) == child;
  }
  ASSERT_TRUE(dead) << "the point was never reached";
  appliance.view("ada");
  appliance.start_keeper();
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  EXPECT_EQ(field(appliance, "ada", "views"), std::to_string(views + 1));
  EXPECT_EQ(appliance.durable_position(
                appliance.segment().geometry().owner_of(appliance.shard_of_user("ada"))),
            appliance.last_ring_end());
  EXPECT_EQ(appliance.stop_keeper(), "");
}

INSTANTIATE_TEST_SUITE_P(At, JournalCrashPoint,
                         testing::Values("journal.after_create", "journal.after_begin",
                                         "journal.after_sync", "keeper.after_epoch",
                                         "keeper.after_durable", "keeper.after_drained",
                                         "keeper.before_write", "journal.after_condense",
                                         "journal.after_merge"),
                         [](const auto& point) {
                           std::string name = point.param;
                           name[name.find('.')] = '_';
                           return name;
                         });

/// Points of handing over what is stored of a user who came back: the next keeper does it again.
class StoredPartCrashPoint : public KeeperCrash, public testing::WithParamInterface<const char*> {};

TEST_P(StoredPartCrashPoint, LeavesNoProfilePartial) {
  SKIP_WITHOUT_REDIS();
  ASSERT_TRUE(redis_.start());
  KeeperAppliance appliance(plan());
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  appliance.view("ada");
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  ASSERT_EQ(appliance.stop_keeper(), "");
  appliance.publish("ada", appliance.log("ada", kLogBeganPartial), "p2", kFlagPartial);
  const pid_t child = start_keeper_process(appliance, GetParam());
  ASSERT_EQ(ended_by(child), SIGKILL);
  const bool given = appliance.take_part("ada").has_value();
  EXPECT_EQ(given, std::string_view(GetParam()) == "keeper.after_stored_part");
  appliance.start_keeper();
  std::optional<std::pair<std::uint32_t, std::uint64_t>> part;
  ASSERT_TRUE(eventually([&] { return (part = appliance.take_part("ada")).has_value(); }));
  EXPECT_EQ(part->first, kReturnStored);
  EXPECT_EQ(appliance.stop_keeper(), "");
}

INSTANTIATE_TEST_SUITE_P(At, StoredPartCrashPoint,
                         testing::Values("keeper.before_stored_part", "keeper.after_stored_part"),
                         [](const auto& point) {
                           return std::string(point.param).substr(sizeof "keeper." - 1);
                         });

/// Points of the dead letters: wherever the keeper dies, the letters are on the disk, once each.
class LettersCrashPoint : public KeeperCrash, public testing::WithParamInterface<const char*> {};

TEST_P(LettersCrashPoint, KeepsEveryLetterOnce) {
  SKIP_WITHOUT_REDIS();
  ASSERT_TRUE(redis_.start());
  KeeperAppliance appliance(plan());
  const pid_t child = start_keeper_process(appliance, GetParam());
  ASSERT_TRUE(appliance.recover());
  const std::uint32_t shard = appliance.shard_of_user("mallory");
  appliance.view("mallory");
  const std::string broken = "no event at all";
  const std::string decided = KeeperAppliance::event_words("mallory", shard, 99);
  appliance.append_log(shard, 0, broken, LogKind::kDead);
  const std::uint64_t sequence = appliance.log("mallory");
  appliance.append_log(shard, sequence, decided, LogKind::kDead);
  appliance.count("mallory", sequence);
  ASSERT_EQ(ended_by(child), SIGKILL);
  appliance.start_keeper();
  appliance.view("mallory");
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  EXPECT_EQ(field(appliance, "mallory", "views"), "2");
  EXPECT_EQ(appliance.stop_keeper(), "");
  const auto bytes = read_dead_letters(appliance.letters_path());
  ASSERT_TRUE(bytes.ok());
  const DeadLetterScan found = scan_dead_letters(*bytes);
  ASSERT_EQ(found.letters.size(), 2U);
  EXPECT_EQ(std::string(found.letters[0].record.begin(), found.letters[0].record.end()), broken);
  EXPECT_EQ(std::string(found.letters[1].record.begin(), found.letters[1].record.end()), decided);
  EXPECT_EQ(found.letters[1].head.sequence, sequence);
  EXPECT_TRUE(found.letters[1].settled);
  EXPECT_TRUE(found.damages.empty());
  EXPECT_EQ(found.tail_bytes, 0U);
}

INSTANTIATE_TEST_SUITE_P(At, LettersCrashPoint,
                         testing::Values("letters.torn", "letters.written", "letters.synced",
                                         "letters.settled"),
                         [](const auto& point) {
                           return std::string(point.param).substr(sizeof "letters." - 1);
                         });

TEST_F(KeeperCrash, LosesNothingWhenKilledAgainAndAgain) {
  SKIP_WITHOUT_REDIS();
  ASSERT_TRUE(redis_.start());
  std::mt19937_64 random(test_seed());
  KeeperAppliance appliance(plan());
  std::map<std::string, int> views;
  for (int life = 0; life < 8; ++life) {
    const pid_t child = start_keeper_process(appliance, nullptr);
    if (life == 0) {
      ASSERT_TRUE(appliance.recover());
    }
    const std::uint64_t count = 200 + random() % 400;
    for (std::uint64_t at = 0; at < count; ++at) {
      const std::string user = "u" + std::to_string(random() % 60);
      appliance.view(user);
      ++views[user];
      if (random() % 8 == 0) usleep(static_cast<unsigned>(random() % 1000));
    }
    kill(child, SIGKILL);
    ASSERT_EQ(ended_by(child), SIGKILL);
  }
  appliance.start_keeper();
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  for (const auto& [user, count] : views) {
    EXPECT_EQ(field(appliance, user, "views"), std::to_string(count)) << user;
  }
  EXPECT_EQ(appliance.stop_keeper(), "");
}

}  // namespace
}  // namespace deja
