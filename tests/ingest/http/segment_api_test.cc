#include "ingest/segment_api.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <memory>

#include "tests/ingest/http/segment_api_fixture.h"

// jemalloc's, where it is linked: a sanitizer's build has its own allocator.
extern "C" int mallctl(const char* name, void* old_value, std::size_t* old_bytes, void* new_value,
                       std::size_t new_bytes) __attribute__((weak));

namespace deja {
namespace {

TEST_F(SegmentApiTest, AnswersOnceTheEventHasItsEffect) {
  client_->send(request("/v1/track", view("u")));
  EXPECT_TRUE(client_->bytes().empty());
  pass(false);
  EXPECT_TRUE(client_->bytes().empty());
  pass(true);
  const auto answers = client_->answers();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].status, 200);
  EXPECT_EQ(answers[0].body, R"({"success":true})");
  EXPECT_EQ(answers[0].headers.at("deja-ack"), "applied");
  EXPECT_FALSE(answers[0].headers.at("deja-token").empty());
  EXPECT_EQ(answers[0].headers.at("access-control-allow-origin"), "*");
  EXPECT_EQ(taken_, 1U);
}

TEST_F(SegmentApiTest, TakesEveryRouteOfTheApi) {
  const char* singles[] = {"/v1/track", "/v1/identify", "/v1/page", "/v1/screen",   "/v1/group",
                           "/v1/alias", "/v1/t",        "/v1/i",    "/v1/p",        "/v1/s",
                           "/v1/g",     "/v1/a",        "/v1/m",    "/v1/track?x=y"};
  for (const char* path : singles) {
    EXPECT_EQ(post(path, R"({"event":"Product Viewed","userId":"u","groupId":"g"})").status, 200)
        << path;
  }
  for (const char* path : {"/v1/batch", "/v1/b", "/v1/import"}) {
    EXPECT_EQ(post(path, "{\"batch\":[" + view("u") + "]}").status, 200) << path;
  }
  EXPECT_EQ(taken_, 3U + 3U + 2U);  // tracks (three routes), batches, pages
  for (const char* type : {"text/plain", "application/x-www-form-urlencoded", "application/json"}) {
    EXPECT_EQ(post("/v1/t", view("u"), "Content-Type: " + std::string(type) + "\r\n").status, 200);
  }
}

