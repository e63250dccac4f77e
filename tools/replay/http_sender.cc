// Batches of /v1/batch over a few keep-alive connections, one batch under way on each: before one
// is used again its answer is read and checked. A user's events all go over one of them, so that
// they arrive in the file's order. A 503, a 429 and a lost connection send the batch again; ids
// make that harmless.
#include <simdjson.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <string>

#include "tools/replay/event_json.h"
#include "tools/replay/http_client.h"
#include "tools/replay/sender.h"

namespace deja {
namespace {

constexpr std::size_t kConnections = 4;
constexpr std::size_t kBatchBytes = 64 * 1024;
constexpr std::size_t kBatchEvents = 250;
constexpr int kAttemptsMax = 30;

std::string text_of(simdjson::simdjson_result<simdjson::dom::element> member) {
  std::string_view text;
  return member.get(text) == simdjson::SUCCESS ? std::string(text) : std::string("unknown");
}

class HttpSender final : public Sender {
 public:
  HttpSender(const std::string& address, const std::string& write_key) {
    for (auto& lane : lanes_) lane.emplace(HttpClient(address, write_key));
  }

  Status send(const ReplayEvent& event) override {
    const std::string& user = event.user.empty() ? event.anonymous : event.user;
    Lane& lane = *lanes_[std::hash<std::string>{}(user) % kConnections];
    lane.filling += lane.filling.empty() ? "{\"batch\":[" : ",";
    append_event_json(lane.filling, event);
    ++lane.filling_events;
    ++counts_.sent;
    if (lane.filling_events < kBatchEvents && lane.filling.size() < kBatchBytes) return Done{};
    return push(lane);
  }

  Status push() override {
    for (auto& lane : lanes_) {
      if (Status pushed = push(*lane); !pushed.ok()) return pushed;
    }
    return Done{};
  }

  Status finish() override {
    if (Status pushed = push(); !pushed.ok()) return pushed;
    for (auto& lane : lanes_) {
      if (Status settled = settle(*lane); !settled.ok()) return settled;
    }
    return Done{};
  }

  const SendCounts& counts() const override { return counts_; }

 private:
  struct Lane {
    explicit Lane(HttpClient made) : client(std::move(made)) {}
    HttpClient client;
    std::string filling;
    std::uint64_t filling_events = 0;
    std::string body;
    std::uint64_t events = 0;  ///< of the batch under way; 0: none
    bool sent = false;
  };

  /// Sends what the lane has gathered, once the batch before it is answered.
  Status push(Lane& lane) {
    if (lane.filling_events == 0) return Done{};
    lane.filling += "]}";
    if (Status settled = settle(lane); !settled.ok()) return settled;
    lane.body.swap(lane.filling);
    lane.events = lane.filling_events;
    lane.filling.clear();
    lane.filling_events = 0;
    lane.sent = lane.client.send("/v1/batch", lane.body).ok();  // settle() tries again
    return Done{};
  }

  /// Reads the lane's answer; sends again until there is one that counts.
  Status settle(Lane& lane) {
    if (lane.events == 0) return Done{};
    Error last;
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
      if (!lane.sent) {
        const Status again = lane.client.send("/v1/batch", lane.body);
        lane.sent = again.ok();
        if (!again.ok()) last = again.error();
      }
      if (lane.sent) {
        auto reply = lane.client.receive();
        if (reply.ok() && reply->status != 503 && reply->status != 429)
          return take(lane, reply.value());
        last = reply.ok() ? Error{reply->status == 429 ? "the appliance limits our rate (429)"
                                                       : "the appliance has no room (503)",
                                  0, "See deja stat"}
                          : reply.error();
        lane.sent = false;
        if (reply.ok()) lane.client.disconnect();
      }
      counts_.resent += lane.events;
      usleep(static_cast<useconds_t>(20'000 * (1 << std::min(attempt, 6))));
    }
    return last;
  }

  Status take(Lane& lane, const HttpReply& reply) {
    const std::uint64_t events = lane.events;
    lane.events = 0;
    lane.sent = false;
    if (!reply.ack.empty()) counts_.ack_level = reply.ack;
    simdjson::dom::element answer;
    if (parser_.parse(reply.body).get(answer) != simdjson::SUCCESS) {
      return Error{"the answer " + std::to_string(reply.status) + " is no JSON", 0,
                   "Is --to the address of [listen] http?"};
    }
    std::uint64_t rejected = 0;
    simdjson::dom::array list;
    if (answer["rejected"].get(list) == simdjson::SUCCESS) {
      for (const simdjson::dom::element entry : list) {
        ++counts_.by_code[text_of(entry["code"])];
        ++rejected;
      }
    }
    if (reply.status == 200 || (reply.status == 400 && rejected == events)) {
      counts_.rejected += rejected;
      counts_.acked += events - std::min(events, rejected);
      return Done{};
    }
    const simdjson::simdjson_result<simdjson::dom::element> error = answer["error"];
    return Error{"the appliance answered " + std::to_string(reply.status) + " " +
                     text_of(error["code"]) + ": " + text_of(error["message"]),
                 0, reply.status == 401 ? "Give the key with --write-key" : "See deja errors"};
  }

  std::array<std::optional<Lane>, kConnections> lanes_;
  SendCounts counts_;
  simdjson::dom::parser parser_;
};

}  // namespace

Result<std::unique_ptr<Sender>> make_http_sender(const std::string& address,
                                                 const std::string& write_key) {
  return std::unique_ptr<Sender>(std::make_unique<HttpSender>(address, write_key));
}

}  // namespace deja
