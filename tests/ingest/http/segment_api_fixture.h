// Segment's API over HTTP in one process: an appliance whose worker the test plays, the API on it,
// and a client without a socket. Test code.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "ingest/http_connection.h"
#include "ingest/segment_api.h"
#include "tests/ingest/http/http_client.h"
#include "tests/ingest/sink/test_appliance.h"

namespace deja {

inline constexpr std::int64_t kNow = HttpClient::kNowUs;
inline constexpr std::int64_t kWaitUs = 50'000;

inline SinkAppliance::Options segment_shop(const std::vector<std::string>& keys = {},
                                           std::uint64_t ring_bytes = 1U << 20U) {
  SinkAppliance::Options options;
  options.events = {{"view", schema::Call::TRACK, "Product Viewed", {0, 1}},
                    {"visit", schema::Call::PAGE, "*", {2}}};
  options.paths = {"properties.price", "properties.products[].price", "context.page.path"};
  options.ring_bytes = ring_bytes;
  options.write_keys = keys;
  return options;
}

class SegmentApiTest : public testing::Test {
 protected:
  explicit SegmentApiTest(const SinkAppliance::Options& shop = segment_shop())
      : appliance_(shop),
        paths_(appliance_.segment().catalog()),
        limits_(appliance_.segment().settings()) {
    SegmentApiOptions options;
    options.sink = &appliance_.sink();
    options.paths = &paths_;
    options.process = &appliance_.process();
    options.slot_count = 3;
    options.key_bytes_max = 40;
    options.write_keys = shop.write_keys;
    options.full_ring_wait_us = kWaitUs;
    options.limits = &limits_;
    options.ack = appliance_.segment().settings().getAck();
    options.ready = [this] { return ready_; };
    api_ = std::make_unique<SegmentApi>(options);
    client_ = std::make_unique<HttpClient>(*api_);
  }
  ~SegmentApiTest() noexcept override { client_.reset(); }

  static std::string request(const std::string& path, const std::string& body,
                             const std::string& headers = {}) {
    return "POST " + path +
           " HTTP/1.1\r\nHost: shop.test:80\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n" + headers + "\r\n" + body;
  }
  /// One pass of an ingest thread, in which the worker keeps up (or doesn't).
  void pass(bool consume = true, std::int64_t now_us = kNow) {
    appliance_.sink().publish();
    if (consume) taken_ += appliance_.records().size();
    appliance_.sink().refresh();
    client_->pass(now_us);
  }
  ReadAnswer ask(const std::string& bytes) {
    client_ = std::make_unique<HttpClient>(*api_);
    client_->send(bytes);
    for (int at = 0; at < 3; ++at) pass();
    const auto answers = client_->answers();
    EXPECT_EQ(answers.size(), 1U) << bytes.substr(0, 300);
    return answers.empty() ? ReadAnswer{} : answers[0];
  }
  ReadAnswer post(const std::string& path, const std::string& body,
                  const std::string& headers = {}) {
    return ask(request(path, body, headers));
  }
  static std::string view(const std::string& user, const std::string& more = {}) {
    return R"({"type":"track","event":"Product Viewed","userId":")" + user + "\"" + more + "}";
  }

  SinkAppliance appliance_;
  PathTrie paths_;
  IngestLimits limits_;
  std::unique_ptr<SegmentApi> api_;
  std::unique_ptr<HttpClient> client_;
  std::size_t taken_ = 0;
  bool ready_ = true;
};

}  // namespace deja
