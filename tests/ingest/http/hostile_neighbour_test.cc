// One client over HTTP that is too slow, sends too much, holds too much or guesses: it is refused,
// and its neighbours are not.
#include <gtest/gtest.h>

#include "tests/ingest/http/segment_api_fixture.h"

namespace deja {
namespace {

/// A client with an address of its own.
class Neighbour final : public ConnectionOutput {
 public:
  explicit Neighbour(HttpService& service, const std::string& address = {},
                     BufferBudget* budget = nullptr)
      : connection_(service, {}, budget) {
    if (!address.empty()) peer_ = PeerAddress::parse(address).value();
    connection_.on_open(*this);
  }
  ~Neighbour() override { connection_.on_close(); }
  void write(std::span<const std::uint8_t> bytes) override {
    sent_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  [[nodiscard]] std::size_t unsent_bytes() const override { return 0; }
  [[nodiscard]] PeerAddress peer() const override { return peer_; }

  Next send(std::string_view bytes, std::int64_t now_us = kNow) {
    return connection_.on_receive(
        {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, now_us);
  }
  [[nodiscard]] HttpConnection& connection() { return connection_; }
  [[nodiscard]] std::vector<ReadAnswer> answers() const { return read_answers(sent_); }

 private:
  HttpConnection connection_;
  PeerAddress peer_;
  std::string sent_;
};

class HostileNeighbourTest : public SegmentApiTest {
 protected:
  explicit HostileNeighbourTest(const SinkAppliance::Options& shop = segment_shop())
      : SegmentApiTest(shop) {}

  static std::string batch(int events) {
    std::string body = "{\"batch\":[";
    for (int at = 0; at < events; ++at) body += (at == 0 ? "" : ",") + view("u");
    return body + "]}";
  }
  /// The answer to one request of a client from there.
  ReadAnswer from(const std::string& address, const std::string& bytes) {
    Neighbour client(*api_, address);
    client.send(bytes);
    for (int at = 0; at < 3 && client.connection().busy(); ++at) {
      appliance_.sink().publish();
      taken_ += appliance_.records().size();
      appliance_.sink().refresh();
      client.connection().on_pass(kNow);
    }
    const auto answers = client.answers();
    EXPECT_EQ(answers.size(), 1U);
    return answers.empty() ? ReadAnswer{} : answers.back();
  }
  std::uint64_t limited(const std::string& by) {
    return appliance_.counter("deja_rate_limited_total{by=\"" + by + "\",thread=\"0\"}");
  }
};

TEST_F(HostileNeighbourTest, AHeadThatTakesTooLongIsAnswered408) {
  Neighbour slow(*api_);
  EXPECT_FALSE(slow.connection().is_overdue(kNow + 100 * kHeadUs)) << "nothing has begun";
  slow.send("POST /v1/track HT");
  slow.send("T", kNow + kHeadUs / 2);
  EXPECT_FALSE(slow.connection().is_overdue(kNow + kHeadUs - 1));
  EXPECT_TRUE(slow.connection().is_overdue(kNow + kHeadUs)) << "a byte now and then is no progress";
  EXPECT_EQ(slow.connection().on_overdue(), Next::kClose);
  ASSERT_EQ(slow.answers().size(), 1U);
  EXPECT_EQ(slow.answers()[0].status, 408);
  EXPECT_EQ(slow.answers()[0].headers.at("connection"), "close");
}

TEST_F(HostileNeighbourTest, ABodyThatTakesTooLongIsAnswered408BehindEarlierAnswers) {
  const std::string whole = request("/v1/track", view("u"));
  Neighbour slow(*api_);
  slow.send(whole + whole.substr(0, whole.size() - 5));
  slow.send(whole.substr(whole.size() - 5, 4), kNow + kBodyUs - 1);
  EXPECT_FALSE(slow.connection().is_overdue(kNow + kBodyUs - 1));
  EXPECT_TRUE(slow.connection().is_overdue(kNow + kBodyUs));
  EXPECT_EQ(slow.connection().on_overdue(), Next::kPause) << "the first request is owed its answer";
  EXPECT_TRUE(slow.answers().empty());
  appliance_.sink().publish();
  EXPECT_EQ(appliance_.records().size(), 1U);
  appliance_.sink().refresh();
  EXPECT_EQ(slow.connection().on_pass(kNow + kBodyUs), Next::kClose);
  ASSERT_EQ(slow.answers().size(), 2U);
  EXPECT_EQ(slow.answers()[0].status, 200);
  EXPECT_EQ(slow.answers()[1].status, 408);
}

TEST_F(HostileNeighbourTest, ARequestThatIsReadSlowlyByUsIsNotOverdue) {
  Neighbour client(*api_);
  const std::string whole = request("/v1/track", view("u"));
  std::string many;
  for (std::uint32_t at = 0; at < kPipelineMax; ++at) many += whole;
  client.send(many + whole.substr(0, 20));
  EXPECT_FALSE(client.connection().is_overdue(kNow + 10 * kHeadUs)) << "it is not being read";
  appliance_.sink().publish();
  EXPECT_EQ(appliance_.records().size(), kPipelineMax);
  appliance_.sink().refresh();
  client.connection().on_pass(kNow + 10 * kHeadUs);
  EXPECT_FALSE(client.connection().is_overdue(kNow + 11 * kHeadUs - 1));
  EXPECT_TRUE(client.connection().is_overdue(kNow + 11 * kHeadUs));
}

TEST_F(HostileNeighbourTest, ASteadyClientIsNeverOverdue) {
  Neighbour client(*api_);
  const std::string whole = request("/v1/track", view("u"));
  // Cut so that every receive ends in the middle of a head.
  std::string bytes = whole.substr(0, 10);
  std::int64_t now_us = kNow;
  for (int round = 0; round < 100; ++round, now_us += kHeadUs / 2) {
    client.send(bytes, now_us);
    EXPECT_FALSE(client.connection().is_overdue(now_us));
    bytes = whole.substr(10) + whole.substr(0, 10);
    appliance_.sink().publish();
    (void)appliance_.records();
    appliance_.sink().refresh();
    client.connection().on_pass(now_us);
  }
  EXPECT_EQ(client.answers().size(), 99U);
}

TEST_F(HostileNeighbourTest, WhatIsStillArrivingStaysWithinTheBudgetOfAll) {
  BufferBudget budget(600'000);
  const std::string large = request("/v1/batch", "{\"x\":\"" + std::string(400'000, 'y') + "\"}");
  const std::string part = large.substr(0, 350'000);
  std::vector<std::unique_ptr<Neighbour>> hoarders;
  int refused = 0;
  for (int number = 0; number < 8; ++number) {
    hoarders.push_back(std::make_unique<Neighbour>(*api_, "", &budget));
    for (std::size_t at = 0; at < part.size(); at += 10'000) {
      if (hoarders.back()->send(part.substr(at, 10'000)) != Next::kClose) continue;
      ++refused;
      EXPECT_EQ(hoarders.back()->answers().at(0).status, 503);
      EXPECT_TRUE(hoarders.back()->answers().at(0).headers.contains("retry-after"));
      hoarders.pop_back();  // the loop closes it
      break;
    }
  }
  EXPECT_GE(refused, 6);
  EXPECT_LE(budget.held(), 600'000U);
  Neighbour modest(*api_, "", &budget);
  EXPECT_EQ(modest.send(request("/v1/track", view("u"))), Next::kReceive);
  appliance_.sink().publish();
  EXPECT_EQ(appliance_.records().size(), 1U);
  appliance_.sink().refresh();
  modest.connection().on_pass(kNow);
  EXPECT_EQ(modest.answers().at(0).status, 200) << "an ordinary request needs none of it";
  hoarders.clear();
  EXPECT_EQ(budget.held(), 0U);
}

TEST_F(HostileNeighbourTest, AnIdleConnectionGivesBackWhatItKeptOnceMemoryIsScarce) {
  BufferBudget budget(1'000'000);
  Neighbour idle(*api_, "", &budget);
  idle.send(request("/v1/batch", "{\"batch\":[],\"x\":\"" + std::string(300'000, 'y') + "\"}"));
  EXPECT_EQ(idle.answers().size(), 1U);
  const std::uint64_t kept = budget.held();
  EXPECT_GT(kept, 200'000U);
  EXPECT_FALSE(idle.connection().is_overdue(kNow));
  EXPECT_EQ(budget.held(), kept) << "there is plenty";
  BufferShare other(&budget);
  EXPECT_TRUE(other.hold(500'000));
  EXPECT_FALSE(idle.connection().is_overdue(kNow));
  EXPECT_LT(budget.held(), 500'000U);
}

class LimitedAddressTest : public HostileNeighbourTest {
 protected:
  LimitedAddressTest() : HostileNeighbourTest(limited_shop()) {}
  static SinkAppliance::Options limited_shop() {
    auto options = segment_shop({"first", "second"});
    options.address_events_per_s = 1;  // a batch of 1,000 is paid for by a quarter of an hour
    options.trusted_proxies = {"127.0.0.1"};
    return options;
  }
  static std::string large() { return request("/v1/batch", batch(1000), kBasic); }
  static std::string small(const std::string& headers = {}) {
    return request("/v1/track", view("u"), kBasic + headers);
  }
  static inline const std::string kBasic = "Authorization: Basic Zmlyc3Q6\r\n";  // first:
};

TEST_F(LimitedAddressTest, WhoSendsTooMuchIsToldWhenToComeBack) {
  EXPECT_EQ(from("192.0.2.1", large()).status, 200);
  const auto answer = from("192.0.2.1", small());
  EXPECT_EQ(answer.status, 429);
  EXPECT_NE(answer.body.find("rate_limited"), std::string::npos);
  const int pause_s = std::stoi(answer.headers.at("retry-after"));
  EXPECT_GT(pause_s, 900);
  EXPECT_LE(pause_s, 1000);
  EXPECT_EQ(from("192.0.2.2", small()).status, 200) << "its neighbour";
  EXPECT_EQ(from("", small()).status, 200) << "who has no address";
  EXPECT_EQ(limited("address"), 1U);
  EXPECT_EQ(taken_, 1002U);
  EXPECT_EQ(appliance_.counter("deja_events_received_total{thread=\"0\"}"), 1002U)
      << "what was not looked at was not received";
}

TEST_F(LimitedAddressTest, BehindAProxyOfOursTheClientsAddressCounts) {
  const std::string first = "X-Forwarded-For: 198.51.100.1\r\n";
  EXPECT_EQ(from("127.0.0.1", request("/v1/batch", batch(1000), kBasic + first)).status, 200);
  EXPECT_EQ(from("127.0.0.1", small(first)).status, 429);
  EXPECT_EQ(from("127.0.0.1", small("X-Forwarded-For: 9.9.9.9, 198.51.100.1\r\n")).status, 429);
  EXPECT_EQ(from("127.0.0.1", small("X-Forwarded-For: 198.51.100.2\r\n")).status, 200);
  EXPECT_EQ(from("198.51.100.1", small()).status, 429) << "wherever it comes from";
  EXPECT_EQ(from("192.0.2.1", small(first)).status, 200) << "a stranger's word about another";
}

TEST_F(LimitedAddressTest, GuessingKeysIsLimitedToo) {
  const auto guess = [&](const std::string& address) {
    return from(address, request("/v1/track", view("u", R"(,"writeKey":"guess")"))).status;
  };
  EXPECT_EQ(guess("192.0.2.1"), 401);
  EXPECT_EQ(guess("192.0.2.1"), 401) << "the bucket is empty, and refills a little at once";
  EXPECT_EQ(guess("192.0.2.1"), 429);
  EXPECT_EQ(from("192.0.2.1", "GET /v1/projects/guess/settings HTTP/1.1\r\nHost: h\r\n\r\n").status,
            429);
  EXPECT_EQ(guess("192.0.2.2"), 401);
  EXPECT_EQ(from("192.0.2.1", "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
}

class LimitedKeyTest : public HostileNeighbourTest {
 protected:
  LimitedKeyTest() : HostileNeighbourTest(limited_shop()) {}
  static SinkAppliance::Options limited_shop() {
    auto options = segment_shop({"first", "second"});
    options.key_events_per_s = 1;
    return options;
  }
};

TEST_F(LimitedKeyTest, AKeyIsLimitedFromWhereverItIsUsedAndHoweverItIsGiven) {
  const std::string basic = "Authorization: Basic Zmlyc3Q6\r\n";
  EXPECT_EQ(from("192.0.2.1", request("/v1/batch", batch(1000), basic)).status, 200);
  EXPECT_EQ(from("192.0.2.2", request("/v1/track", view("u"), basic)).status, 429);
  const auto in_body = [&](const std::string& key) {
    return from("192.0.2.3", request("/v1/track", view("u", ",\"writeKey\":\"" + key + "\"")));
  };
  EXPECT_EQ(in_body("first").status, 429);
  EXPECT_EQ(in_body("second").status, 200);
  EXPECT_EQ(in_body("third").status, 401);
  EXPECT_EQ(limited("key"), 2U);
  EXPECT_EQ(limited("address"), 0U);
}

}  // namespace
}  // namespace deja
