// Dead letters on their way through the keeper: kept before their records are passed, and never the
// reason that anything else is lost. Against a real redis-server; the workers are played by the
// test.
#include <fstream>

#include "tests/support/redis_server.h"
#include "tests/workers/keeper/test_appliance.h"
#include "workers/dead_letters/dead_letter_scan.h"

namespace deja {
namespace {

class KeeperLetters : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_REDIS();
    ASSERT_TRUE(redis_.start());
    TestPlan plan;
    plan.redis_url = redis_.url();
    appliance_ = std::make_unique<KeeperAppliance>(plan);
  }
  void start() {
    appliance_->start_keeper();
    ASSERT_TRUE(appliance_->recover());
  }
  void log_dead(const std::string& record) {
    appliance_->append_log(appliance_->shard_of_user("ada"), 0, record, LogKind::kDead);
  }
  void log_rejected(const std::string& record, std::uint64_t sequence = 0) {
    appliance_->append_log(appliance_->shard_of_user("ada"), sequence, record, LogKind::kDead, 0,
                           RefusalReason::kRejected);
  }
  std::size_t letter_count() {
    const auto bytes = read_dead_letters(appliance_->letters_path());
    if (!bytes) return 0;
    return scan_dead_letters(*bytes).letters.size();
  }
  std::string views_of(const std::string& user) {
    return redis_.cli("hget " + appliance_->redis_key(user) + " views");
  }

  RedisServer redis_;
  std::unique_ptr<KeeperAppliance> appliance_;
};

TEST_F(KeeperLetters, AreKeptAndCounted) {
  start();
  for (int at = 0; at < 200; ++at) {
    log_dead("record " + std::to_string(at));
    appliance_->view("ada");
  }
  ASSERT_TRUE(eventually([&] { return appliance_->all_written(); }));
  ASSERT_TRUE(eventually([&] { return appliance_->counter("deja_dead_letters_total") == 200; }));
  EXPECT_EQ(views_of("ada"), "200");
  EXPECT_EQ(appliance_->stop_keeper(), "");
  const auto bytes = read_dead_letters(appliance_->letters_path());
  ASSERT_TRUE(bytes.ok());
  const DeadLetterScan found = scan_dead_letters(*bytes);
  ASSERT_EQ(found.letters.size(), 200U);
  for (std::size_t at = 0; at < 200; ++at) {
    const DeadLetter& letter = found.letters[at];
    EXPECT_EQ(std::string(letter.record.begin(), letter.record.end()),
              "record " + std::to_string(at));
  }
  ASSERT_EQ(found.catalogs.size(), 1U);
  const auto catalog = appliance_->segment().catalog_bytes();
  EXPECT_TRUE(std::ranges::equal(found.catalogs[0], catalog));
}

TEST_F(KeeperLetters, AStruckEventDoesNotHoldItsShardsWatermark) {
  start();
  appliance_->view("mallory");
  const std::uint32_t shard = appliance_->shard_of_user("mallory");
  const std::uint64_t sequence = appliance_->log("mallory");
  appliance_->append_log(shard, sequence, KeeperAppliance::event_words("mallory", shard, 5),
                         LogKind::kDead);
  appliance_->count("mallory", sequence);
  ASSERT_TRUE(eventually([&] { return appliance_->all_written(); }));
  EXPECT_EQ(views_of("mallory"), "1");
  EXPECT_EQ(appliance_->stop_keeper(), "");
}

