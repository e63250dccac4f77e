#include "ingest/http_connection.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "tests/ingest/http/http_client.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

// Answers with what it was asked. "/wait…" answers only when released, "/block…" needs its request
// until then.
class EchoService final : public HttpService {
 public:
  bool released = true;
  std::vector<int> statuses;

  [[nodiscard]] std::unique_ptr<HttpExchange> make_exchange() override {
    return std::make_unique<Exchange>(*this);
  }
  void on_answer(int status) override { statuses.push_back(status); }

 private:
  struct Exchange final : HttpExchange {
    explicit Exchange(EchoService& owner) : service(owner) {}
    HttpProgress begin(const HttpRequest& given, std::int64_t, HttpAnswer& answer) override {
      request = &given;
      path = given.path;
      echo = std::string(given.path) + "|" + std::string(given.query) + "|" +
             std::string(given.header("x-test")) + "|" +
             std::string(reinterpret_cast<const char*>(given.body.data()), given.body.size());
      return finish(answer);
    }
    HttpProgress resume(std::int64_t, HttpAnswer& answer) override { return finish(answer); }
    HttpProgress finish(HttpAnswer& answer) {
      if (!service.released && path.starts_with("/block")) {
        EXPECT_EQ(request->path, path) << "the request has to stay as it was";
        return HttpProgress::kBlocked;
      }
      if (!service.released && path.starts_with("/wait")) return HttpProgress::kWaiting;
      answer.begin(200);
      answer.content_type = "text/plain";
      answer.body = echo;
      return HttpProgress::kAnswered;
    }
    EchoService& service;
    const HttpRequest* request = nullptr;
    std::string path;
    std::string echo;
  };
};

std::string get(const std::string& path, const std::string& headers = {}) {
  return "GET " + path + " HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n";
}
std::string post(const std::string& path, const std::string& body,
                 const std::string& headers = {}) {
  return "POST " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + headers + "\r\n" + body;
}
std::string post_chunked(const std::string& path, const std::vector<std::string>& chunks,
                         const std::string& end = "0\r\n\r\n") {
  std::string bytes = "POST " + path + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& chunk : chunks) {
    char size[16];
    std::snprintf(size, sizeof size, "%zx\r\n", chunk.size());
    bytes += size + chunk + "\r\n";
  }
  return bytes + end;
}

TEST(HttpConnection, AnswersWhatItWasAsked) {
  EchoService service;
  HttpClient client(service);
  client.send(get("/a?b=c&d", "X-Test:  spaced out \t\r\n"));
  client.send(post("/p", "hello"));
  client.send(post_chunked("/c", {"hel", "lo, ", "you"}));
  const auto answers = client.answers();
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[0].body, "/a|b=c&d|spaced out|");
  EXPECT_EQ(answers[0].headers.at("connection"), "keep-alive");
  EXPECT_EQ(answers[1].body, "/p|||hello");
  EXPECT_EQ(answers[2].body, "/c|||hello, you");
  EXPECT_FALSE(client.closed());
}

TEST(HttpConnection, ReadsPipelinedRequestsHoweverTheyAreCut) {
  const std::string bytes = "\r\n" + get("/1") + post("/2", "two", "X-Test: x\r\n") +
                            post_chunked("/3", {"th", "ree"}, "0;last\r\nTrailer: t\r\n\r\n") +
                            post("/4", "") + "\r\n" + get("/5", "Connection: close\r\n");
  EchoService service;
  HttpClient whole(service);
  whole.send(bytes);
  const std::string expected = whole.bytes();
  ASSERT_EQ(whole.answers().size(), 5U);
  EXPECT_EQ(whole.answers()[2].body, "/3|||three");
  EXPECT_TRUE(whole.closed());
  for (std::size_t at = 1; at < bytes.size(); ++at) {
    HttpClient cut(service);
    cut.send(std::string_view(bytes).substr(0, at));
    cut.send(std::string_view(bytes).substr(at));
    ASSERT_EQ(cut.bytes(), expected) << "cut at " << at;
  }
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 500; ++round) {
    HttpClient cut(service);
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t count = 1 + random() % 40;
      cut.send(std::string_view(bytes).substr(at, count));
      at += count;
    }
    ASSERT_EQ(cut.bytes(), expected);
  }
  HttpClient single(service);
  single.send(bytes, 1);
  EXPECT_EQ(single.bytes(), expected);
}

TEST(HttpConnection, AnswersInTheOrderOfTheRequests) {
  EchoService service;
  service.released = false;
  HttpClient client(service);
  client.send(get("/wait1") + get("/now") + get("/wait2"));
  EXPECT_TRUE(client.bytes().empty());
  EXPECT_TRUE(client.busy());
  client.pass();
  EXPECT_TRUE(client.bytes().empty());
  service.released = true;
  client.pass();
  const auto answers = client.answers();
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[0].body, "/wait1|||");
  EXPECT_EQ(answers[1].body, "/now|||");
  EXPECT_EQ(answers[2].body, "/wait2|||");
  EXPECT_FALSE(client.busy());
}