TEST_F(SegmentApiTest, AnswersWhatIsNotAnEvent) {
  EXPECT_EQ(ask("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
  EXPECT_EQ(ask("GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
  ready_ = false;
  EXPECT_EQ(ask("GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n").status, 503);
  EXPECT_EQ(ask("GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n").status, 404);
  EXPECT_EQ(post("/v1/tracks", "{}").status, 404);
  EXPECT_EQ(post("/v1/track/", "{}").status, 404);
  EXPECT_EQ(post("/V1/track", "{}").status, 404);
  const auto wrong = ask("GET /v1/track HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "POST, OPTIONS");
  for (const char* method : {"PUT", "DELETE", "PATCH", "TRACE"}) {
    EXPECT_EQ(ask(std::string(method) + " /v1/batch HTTP/1.1\r\nHost: h\r\n\r\n").status, 405);
  }
  EXPECT_EQ(post("/healthz", "").status, 405);
  const auto preflight =
      ask("OPTIONS /v1/t HTTP/1.1\r\nHost: h\r\nOrigin: http://shop\r\n"
          "Access-Control-Request-Headers: authorization,anonymousid\r\n\r\n");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.headers.at("access-control-allow-headers"), "authorization,anonymousid");
  const auto settings = ask("GET /v1/projects/k%22/settings HTTP/1.1\r\nHost: shop:8080\r\n\r\n");
  EXPECT_EQ(settings.status, 200);
  EXPECT_NE(settings.body.find(R"("apiHost":"shop:8080/v1","protocol":"http")"), std::string::npos);
  EXPECT_EQ(ask("GET /v1/projects/k/settings HTTP/1.1\r\nHost: sh\"op\r\n\r\n").status, 400);
}

TEST_F(SegmentApiTest, AcceptsOfABatchWhatItCan) {
  const auto answer =
      post("/v1/batch", "{\"batch\":[" + view("u0") + ",7," + view("u2", R"(,"timestamp":"late")") +
                            "," + view("u3", R"(,"properties":{"price":1e999})") + "," +
                            view("u4") + R"(,{"type":"track"}]})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("deja-ack"), "applied");
  for (const char* part :
       {R"({"success":true,"rejected":[{"index":1,"code":"bad_type",)", R"("path":"batch[1]")",
        R"({"index":2,"code":"bad_timestamp",)", R"("path":"batch[2].timestamp")",
        R"("path":"batch[3].properties.price")", R"("path":"batch[5].userId")"}) {
    EXPECT_NE(answer.body.find(part), std::string::npos) << part << "\n" << answer.body;
  }
  EXPECT_EQ(taken_, 2U);
  EXPECT_EQ(appliance_.rejected_sum(), 4U);
}

TEST_F(SegmentApiTest, RefusesWithThePathOfTheFault) {
  const struct {
    const char* path;
    std::string body;
    int status;
    const char* code;
    const char* where;
  } cases[] = {
      {"/v1/track", "", 400, "bad_json", nullptr},
      {"/v1/track", "{", 400, "bad_json", nullptr},
      {"/v1/track", view("u") + "x", 400, "bad_json", nullptr},
      {"/v1/track", view("u") + view("u"), 400, "bad_json", nullptr},
      {"/v1/track", "event=E&userId=u", 400, "bad_json", nullptr},
      {"/v1/track", "[]", 400, "bad_type", nullptr},
      {"/v1/track", view("\xff"), 400, "bad_utf8", nullptr},
      {"/v1/track", view("\xc3"), 400, "bad_utf8", nullptr},
      {"/v1/track", view("\xed\xa0\x80"), 400, "bad_utf8", nullptr},
      {"/v1/track", view("\xc0\x80"), 400, "bad_utf8", nullptr},
      {"/v1/track", "\xef\xbb\xbf" + view("u"), 400, "bad_json", nullptr},
      {"/v1/track", R"({"userId":"u"})", 400, "missing_event", "event"},
      {"/v1/track", view("u", R"(,"timestamp":"x")"), 400, "bad_timestamp", "timestamp"},
      {"/v1/track", view("u", ",\"x\":\"" + std::string(33'000, 'a') + "\""), 400,
       "event_too_large", nullptr},
      {"/v1/batch", "{}", 400, "bad_type", "batch"},
      {"/v1/batch", R"({"batch":{}})", 400, "bad_type", "batch"},
      {"/v1/batch", R"({"batch":null})", 400, "bad_type", "batch"},
      {"/v1/batch", "{\"batch\":[" + view("u") + ",]}", 400, "bad_json", nullptr},
      {"/v1/batch", "{\"batch\":[" + view("u") + "]", 400, "bad_json", nullptr},
      {"/v1/batch", "{\"batch\":[" + view("u") + "],\"sentAt\":\"x\"}", 400, "bad_timestamp",
       "sentAt"},
      {"/v1/batch", R"({"batch":[{"type":"track","userId":"u","event":5}]})", 400, "bad_type",
       "batch[0].event"},
  };
  std::uint64_t refused = 0;
  for (const auto& wanted : cases) {
    const auto answer = post(wanted.path, wanted.body);
    EXPECT_EQ(answer.status, wanted.status) << wanted.body.substr(0, 100);
    EXPECT_TRUE(answer.body.starts_with(R"({"success":false,"error":{"code":")" +
                                        std::string(wanted.code) + "\""))
        << answer.body;
    if (wanted.where != nullptr) {
      EXPECT_NE(answer.body.find(R"("path":")" + std::string(wanted.where) + "\""),
                std::string::npos)
          << answer.body;
    }
    EXPECT_FALSE(answer.headers.contains("deja-ack"));
    EXPECT_EQ(appliance_.rejected_sum(), ++refused) << wanted.body.substr(0, 100);
  }
  EXPECT_EQ(taken_, 0U) << "a broken document submits nothing";
  EXPECT_EQ(post("/v1/batch", R"({"batch":[]})").status, 200);
}

std::string gzip(const std::string& text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<unsigned>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<unsigned>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

TEST_F(SegmentApiTest, InflatesWhatIsGzip) {
  const std::string body = "{\"batch\":[" + view("u") + "," + view("v") + "]}";
  const std::string packed = gzip(body);
  for (const char* name : {"gzip", "x-gzip", "GZIP"}) {
    EXPECT_EQ(post("/v1/batch", packed, "Content-Encoding: " + std::string(name) + "\r\n").status,
              200);
  }
  EXPECT_EQ(post("/v1/batch", body, "Content-Encoding: identity\r\n").status, 200);
  EXPECT_EQ(taken_, 8U);
  for (const char* name : {"br", "deflate", "zstd", "gzip, gzip"}) {
    const auto answer =
        post("/v1/batch", packed, "Content-Encoding: " + std::string(name) + "\r\n");
    EXPECT_EQ(answer.status, 415) << name;
  }
  const std::string header = "Content-Encoding: gzip\r\n";
  EXPECT_EQ(post("/v1/batch", body, header).status, 400);
  EXPECT_EQ(post("/v1/batch", packed.substr(0, packed.size() - 1), header).status, 400);
  EXPECT_EQ(post("/v1/batch", gzip(std::string(10 << 20, ' ')), header).status, 413);
  EXPECT_EQ(taken_, 8U);
}

class SegmentApiKeyTest : public SegmentApiTest {
 protected:
  SegmentApiKeyTest() : SegmentApiTest(segment_shop({"first", "secret"})) {}
};

TEST_F(SegmentApiKeyTest, WantsAKeyItKnows) {
  const auto basic = [](const char* coded) {
    return "Authorization: Basic " + std::string(coded) + "\r\n";
  };
  EXPECT_EQ(post("/v1/track", view("u")).status, 401);
  EXPECT_EQ(post("/v1/track", view("u"), basic("c2VjcmV0Og==")).status, 200);  // secret:
  EXPECT_EQ(post("/v1/track", view("u"), basic("c2VjcmV0OnB3")).status, 200);  // secret:pw
  EXPECT_EQ(post("/v1/track", view("u"), basic("c2VjcmV0")).status, 200);      // secret
  EXPECT_EQ(post("/v1/track", view("u"), "authorization: basic c2VjcmV0Og\r\n").status, 200);
  EXPECT_EQ(post("/v1/track", view("u"), basic("c2VjcmVUOg==")).status, 401);  // secreT:
  EXPECT_EQ(post("/v1/track", view("u"), basic("Og==")).status, 401);          // :
  EXPECT_EQ(post("/v1/track", view("u"), basic("c2VjcmV0c2VjcmV0Og==")).status, 401);
  EXPECT_EQ(post("/v1/track", view("u"), basic("!!!!")).status, 401);
  EXPECT_EQ(post("/v1/track", view("u"), "Authorization: Bearer secret\r\n").status, 401);
  EXPECT_EQ(post("/v1/t", view("u", R"(,"writeKey":"secret")")).status, 200);
  EXPECT_EQ(post("/v1/t", view("u", R"(,"writeKey":"other")")).status, 401);
  EXPECT_EQ(post("/v1/t", view("u", R"(,"writeKey":"")")).status, 401);
  EXPECT_EQ(post("/v1/t", view("u", R"(,"writeKey":["secret"])")).status, 401);
  EXPECT_EQ(post("/v1/b", R"({"writeKey":"first","batch":[]})").status, 200);
  EXPECT_EQ(post("/v1/b", R"({"batch":[{"writeKey":"first"}]})").status, 401);
  EXPECT_EQ(post("/v1/t", view("u", R"(,"writeKey":"secret")"), basic("b3RoZXI6")).status, 401);
  EXPECT_EQ(taken_, 5U);
  EXPECT_EQ(appliance_.rejected_sum(), 0U);
  EXPECT_EQ(ask("GET /v1/projects/first/settings HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
  EXPECT_EQ(ask("GET /v1/projects/other/settings HTTP/1.1\r\nHost: h\r\n\r\n").status, 401);
}

TEST_F(SegmentApiTest, NamesTheEventsThatAWorkerRefused) {
  client_->send(request("/v1/batch", "{\"batch\":[" + view("a") + "," + view("b") + "]}"));
  appliance_.sink().publish();
  const auto records = appliance_.records(0, false);
  ASSERT_EQ(records.size(), 2U);
  appliance_.give_verdict(0, records[1].end_position, RefusalReason::kTableFull);
  appliance_.consume();
  pass();
  auto answer = client_->answers().at(0);
  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.body.find(R"("rejected":[{"index":1,"code":"table_full")"), std::string::npos);
  // Nothing accepted: to be sent again.
  client_ = std::make_unique<HttpClient>(*api_);
  client_->send(request("/v1/track", view("c")));
  appliance_.sink().publish();
  appliance_.give_verdict(0, appliance_.records(0, false).at(0).end_position,
                          RefusalReason::kTableFull);
  appliance_.consume();
  pass();
  answer = client_->answers().at(0);
  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(answer.headers.contains("retry-after"));
  EXPECT_FALSE(answer.headers.contains("deja-ack"));
}

class SegmentApiFullTest : public SegmentApiTest {
 protected:
  SegmentApiFullTest() : SegmentApiTest(segment_shop({}, 256 * 1024)) {}

  static std::string batch(int events) {
    std::string body = "{\"batch\":[";
    for (int at = 0; at < events; ++at) {
      body += (at == 0 ? "" : ",") + view("u" + std::to_string(at));
    }
    return body + "]}";
  }
};

TEST_F(SegmentApiFullTest, GoesOnAtTheEventThatMetAFullRing) {
  for (const bool packed : {false, true}) {
    taken_ = 0;
    client_ = std::make_unique<HttpClient>(*api_);
    const std::string body = batch(6000);
    client_->send(request("/v1/batch", packed ? gzip(body) : body,
                          packed ? "Content-Encoding: gzip\r\n" : ""));
    EXPECT_TRUE(client_->paused());
    // Others use the thread's parser and inflater meanwhile.
    HttpClient other(*api_);
    other.send(request("/v1/page", R"({"userId":5})"));
    HttpClient third(*api_);
    third.send(request("/v1/batch", gzip("{\"x\":\"" + std::string(400'000, 'y') + "\"}"),
                       "Content-Encoding: gzip\r\n"));
    for (int at = 0; at < 100 && client_->bytes().empty(); ++at) {
      pass(true, kNow + at);
    }
    const auto answers = client_->answers();
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].status, 200);
    EXPECT_EQ(answers[0].body, R"({"success":true})");
    for (int at = 0; at < 200 && other.busy(); ++at) {
      pass();
      other.pass(kNow + kWaitUs * 2);
    }
    EXPECT_EQ(taken_ - (other.answers().at(0).status == 200 ? 1 : 0), 6000U);
  }
}

TEST_F(SegmentApiFullTest, SaysSoWhenTheRingStaysFull) {
  client_->send(request("/v1/batch", batch(6000)));
  pass(false, kNow + 1);
  pass(false, kNow + kWaitUs - 1);
  EXPECT_TRUE(client_->bytes().empty());
  EXPECT_TRUE(client_->paused());
  pass(false, kNow + kWaitUs);
  EXPECT_TRUE(client_->bytes().empty()) << "what was accepted has to be acknowledged first";
  pass(true, kNow + kWaitUs);
  const auto answer = client_->answers().at(0);
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.headers.at("retry-after"), "1");
  EXPECT_TRUE(answer.body.starts_with(R"({"success":false,"error":{"code":"ring_full")"));
  EXPECT_EQ(taken_ + appliance_.rejected("ring_full"), 6000U);
  EXPECT_GT(appliance_.rejected("ring_full"), 0U);
}

TEST_F(SegmentApiTest, AllocatesNothingInSteadyState) {
  if (mallctl == nullptr) GTEST_SKIP() << "needs jemalloc's counters";
  const std::string bytes =
      request("/v1/batch",
              gzip("{\"sentAt\":\"2026-11-20T20:25:54Z\",\"batch\":[" +
                   view("u", R"(,"properties":{"price":1})") + "," + view("v") + ",5]}"),
              "Content-Encoding: gzip\r\n");
  struct Sink final : ConnectionOutput {
    std::size_t count = 0;
    void write(std::span<const std::uint8_t> data) override { count += data.size(); }
    [[nodiscard]] std::size_t unsent_bytes() const override { return 0; }
  } output;
  HttpConnection connection(*api_, {});
  connection.on_open(output);
  const auto allocated = [] {
    std::uint64_t bytes_now = 0;
    std::size_t size = sizeof bytes_now;
    EXPECT_EQ(mallctl("thread.allocated", &bytes_now, &size, nullptr, 0), 0);
    return bytes_now;
  };
  const auto round = [&] {
    connection.on_receive({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()},
                          kNow);
    appliance_.sink().publish();
    RingConsumer& consumer = *appliance_.consumer(0);
    while (consumer.next().outcome == RingRecord::Outcome::kRecord) {
    }
    appliance_.consume(0);
    appliance_.sink().refresh();
    connection.on_pass(kNow);
  };
  for (int at = 0; at < 100; ++at) round();
  const std::uint64_t before = allocated();
  const std::size_t sent = output.count;
  for (int at = 0; at < 1000; ++at) round();
  EXPECT_EQ(allocated(), before);
  EXPECT_GT(output.count, sent + 100'000);
  connection.on_close();
}

}  // namespace
}  // namespace deja