TEST_F(KeeperLetters, ThatCantBeKeptHoldTheirLogAndNothingIsLost) {
  std::filesystem::create_directory(appliance_->letters_path());
  start();
  appliance_->view("ada");
  ASSERT_TRUE(eventually([&] { return appliance_->all_written(); }));
  log_dead("a record");
  ASSERT_TRUE(eventually([&] { return appliance_->has_error("a dead letter can't be kept"); }));
  appliance_->view("ada");  // behind it in the same log
  usleep(200'000);
  EXPECT_FALSE(appliance_->all_written()) << "what is behind it waits";
  EXPECT_EQ(views_of("ada"), "1");
  std::filesystem::remove(appliance_->letters_path());
  ASSERT_TRUE(eventually([&] { return appliance_->all_written(); }));
  EXPECT_EQ(views_of("ada"), "2");
  EXPECT_EQ(letter_count(), 1U);
  EXPECT_EQ(appliance_->stop_keeper(), "");
}

TEST_F(KeeperLetters, ThatCantBeKeptAreSaidAtTheEnd) {
  std::filesystem::create_directory(appliance_->letters_path());
  appliance_->start_keeper([] {
    KeeperOptions options;
    options.drain_bound_ms = 300;
    return options;
  }());
  ASSERT_TRUE(appliance_->recover());
  log_dead("a record");
  ASSERT_TRUE(eventually([&] { return appliance_->has_error("a dead letter can't be kept"); }));
  const std::string said = appliance_->stop_keeper();
  EXPECT_NE(said.find("a dead letter can't be kept"), std::string::npos) << said;
}

TEST_F(KeeperLetters, ARejectedEventIsKeptAndCountedAsNoDeadEvent) {
  start();
  log_rejected("what was sent");
  log_dead("a record");
  appliance_->view("ada");
  ASSERT_TRUE(eventually([&] { return appliance_->all_written(); }));
  ASSERT_TRUE(eventually([&] { return letter_count() == 2; }));
  EXPECT_EQ(appliance_->counter("deja_log_records_total{kind=\"rejected\"}"), 1U);
  EXPECT_EQ(appliance_->counter("deja_log_records_total{kind=\"dead\"}"), 1U);
  EXPECT_EQ(appliance_->counter("deja_dead_letters_total"), 2U);
  const auto bytes = read_dead_letters(appliance_->letters_path());
  ASSERT_TRUE(bytes.ok());
  const DeadLetterScan found = scan_dead_letters(*bytes);
  EXPECT_EQ(found.letters[0].head.reason, RefusalReason::kRejected);
  EXPECT_EQ(std::string(found.letters[0].record.begin(), found.letters[0].record.end()),
            "what was sent");
  EXPECT_EQ(appliance_->stop_keeper(), "");
}

TEST_F(KeeperLetters, ARejectedEventHoldsUpNobody) {
  std::filesystem::create_directory(appliance_->letters_path());
  start();
  for (int at = 0; at < 100; ++at) log_rejected("what was sent");
  appliance_->view("ada");
  ASSERT_TRUE(eventually([&] { return appliance_->all_written(); }));
  EXPECT_EQ(views_of("ada"), "1");
  EXPECT_EQ(appliance_->counter("deja_dead_letters_dropped_total"), 100U);
  EXPECT_TRUE(appliance_->has_error("a dead letter can't be kept"));
  EXPECT_EQ(appliance_->stop_keeper(), "");
}

TEST_F(KeeperLetters, ARejectedEventWithASequenceIsABrokenRecord) {
  start();
  appliance_->view("ada");
  log_rejected("what was sent", 2);
  ASSERT_TRUE(eventually(
      [&] { return appliance_->counter("deja_log_records_total{kind=\"broken\"}") == 1; }));
  EXPECT_EQ(letter_count(), 0U);
  EXPECT_EQ(appliance_->stop_keeper(), "");
}

TEST_F(KeeperLetters, AFileThatIsNoneOfOursIsSetAside) {
  std::ofstream(appliance_->letters_path()) << std::string(500, 'x');
  start();
  log_dead("a record");
  ASSERT_TRUE(eventually([&] { return letter_count() == 1; }));
  EXPECT_TRUE(appliance_->has_error("is no file of dead letters"));
  EXPECT_EQ(appliance_->stop_keeper(), "");
}

}  // namespace
}  // namespace deja
