// The keeper's journal, end to end: what is durable and when, what a power loss leaves, and what
// the store takes back. Against a real redis-server; the workers are played by the test.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>

#include "shm/base/clock.h"
#include "tests/support/redis_server.h"
#include "tests/workers/keeper/test_appliance.h"

namespace deja {
namespace {

class KeeperJournal : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_REDIS();
    ASSERT_TRUE(redis_.start());
    char path[] = "/tmp/deja-durable-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    directory_ = path;
  }
  void TearDown() override {
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }
  TestPlan plan() {
    TestPlan plan;
    plan.redis_url = redis_.url();
    plan.durability_directory = directory_;
    return plan;
  }
  /// One life that ends with its power: Redis is gone before its last events.
  std::map<std::string, std::uint64_t> live_and_lose_power() {
    KeeperAppliance appliance(plan());
    appliance.start_keeper();
    EXPECT_TRUE(appliance.recover());
    for (int at = 0; at < 40; ++at) appliance.view("u" + std::to_string(at % 10));
    EXPECT_TRUE(eventually([&] { return appliance.all_written(); }));
    redis_.stop();
    for (int at = 0; at < 40; ++at) {
      appliance.view("u" + std::to_string(at % 15));
      if (at % 10 == 9) usleep(20'000);  // several groups
    }
    EXPECT_TRUE(eventually(
        [&] { return appliance.counter("deja_log_records_total{kind=\"applied\"}") == 80; }));
    EXPECT_EQ(appliance.stop_keeper(), "");
    std::map<std::string, std::uint64_t> sequences;
    for (int at = 0; at < 15; ++at) {
      const std::string user = "u" + std::to_string(at);
      sequences[user] = appliance.read(user)->sequence;
    }
    return sequences;
  }
  static std::uint32_t worker_of(const KeeperAppliance& appliance, const std::string& user) {
    return appliance.segment().geometry().owner_of(appliance.shard_of_user(user));
  }
  /// Serves until the journal can't be written; ada's last views are not in it. How many she has.
  static std::uint64_t break_journal(KeeperAppliance& appliance) {
    KeeperOptions options;
    options.journal_segment_bytes = 1U << 15U;
    options.drain_bound_ms = 50;
    appliance.start_keeper(options);
    EXPECT_TRUE(appliance.recover());
    EXPECT_TRUE(eventually([&] { return appliance.journal_state() == JournalState::kWriting; }));
    // Its directory is gone under it: no further segment can be made.
    std::filesystem::remove_all(appliance.journal_directory());
    std::uint64_t views = 0;
    EXPECT_TRUE(eventually([&] {
      appliance.view("ada");
      ++views;
      return appliance.journal_state() == JournalState::kFailed;
    }));
    return views;
  }
  RedisServer redis_;
  std::string directory_;
};

TEST_F(KeeperJournal, ARingIsDurableUpToWhatWasSyncedSkipsIncluded) {
  KeeperAppliance appliance(plan());
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  ASSERT_TRUE(eventually([&] { return appliance.journal_state() == JournalState::kWriting; }));
  const std::uint32_t shard = appliance.shard_of_user("ada");
  const std::uint32_t worker = appliance.segment().geometry().owner_of(shard);
  EXPECT_EQ(appliance.durable_position(worker), 0U);
  appliance.view("ada");
  ASSERT_TRUE(
      eventually([&] { return appliance.durable_position(worker) == appliance.last_ring_end(); }));
  appliance.append_log(shard, 0, "", LogKind::kDuplicate);
  ASSERT_TRUE(
      eventually([&] { return appliance.durable_position(worker) == appliance.last_ring_end(); }));
}

TEST_F(KeeperJournal, EachAppliedEventIsTimedUntilItIsDurable) {
  KeeperAppliance appliance(plan());
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  ASSERT_TRUE(eventually([&] { return appliance.journal_state() == JournalState::kWriting; }));
  const std::int64_t begin_us = wall_us();
  EXPECT_EQ(appliance.durable_us(), 0);
  const std::uint32_t worker = worker_of(appliance, "ada");
  for (std::uint64_t count = 3; count <= 30; count += 3) {
    for (int at = 0; at < 3; ++at) appliance.view("ada");  // mostly of one group
    ASSERT_TRUE(eventually(
        [&] { return appliance.durable_position(worker) == appliance.last_ring_end(); }));
    ASSERT_GE(appliance.durable_us(), begin_us) << "who sees the position sees its instant";
    ASSERT_LE(appliance.durable_us(), wall_us());
    ASSERT_TRUE(eventually([&] { return appliance.timed("applied_durable") == count; }));
  }
  appliance.append_log(appliance.shard_of_user("ada"), 0, "", LogKind::kDuplicate);
  ASSERT_TRUE(
      eventually([&] { return appliance.durable_position(worker) == appliance.last_ring_end(); }));
  EXPECT_EQ(appliance.timed("applied_durable"), 30U);
}

TEST_F(KeeperJournal, WhatRedisDidNotHaveYetComesBackAfterAPowerLoss) {
  const std::map<std::string, std::uint64_t> before = live_and_lose_power();
  ASSERT_TRUE(redis_.start());
  KeeperAppliance appliance(plan());
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  EXPECT_EQ(appliance.replayed().size(), 40U);
  for (const auto& [user, sequence] : before) {
    ASSERT_TRUE(appliance.read(user)) << user;
    EXPECT_EQ(appliance.read(user)->sequence, sequence) << user;
  }
  // In each shard in the order of the sequences, each once.
  std::map<std::uint32_t, std::uint64_t> last;
  for (const auto& [shard, sequence] : appliance.replayed()) {
    EXPECT_GT(sequence, last[shard]);
    last[shard] = sequence;
  }
  // The last 16 ids of each shard, oldest first.
  std::size_t ids = 0;
  for (std::uint32_t shard = 0; shard < 4; ++shard) {
    ids += std::min<std::size_t>(16, appliance.sequence(shard));
  }
  EXPECT_EQ(appliance.ids().size(), ids);
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  EXPECT_EQ(redis_.cli("hget " + appliance.redis_key("u1") + " views"), "7");
  EXPECT_EQ(redis_.cli("get deja:epoch"), "2");
}

TEST_F(KeeperJournal, WhatRedisLosesOfItsTailIsWrittenAgain) {
  {
    KeeperAppliance appliance(plan());
    appliance.start_keeper();
    ASSERT_TRUE(appliance.recover());
    for (int at = 0; at < 20; ++at) appliance.view("ada");
    ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
    EXPECT_EQ(appliance.stop_keeper(), "");
    // Its last second is gone, profile and watermark: as if they had never been written.
    redis_.cli("del " + appliance.redis_key("ada"));
    redis_.cli("del 'deja:{" + std::to_string(appliance.shard_of_user("ada")) + "}:watermark'");
  }
  KeeperAppliance appliance(plan());
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  ASSERT_TRUE(appliance.read("ada"));
  EXPECT_EQ(appliance.read("ada")->sequence, 20U);
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  EXPECT_EQ(redis_.cli("hget " + appliance.redis_key("ada") + " views"), "20");
}

TEST_F(KeeperJournal, ADamagedGroupIsNamedAndStopsTheStartUntilALossIsAccepted) {
  live_and_lose_power();
  std::string name;
  for (const auto& entry : std::filesystem::directory_iterator(directory_ + "/journal")) {
    if (entry.file_size() > kJournalBlockBytes) name = entry.path();
  }
  ASSERT_FALSE(name.empty());
  // The first group whose events Redis does not have: all but the last are looked through.
  std::vector<std::uint64_t> groups;
  {
    std::ifstream file(name, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    for (std::size_t at = 0; at + 8 <= bytes.size(); at += kJournalBlockBytes) {
      if (std::memcmp(bytes.data() + at, &kJournalGroupMagic, 8) == 0) groups.push_back(at);
    }
  }
  ASSERT_GE(groups.size(), 2U);
  const int file = open(name.c_str(), O_RDWR | O_CLOEXEC);
  for (std::size_t at = 0; at + 1 < groups.size(); ++at) {
    const char byte = '#';
    ASSERT_EQ(pwrite(file, &byte, 1, static_cast<off_t>(groups[at] + 200)), 1);
  }
  close(file);
  ASSERT_TRUE(redis_.start());
  {
    KeeperAppliance appliance(plan());
    appliance.start_keeper();
    EXPECT_FALSE(appliance.recover());
    EXPECT_NE(appliance.wait_for_keeper().find("accept-loss"), std::string::npos);
    EXPECT_TRUE(appliance.has_error("are damaged"));
    EXPECT_TRUE(appliance.has_error("are in neither the journal nor Redis"));
  }
  std::ofstream(directory_ + "/journal/accept-loss").flush();
  KeeperAppliance appliance(plan());
  appliance.start_keeper();
  EXPECT_TRUE(appliance.recover());
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/journal/accept-loss"));
}

TEST_F(KeeperJournal, AJournalThatCantBeWrittenIsSaidAndNothingIsDurableOrInRedis) {
  KeeperAppliance appliance(plan());
  const std::uint64_t views = break_journal(appliance);
  EXPECT_TRUE(appliance.has_error("See to the disk"));
  usleep(50'000);
  EXPECT_LT(appliance.durable_position(worker_of(appliance, "ada")), appliance.last_ring_end());
  EXPECT_FALSE(appliance.log_is_given_back(worker_of(appliance, "ada")));
  EXPECT_LT(std::stoull("0" + redis_.cli("hget " + appliance.redis_key("ada") + " views")), views);
  EXPECT_NE(appliance.stop_keeper().find("keep it"), std::string::npos);
}

TEST_F(KeeperJournal, ADuplicateIsNotDurableBeforeItsOriginal) {
  KeeperAppliance appliance(plan());
  break_journal(appliance);
  const std::uint64_t original_end = appliance.last_ring_end();
  appliance.append_log(appliance.shard_of_user("ada"), 0, "", LogKind::kDuplicate);
  usleep(50'000);
  EXPECT_LT(appliance.durable_position(worker_of(appliance, "ada")), original_end);
}

TEST_F(KeeperJournal, WhatRedisHadForLessThanTheLossWindowStaysInTheJournal) {
  constexpr int kViews = 20;
  {
    KeeperAppliance appliance(plan());
    KeeperOptions options;
    options.journal_segment_bytes = 1U << 15U;  // several segments
    appliance.start_keeper(options);
    ASSERT_TRUE(appliance.recover());
    for (int at = 0; at < kViews; ++at) {
      appliance.view("ada");
      ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
    }
    ASSERT_TRUE(eventually([&] { return appliance.counter("deja_journal_segments") > 2; }));
    usleep(300'000);  // the keeper looks for what may go ten times a second
    EXPECT_EQ(appliance.stop_keeper(), "");
  }
  ASSERT_EQ(redis_.cli("flushall"), "OK");
  KeeperAppliance appliance(plan());
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  EXPECT_EQ(appliance.replayed().size(), std::size_t{kViews});
}

TEST_F(KeeperJournal, WhatAFormerLifeHadNotUsedOfItsSegmentIsGivenBack) {
  KeeperAppliance appliance(plan());
  const auto used_bytes = [&](std::uint64_t epoch) {
    struct stat facts {};
    const std::string name = JournalSegmentName{epoch, 0}.text();
    EXPECT_EQ(stat((appliance.journal_directory() + "/" + name).c_str(), &facts), 0);
    EXPECT_EQ(facts.st_size, 64 << 20) << "whoever reads it finds it as it was";
    return std::uint64_t{512} * static_cast<std::uint64_t>(facts.st_blocks);
  };
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  appliance.view("ada");
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  EXPECT_EQ(appliance.stop_keeper(), "");
  if (used_bytes(1) < 64U << 20U) GTEST_SKIP() << "this file system promises no space";
  appliance.start_keeper();
  EXPECT_TRUE(eventually([&] { return used_bytes(1) < 1U << 20U; }));
  EXPECT_GE(used_bytes(2), 64U << 20U) << "the one that is written to keeps its space";
  EXPECT_EQ(appliance.stop_keeper(), "");

  ASSERT_EQ(redis_.cli("flushall"), "OK");
  KeeperAppliance next(plan());
  next.start_keeper();
  ASSERT_TRUE(next.recover());
  EXPECT_EQ(next.replayed().size(), 1U);
}

TEST_F(KeeperJournal, AUserWhoComesBackIsHandedWhatIsStored) {
  KeeperAppliance appliance(plan());
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  appliance.view("ada");
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  // As if evicted and come back: the test's own table has her still, so another user plays her.
  const std::string stored = redis_.cli("hget " + appliance.redis_key("ada") + " sequence");
  const std::uint64_t sequence = appliance.log("ada", kLogBeganPartial);
  appliance.publish("ada", sequence, "p2", kFlagPartial);
  appliance.count("ada", sequence);
  std::optional<std::pair<std::uint32_t, std::uint64_t>> part;
  ASSERT_TRUE(eventually([&] { return (part = appliance.take_part("ada")).has_value(); }));
  EXPECT_EQ(part->first, kReturnStored);
  EXPECT_EQ(std::to_string(part->second), stored);
  // A partial profile is never written over the whole one.
  usleep(50'000);
  EXPECT_EQ(redis_.cli("hget " + appliance.redis_key("ada") + " sequence"), stored);

  const std::uint64_t new_sequence = appliance.log("nobody", kLogBeganPartial);
  appliance.publish("nobody", new_sequence, "p2", kFlagPartial);
  appliance.count("nobody", new_sequence);
  ASSERT_TRUE(eventually([&] { return (part = appliance.take_part("nobody")).has_value(); }));
  EXPECT_EQ(part->first, kReturnNothing);
}

TEST_F(KeeperJournal, ANextKeeperAsksAgainForPartialProfiles) {
  KeeperAppliance appliance(plan());
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  appliance.view("ada");
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  EXPECT_EQ(appliance.stop_keeper(), "");
  appliance.publish("ada", appliance.log("ada"), "p2", kFlagPartial);
  appliance.start_keeper();
  std::optional<std::pair<std::uint32_t, std::uint64_t>> part;
  ASSERT_TRUE(eventually([&] { return (part = appliance.take_part("ada")).has_value(); }));
  EXPECT_EQ(part->first, kReturnStored);
}

}  // namespace
}  // namespace deja