TEST(HttpConnection, StopsReadingBehindABlockedRequest) {
  EchoService service;
  service.released = false;
  HttpClient client(service);
  client.send(post("/block", "body") + get("/next"));
  EXPECT_TRUE(client.paused());
  client.send(get("/late"));  // a receive was under way
  EXPECT_TRUE(client.bytes().empty());
  EXPECT_TRUE(client.paused());
  service.released = true;
  EXPECT_EQ(client.pass(), Next::kReceive);
  const auto answers = client.answers();
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[0].body, "/block|||body");
  EXPECT_EQ(answers[2].body, "/late|||");
}

TEST(HttpConnection, BoundsUnansweredRequests) {
  EchoService service;
  service.released = false;
  HttpClient client(service);
  for (std::uint32_t at = 0; at < kPipelineMax; ++at) client.send(get("/wait"));
  EXPECT_TRUE(client.paused());
  client.send(get("/wait") + get("/end"));
  service.released = true;
  client.pass();
  EXPECT_EQ(client.answers().size(), kPipelineMax + 2);
  EXPECT_EQ(client.pass(), Next::kReceive);
}

TEST(HttpConnection, PausesWhileAnswersAreNotTaken) {
  EchoService service;
  HttpClient client(service);
  client.set_unsent(64U << 20U);
  EXPECT_EQ(client.send(get("/a")), Next::kPause);
  EXPECT_TRUE(client.bytes().empty());
  EXPECT_TRUE(client.busy());
  client.set_unsent(0);
  EXPECT_EQ(client.pass(), Next::kReceive);
  EXPECT_EQ(client.answers().size(), 1U);
}

TEST(HttpConnection, SaysContinueOnlyToThoseWhoWait) {
  EchoService service;
  const std::string head =
      "POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
  HttpClient waiting(service);
  waiting.send(head);
  ASSERT_EQ(waiting.answers().size(), 1U);
  EXPECT_EQ(waiting.answers()[0].status, 100);
  waiting.send("body");
  ASSERT_EQ(waiting.answers().size(), 2U);
  EXPECT_EQ(waiting.answers()[1].body, "/e|||body");
  HttpClient eager(service);
  eager.send(head + "body");
  ASSERT_EQ(eager.answers().size(), 1U);
  EXPECT_EQ(eager.answers()[0].status, 200);
  // Not before the answers that come first.
  service.released = false;
  HttpClient pipelined(service);
  pipelined.send(get("/wait") + head);
  EXPECT_TRUE(pipelined.bytes().empty());
  service.released = true;
  pipelined.pass();
  ASSERT_EQ(pipelined.answers().size(), 2U);
  EXPECT_EQ(pipelined.answers()[0].status, 200);
  EXPECT_EQ(pipelined.answers()[1].status, 100);
}

TEST(HttpConnection, KeepsAliveAsTheVersionHasIt) {
  EchoService service;
  const struct {
    const char* version;
    const char* connection;
    bool closes;
  } cases[] = {{"1.1", "", false},
               {"1.1", "Connection: close\r\n", true},
               {"1.1", "Connection: foo, CLOSE\r\n", true},
               {"1.1", "Connection: keep-alive\r\n", false},
               {"1.0", "", true},
               {"1.0", "Connection: Keep-Alive\r\n", false}};
  for (const auto& wanted : cases) {
    HttpClient client(service);
    client.send(std::string("GET / HTTP/") + wanted.version + "\r\nHost: h\r\n" +
                wanted.connection + "\r\n" + get("/second"));
    EXPECT_EQ(client.closed(), wanted.closes) << wanted.version << wanted.connection;
    EXPECT_EQ(client.answers().size(), wanted.closes ? 1U : 2U);
  }
}

TEST(HttpConnection, ClosesWhenBothEndsAreDone) {
  EchoService service;
  HttpClient idle(service);
  EXPECT_EQ(idle.end(), Next::kClose);
  service.released = false;
  HttpClient waiting(service);
  waiting.send(get("/wait"));
  EXPECT_NE(waiting.end(), Next::kClose);
  service.released = true;
  EXPECT_EQ(waiting.pass(), Next::kClose);
  EXPECT_EQ(waiting.answers().size(), 1U);
  HttpClient halfway(service);
  halfway.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(halfway.end(), Next::kClose);
  EXPECT_TRUE(halfway.bytes().empty());
}

