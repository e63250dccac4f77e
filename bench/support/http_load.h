// A client of POST /v1/batch over kept connections: bodies of the shop's events are prepared ahead
// of time, and before each is sent, its users and ids of its own for its events are written into
// it. One request under way on each connection. One thread.
#pragma once

#include <poll.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/support/stream_load.h"

namespace deja::bench {

/// Event `number` of the shop as Segment's SDKs write it.
[[nodiscard]] inline std::string shop_event_json(std::uint64_t number, std::uint64_t user,
                                                 const std::string& id) {
  const ShopEvent about(number, user);
  const std::string price = std::to_string(static_cast<int>(about.price)) + ".5";
  std::string json = R"({"type":"track","messageId":")" + id + R"(","userId":")" + user_name(user);
  if (about.kind == ShopEvent::Kind::kOrder) {
    return json + R"(","event":"Order Completed","properties":{"revenue":)" + price + "}}";
  }
  json += about.kind == ShopEvent::Kind::kCart ? R"(","event":"Product Added")"
                                               : R"(","event":"Product Viewed")";
  return json + R"(,"properties":{"product_id":")" + about.item + R"(","category":")" +
         about.category + R"(","price":)" + price + "}}";
}

class HttpLoad {
 public:
  HttpLoad(std::uint16_t port, std::uint32_t connections, std::uint32_t batch_events,
           FreshTexts& texts)
      : texts_(texts), batch_events_(batch_events) {
    for (std::uint64_t first = 0; exchanges_.size() < connections; first += batch_events) {
      std::string body = R"({"batch":[)";
      for (std::uint32_t event = 0; event < batch_events; ++event) {
        body += event == 0 ? "" : ",";
        body += shop_event_json(first + event, FreshTexts::kAnyUser, FreshTexts::any_id());
      }
      body += R"(],"sentAt":"2026-01-01T00:00:00.000Z"})";
      body_bytes_ = body.size();
      Exchange exchange{ClientSocket(port), {}, {}, {}};
      exchange.request =
          "POST /v1/batch HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json"
          "\r\nContent-Length: " +
          std::to_string(body.size()) + "\r\n\r\n" + body;
      exchange.events = FreshTexts::places(exchange.request, first, batch_events);
      exchanges_.push_back(std::move(exchange));
    }
  }

  /// Sends about so many events and waits for the last answer. Returns how many there were.
  std::uint64_t run(std::uint64_t events) {
    std::uint64_t sent = 0;
    std::vector<pollfd> waiting;
    for (Exchange& exchange : exchanges_) {
      sent += ask(exchange);
      waiting.push_back({exchange.socket.descriptor(), POLLIN, 0});
    }
    for (std::size_t open = exchanges_.size(); open != 0;) {
      if (poll(waiting.data(), waiting.size(), 10'000) <= 0) give_up("no answer over HTTP");
      for (std::size_t at = 0; at < waiting.size(); ++at) {
        if ((waiting[at].revents & (POLLIN | POLLHUP)) == 0 || !answered(exchanges_[at])) continue;
        if (sent < events) {
          sent += ask(exchanges_[at]);
        } else {
          waiting[at].fd = -1;
          --open;
        }
      }
    }
    return sent;
  }
  [[nodiscard]] std::size_t event_bytes() const { return body_bytes_ / batch_events_; }

 private:
  struct Exchange {
    ClientSocket socket;
    std::string request;
    std::vector<FreshPlaces> events;
    std::string answer;
  };

  std::uint64_t ask(Exchange& exchange) {
    for (const FreshPlaces& places : exchange.events) {
      texts_.put(exchange.request.data(), places);
    }
    exchange.answer.clear();
    exchange.socket.send(exchange.request);
    return batch_events_;
  }
  /// Reads what is there; whether the answer is whole.
  static bool answered(Exchange& exchange) {
    char bytes[4096];
    exchange.answer.append(bytes, exchange.socket.receive(bytes, sizeof bytes));
    const std::size_t head = exchange.answer.find("\r\n\r\n");
    if (head == std::string::npos) return false;
    static constexpr std::string_view kLength = "Content-Length: ";
    const std::size_t length = exchange.answer.find(kLength);
    if (length > head) give_up("an answer without its length");
    const std::size_t body =
        std::strtoull(exchange.answer.c_str() + length + kLength.size(), nullptr, 10);
    if (exchange.answer.size() < head + 4 + body) return false;
    if (exchange.answer.compare(0, 13, "HTTP/1.1 200 ") != 0 ||
        exchange.answer.substr(head + 4, body) != R"({"success":true})") {
      std::fprintf(stderr, "%s\n", exchange.answer.c_str());
      give_up("the appliance did not take every event");
    }
    return true;
  }

  FreshTexts& texts_;
  const std::uint32_t batch_events_;
  std::size_t body_bytes_ = 0;
  std::vector<Exchange> exchanges_;
};

}  // namespace deja::bench
