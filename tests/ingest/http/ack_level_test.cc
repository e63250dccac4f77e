// What an answer waits for: applied or durable, and what becomes of it when the journal has
// trouble.
#include <gtest/gtest.h>

#include "ingest/journal_watch.h"
#include "tests/ingest/http/segment_api_fixture.h"

namespace deja {
namespace {

class AckLevelTest : public SegmentApiTest {
 protected:
  explicit AckLevelTest(bool durable = true) : SegmentApiTest(shop(durable)) {}

  static SinkAppliance::Options shop(bool durable) {
    auto options = segment_shop();
    options.durable = durable;
    return options;
  }

  void send(const std::string& body, const std::string& headers = {}) {
    client_->send(request("/v1/batch", body, headers));
  }
  static std::string batch(const std::vector<std::string>& users) {
    std::string body = "{\"batch\":[";
    for (const std::string& user : users) body += (body.size() > 10 ? "," : "") + view(user);
    return body + "]}";
  }
  [[nodiscard]] bool answered() const { return !client_->bytes().empty(); }
  [[nodiscard]] ReadAnswer answer() const {
    const auto answers = client_->answers();
    EXPECT_EQ(answers.size(), 1U);
    return answers.empty() ? ReadAnswer{} : answers[0];
  }
  std::uint64_t total(const std::string& name) {
    return appliance_.counter("deja_" + name + "_total{thread=\"0\"}");
  }
};

class AppliedApplianceTest : public AckLevelTest {
 protected:
  AppliedApplianceTest() : AckLevelTest(false) {}
};

TEST_F(AckLevelTest, ADurableAnswerWaitsForTheJournal) {
  send(batch({"a", "b"}));
  pass();
  pass();
  EXPECT_FALSE(answered()) << "consumed is not durable";
  appliance_.make_durable();
  pass();
  EXPECT_EQ(answer().status, 200);
  EXPECT_EQ(answer().headers.at("deja-ack"), "durable");
  EXPECT_EQ(answer().body, R"({"success":true})");
}

TEST_F(AckLevelTest, ARequestMayAskForLess) {
  send(batch({"a"}), "Deja-Ack: applied\r\n");
  pass();
  EXPECT_EQ(answer().status, 200);
  EXPECT_EQ(answer().headers.at("deja-ack"), "applied");
}

TEST_F(AppliedApplianceTest, ARequestMayAskForMore) {
  send(batch({"a"}), "deja-ack: durable\r\n");
  pass();
  EXPECT_FALSE(answered());
  appliance_.make_durable();
  pass();
  EXPECT_EQ(answer().headers.at("deja-ack"), "durable");
}

TEST_F(AppliedApplianceTest, OneThatAsksForNothingGetsWhatTheApplianceGives) {
  send(batch({"a"}));
  pass();
  EXPECT_EQ(answer().headers.at("deja-ack"), "applied");
}

TEST_F(AckLevelTest, AnUnknownLevelIsRefusedAndNothingIsTaken) {
  send(batch({"a"}), "Deja-Ack: perhaps\r\n");
  EXPECT_EQ(answer().status, 400);
  EXPECT_NE(answer().body.find("bad_ack"), std::string::npos);
  EXPECT_EQ(total("events_received"), 0U);
}

TEST_F(AckLevelTest, TheAnswerOfADuplicateWaitsForItsOriginal) {
  const std::string event = "{\"batch\":[" + view("a", R"(,"messageId":"m1")") + "]}";
  send(event);
  pass();
  HttpClient other(*api_);
  other.send(request("/v1/batch", event));
  appliance_.sink().publish();
  const std::uint64_t original_end = appliance_.consumer(0)->read_position();
  taken_ += appliance_.records().size();
  const auto look = [&] {
    appliance_.sink().refresh();
    other.pass();
    client_->pass();
  };
  look();
  EXPECT_TRUE(other.bytes().empty());
  appliance_.make_durable(0, original_end);
  look();
  EXPECT_TRUE(answered());
  EXPECT_TRUE(other.bytes().empty());
  appliance_.make_durable();
  look();
  EXPECT_EQ(other.answers().at(0).status, 200);
  EXPECT_EQ(taken_, 2U);
}

TEST_F(AckLevelTest, AJournalThatIsFullRefusesTheAnswersThatWait) {
  send(batch({"a", "b", "c"}));
  appliance_.sink().publish();
  const auto records = appliance_.records();
  ASSERT_EQ(records.size(), 3U);
  appliance_.make_durable(0, records[0].end_position);
  appliance_.set_journal(JournalState::kFull);
  pass();
  EXPECT_EQ(answer().status, 503);
  EXPECT_EQ(answer().headers.at("retry-after"), "1");
  EXPECT_EQ(answer().headers.at("deja-ack"), "durable") << "of the first";
  const std::string& body = answer().body;
  EXPECT_TRUE(body.starts_with(R"({"success":false,"error":{"code":"journal_full")")) << body;
  EXPECT_EQ(body.find(R"("index":0)"), std::string::npos) << body;
  EXPECT_NE(body.find(R"({"index":1,"code":"journal_full")"), std::string::npos) << body;
  EXPECT_NE(body.find(R"({"index":2,"code":"journal_full")"), std::string::npos) << body;
  EXPECT_EQ(appliance_.acks_refused("journal_full"), 2U);
  EXPECT_EQ(appliance_.rejected_sum(), 0U) << "they were taken, and their worker counts them";
  EXPECT_EQ(total("events_received"), 3U);
}

TEST_F(AckLevelTest, AJournalThatIsFullRefusesNewEventsBeforeTheyAreInARing) {
  for (const auto& [state, code] : {std::pair{JournalState::kFull, "journal_full"},
                                    std::pair{JournalState::kFailed, "journal_failed"}}) {
    appliance_.set_journal(state);
    appliance_.sink().refresh();
    client_ = std::make_unique<HttpClient>(*api_);
    send(batch({"a", "b"}));
    ASSERT_TRUE(answered());
    EXPECT_EQ(answer().status, 503);
    EXPECT_NE(answer().body.find(code), std::string::npos) << answer().body;
    EXPECT_TRUE(answer().headers.contains("retry-after"));
    EXPECT_FALSE(answer().headers.contains("deja-ack"));
    EXPECT_EQ(appliance_.rejected(code), 2U);
    client_ = std::make_unique<HttpClient>(*api_);
    send(batch({"a"}), "Deja-Ack: applied\r\n");
    pass();
    EXPECT_EQ(answer().status, 200);
  }
  EXPECT_EQ(taken_, 2U);
  EXPECT_EQ(total("events_received"), total("ring_records") + appliance_.rejected_sum());
}

TEST_F(AckLevelTest, BeforeAKeeperHasBegunAnswersWait) {
  send(batch({"a"}));
  pass();
  pass(true, kNow + kJournalWaitUs - 1);
  EXPECT_FALSE(answered());
  appliance_.set_journal(JournalState::kWriting);
  appliance_.make_durable();
  pass(true, kNow + kJournalWaitUs - 1);
  EXPECT_EQ(answer().status, 200);
}

TEST_F(AckLevelTest, ADiskThatStallsIsNotWaitedForWithoutEnd) {
  appliance_.set_journal(JournalState::kWriting);
  send(batch({"a"}));
  pass();
  pass(true, kNow + kJournalWaitUs);
  EXPECT_EQ(answer().status, 503);
  EXPECT_NE(answer().body.find("journal_stalled"), std::string::npos);
  EXPECT_TRUE(answer().headers.contains("retry-after"));
  EXPECT_EQ(appliance_.acks_refused("journal_stalled"), 1U);
  EXPECT_EQ(appliance_.rejected_sum(), 0U);
}

TEST_F(AckLevelTest, WhatNeedsNoJournalIsAnsweredAtOnce) {
  appliance_.set_journal(JournalState::kFailed);
  appliance_.sink().refresh();
  send(R"({"batch":[{"type":"track","event":"nobody's","userId":"u"}]})");
  EXPECT_EQ(answer().status, 200);
  EXPECT_EQ(total("events_unmatched"), 1U);
}

}  // namespace
}  // namespace deja