TEST(HttpConnection, SendsNoBodyToHead) {
  EchoService service;
  HttpClient client(service);
  client.send("HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(client.bytes().ends_with("\r\n\r\n"));
  EXPECT_EQ(client.answers(true)[0].headers.at("content-length"), "5");
}

std::string with_header(const std::string& line) {
  return "GET / HTTP/1.1\r\nHost: h\r\n" + line + "\r\n\r\n";
}
std::string with_body_headers(const std::string& lines, const std::string& body = {}) {
  return "POST / HTTP/1.1\r\nHost: h\r\n" + lines + "\r\n" + body;
}

TEST(HttpConnection, RefusesWhatTwoReadersCouldReadInTwoWays) {
  using std::string_literals::operator""s;
  const struct {
    std::string bytes;
    int status;
    const char* code;
  } cases[] = {
      // Lines and characters.
      {"GET / HTTP/1.1\nHost: h\n\n", 400, "bad_line_end"},
      {"GET / HTTP/1.1\r\nHost: h\n\r\n", 400, "bad_line_end"},
      {"GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", 400, "bad_line_end"},
      {"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", 400, "bad_line_end"},
      {"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "bad_line_end"},
      {with_header("X: a\0b"s), 400, "bad_character"},
      {with_header("X: a\x01"), 400, "bad_character"},
      {with_header("X: a\x7f"), 400, "bad_character"},
      {"\x16\x03\x01\x02", 400, "bad_character"},
      {"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "bad_request_line"},
      // The request line.
      {"GET /\r\n\r\n", 400, "bad_request_line"},
      {"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400, "bad_request_line"},
      {"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "bad_target"},
      {"GET / http/1.1\r\nHost: h\r\n\r\n", 400, "bad_request_line"},
      {"GET / HTTP/1.1x\r\nHost: h\r\n\r\n", 400, "bad_request_line"},
      {"G@T / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "bad_request_line"},
      {" GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "bad_request_line"},
      {"garbage\r\n\r\n", 400, "bad_request_line"},
      {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505, "bad_version"},
      {"GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505, "bad_version"},
      {"GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505, "bad_version"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "bad_version"},
      {"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501, "unknown_method"},
      {"get / HTTP/1.1\r\nHost: h\r\n\r\n", 501, "unknown_method"},
      {"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400, "bad_target"},
      {"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 400, "bad_target"},
      {"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400, "bad_target"},
      {"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400, "bad_target"},
      {"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", 400, "bad_target"},
      {"GET /#x HTTP/1.1\r\nHost: h\r\n\r\n", 400, "bad_target"},
      // Headers.
      {with_header("X : y"), 400, "bad_header"},
      {with_header("X\t: y"), 400, "bad_header"},
      {with_header(": y"), 400, "bad_header"},
      {with_header("no colon"), 400, "bad_header"},
      {with_header("N(me: y"), 400, "bad_header"},
      {with_header("X: a\r\n b"), 400, "folded_header"},
      {with_header("X: a\r\n\tb"), 400, "folded_header"},
      {"GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400, "folded_header"},
      {"GET / HTTP/1.1\r\n\r\n", 400, "bad_host"},
      {with_header("Host: other"), 400, "bad_host"},
      {with_header("Expect: 200-ok"), 417, "bad_expectation"},
      // Lengths.
      {with_body_headers("Content-Length: 1\r\nContent-Length: 1\r\n", "a"), 400,
       "bad_content_length"},
      {with_body_headers("Content-Length: 1\r\nContent-Length: 2\r\n", "ab"), 400,
       "bad_content_length"},
      {with_body_headers("Content-Length: 1, 1\r\n", "a"), 400, "bad_content_length"},
      {with_body_headers("Content-Length: +1\r\n", "a"), 400, "bad_content_length"},
      {with_body_headers("Content-Length: -1\r\n", "a"), 400, "bad_content_length"},
      {with_body_headers("Content-Length: 0x1\r\n", "a"), 400, "bad_content_length"},
      {with_body_headers("Content-Length: 1 \xa0\r\n", "a"), 400, "bad_content_length"},
      {with_body_headers("Content-Length:\r\n"), 400, "bad_content_length"},
      {with_body_headers("Content-Length: 99999999999999999999999\r\n"), 413, "body_too_large"},
      {with_body_headers("Content-Length: 512001\r\n"), 413, "body_too_large"},
      {with_body_headers("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400,
       "ambiguous_length"},
      {with_body_headers("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400,
       "ambiguous_length"},
      {with_body_headers("Transfer-Encoding: gzip\r\n"), 501, "bad_transfer_encoding"},
      {with_body_headers("Transfer-Encoding: gzip, chunked\r\n"), 501, "bad_transfer_encoding"},
      {with_body_headers("Transfer-Encoding: xchunked\r\n"), 501, "bad_transfer_encoding"},
      {with_body_headers("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400,
       "bad_transfer_encoding"},
      {with_body_headers("Transfer-Encoding: \r\n"), 501, "bad_transfer_encoding"},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
       "bad_transfer_encoding"},
  };
  EchoService service;
  for (const auto& wanted : cases) {
    for (const std::size_t piece : {std::size_t{0}, std::size_t{1}, std::size_t{7}}) {
      HttpClient client(service);
      client.send(get("/before") + wanted.bytes + get("/after"), piece);
      const auto answers = client.answers();
      ASSERT_EQ(answers.size(), 2U) << wanted.bytes;
      EXPECT_EQ(answers[0].body, "/before|||");
      EXPECT_EQ(answers[1].status, wanted.status) << wanted.bytes;
      EXPECT_NE(answers[1].body.find("\"" + std::string(wanted.code) + "\""), std::string::npos)
          << wanted.bytes << answers[1].body;
      EXPECT_EQ(answers[1].headers.at("connection"), "close");
      EXPECT_TRUE(client.closed()) << wanted.bytes;
    }
  }
}

TEST(HttpConnection, RefusesBrokenChunks) {
  const char* bodies[] = {"x\r\n",
                          "\r\n",
                          "5\nhello\r\n0\r\n\r\n",
                          "5\r\nhello0\r\n\r\n",
                          "5\r\nhello\n0\r\n\r\n",
                          "5\r\nhello\r0\r\n\r\n",
                          "5\rhello\r\n0\r\n\r\n",
                          " 5\r\nhello\r\n0\r\n\r\n",
                          "5 \r\nhello\r\n0\r\n\r\n",
                          "-5\r\nhello\r\n",
                          "0x5\r\nhello\r\n",
                          "123456789\r\n",
                          "5;a\nb\r\nhello\r\n0\r\n\r\n",
                          "0\r\nno colon\r\n\r\n",
                          "0\r\nname : v\r\n\r\n",
                          "0\r\n: v\r\n\r\n",
                          "0\r\na: b\n\r\n",
                          "0\n\n"};
  EchoService service;
  for (const char* body : bodies) {
    HttpClient client(service);
    client.send(post_chunked("/c", {}, body) + get("/after"), 1);
    const auto answers = client.answers();
    ASSERT_EQ(answers.size(), 1U) << body;
    EXPECT_EQ(answers[0].status, 400) << body;
    EXPECT_NE(answers[0].body.find("bad_chunk"), std::string::npos) << body;
  }
}

TEST(HttpConnection, BoundsHeadsAndBodies) {
  EchoService service;
  const auto status_of = [&](const std::string& bytes) {
    HttpClient client(service);
    client.send(bytes, 1000);
    const auto answers = client.answers();
    return answers.empty() ? 0 : answers.back().status;
  };
  EXPECT_EQ(status_of("GET /" + std::string(17'000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n"), 414);
  EXPECT_EQ(status_of(with_header("X: " + std::string(17'000, 'a'))), 431);
  EXPECT_EQ(status_of(with_header("X: " + std::string(16'000, 'a'))), 200);
  std::string many = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (int at = 0; at < 99; ++at) many += "X: y\r\n";
  EXPECT_EQ(status_of(many + "\r\n"), 200);
  EXPECT_EQ(status_of(many + "X: y\r\n\r\n"), 431);
  EXPECT_EQ(status_of(post("/", std::string(500 * 1024, 'a'))), 200);
  EXPECT_EQ(status_of(post("/", std::string(500 * 1024 + 1, 'a'))), 413);
  const std::vector<std::string> chunks(500, std::string(1024, 'a'));
  EXPECT_EQ(status_of(post_chunked("/", chunks)), 200);
  auto more = chunks;
  more.push_back("b");
  EXPECT_EQ(status_of(post_chunked("/", more)), 413);
}

TEST(HttpConnection, SurvivesRandomDamage) {
  const std::string good = get("/1") + post("/2", "two") + post_chunked("/3", {"th", "ree"});
  EchoService service;
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = good;
    for (std::uint64_t change = 0; change < 1 + random() % 3; ++change) {
      const std::size_t at = random() % bytes.size();
      switch (random() % 3) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(at, 1);
          break;
        default:
          bytes.insert(at, 1, "\r\n :0\t;"[random() % 7]);
      }
    }
    HttpClient client(service);
    client.send(bytes, 1 + random() % 50);
    // Whatever it was: whole answers, and after a refusal nothing more.
    const auto answers = client.answers();
    for (std::size_t at = 0; at + 1 < answers.size(); ++at) {
      ASSERT_LT(answers[at].status, 400) << bytes;
    }
  }
}

}  // namespace
}  // namespace deja
