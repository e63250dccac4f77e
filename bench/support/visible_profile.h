// A renderer that waits for one user's profile to change, and the two ways in which an event gets
// to the appliance: deja::Producer over the stream, and a POST on a kept HTTP connection. Each
// tells how long it took from before the event was handed over until the profile had changed. One
// thread.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/support/parties.h"
#include "ingest/producer.h"
#include "ingest/producer_encoder.h"
#include "shm/deja.h"

namespace deja::bench {

inline constexpr std::string_view kVisibleUser = "bench-user";

[[nodiscard]] inline ProducerEvent visible_event() {
  ProducerEvent event;
  event.name = "Product Viewed";
  event.user_id = kVisibleUser;
  event.properties = {{"product_id", "p1"}};
  return event;
}

/// The bytes of such an event on the stream.
[[nodiscard]] inline std::vector<std::uint8_t> visible_event_bytes() {
  ProducerEvent event = visible_event();
  event.message_id = "0123456789abcdef01234567-1000000";  // as long as the producer makes them
  ProducerEncoder encoder;
  const ProducerEvent* only[] = {&event};
  const auto frame = encoder.batch(1, 1, only);
  return {frame.begin(), frame.end()};
}

class VisibleProfile {
 public:
  /// `yields`: the reader shares its core with one that it waits for.
  VisibleProfile(const std::string& appliance, const std::string& directory, bool yields)
      : yields_(yields) {
    if (deja_open(appliance.c_str(), directory.c_str(), &appliance_) != DEJA_OK) {
      give_up("can't open the appliance");
    }
    profile_.resize(deja_profile_bytes(appliance_) / 8);
  }
  ~VisibleProfile() { deja_close(appliance_); }
  VisibleProfile(const VisibleProfile&) = delete;
  VisibleProfile& operator=(const VisibleProfile&) = delete;

  [[nodiscard]] std::uint64_t sequence() {
    auto* profile = reinterpret_cast<deja_profile*>(profile_.data());
    const deja_key user =
        deja_user(kVisibleUser.data(), static_cast<std::uint32_t>(kVisibleUser.size()));
    return deja_get(appliance_, user, profile) == DEJA_OK ? deja_sequence(profile) : 0;
  }
  void wait_past(std::uint64_t before) {
    poll_until(yields_, "an event did not become visible", [&] { return sequence() != before; });
  }

 private:
  const bool yields_;
  deja_appliance* appliance_ = nullptr;
  std::vector<std::uint64_t> profile_;
};

class StreamWay {
 public:
  StreamWay(const std::string& socket, VisibleProfile& profile)
      : profile_(profile), event_(visible_event()) {
    ProducerOptions options;
    options.address = "unix:" + socket;
    options.batch_events = 1;
    options.linger_us = 0;
    Result<std::unique_ptr<Producer>> producer = Producer::open(options);
    if (!producer.ok()) give_up(producer.error().message().c_str());
    producer_ = std::move(*producer);
    (void)producer_->send(event_);
    if (!producer_->flush(5'000'000)) give_up("the first event was not acknowledged");
  }

  /// One event, in ns.
  double once() {
    ProducerEvent event = event_;
    const std::uint64_t before = profile_.sequence();
    const std::int64_t begin_ns = steady_ns();
    if (producer_->send(std::move(event)) != SendOutcome::kTaken) give_up("an event was not taken");
    profile_.wait_past(before);
    const std::int64_t end_ns = steady_ns();
    if (!producer_->flush(1'000'000)) give_up("an event was not acknowledged");
    return static_cast<double>(end_ns - begin_ns);
  }

 private:
  VisibleProfile& profile_;
  std::unique_ptr<Producer> producer_;
  const ProducerEvent event_;
};

class HttpWay {
 public:
  HttpWay(std::uint16_t port, VisibleProfile& profile) : profile_(profile) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      give_up("can't connect to the appliance over HTTP");
    }
  }
  ~HttpWay() { close(socket_); }
  HttpWay(const HttpWay&) = delete;
  HttpWay& operator=(const HttpWay&) = delete;

  /// One event, in ns.
  double once() {
    const std::uint64_t before = profile_.sequence();
    const std::int64_t begin_ns = steady_ns();
    const std::string request = next_request();
    if (::send(socket_, request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size())) {
      give_up("a request was not taken");
    }
    profile_.wait_past(before);
    const std::int64_t end_ns = steady_ns();
    take_answer();
    return static_cast<double>(end_ns - begin_ns);
  }

 private:
  std::string next_request() {
    const std::string body = R"({"messageId":"http-)" + std::to_string(++number_) +
                             R"(","userId":")" + std::string(kVisibleUser) +
                             R"(","event":"Product Viewed","properties":{"product_id":"p1"}})";
    return "POST /v1/track HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
           "Content-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  void take_answer() const {
    std::string answer;
    while (answer.find(R"({"success":true})") == std::string::npos) {
      char bytes[4096];
      const ssize_t count = recv(socket_, bytes, sizeof bytes, 0);
      if (count <= 0) give_up("no answer over HTTP");
      answer.append(bytes, static_cast<std::size_t>(count));
      if (!answer.starts_with("HTTP/1.1 200 ")) give_up("an event was refused over HTTP");
    }
  }

  VisibleProfile& profile_;
  int socket_ = -1;
  std::uint64_t number_ = 0;
};

}  // namespace deja::bench
