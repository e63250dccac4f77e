// What tests of the loop have in common: a loop on a listening socket with handlers that do what a
// test's script says, clients of it, and passes until something is so. Test code; header only.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingest/loop.h"
#include "shm/base/check.h"
#include "shm/base/clock.h"

namespace deja {

// What a test wants a handler to do; shared by all handlers of a test.
struct Script {
  std::function<Next(ConnectionOutput&, std::string_view)> receive;
  std::function<Next(ConnectionOutput&)> pass;
  std::function<bool()> busy = [] { return false; };
  int opened = 0;
  int closed = 0;
  int ended = 0;
  int made = 0;
};

class ScriptedHandler final : public ConnectionHandler {
 public:
  explicit ScriptedHandler(Script& script) : script_(script) {}
  void on_open(ConnectionOutput& output) override {
    output_ = &output;
    ++script_.opened;
  }
  Next on_receive(std::span<const std::uint8_t> bytes, std::int64_t) override {
    return script_.receive(*output_, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  Next on_pass(std::int64_t) override { return script_.pass(*output_); }
  [[nodiscard]] bool busy() const override { return script_.busy(); }
  Next on_end() override {
    ++script_.ended;
    return Next::kClose;
  }
  void on_close() override {
    EXPECT_NE(output_, nullptr) << "closed twice";
    output_ = nullptr;
    ++script_.closed;
  }

 private:
  Script& script_;
  ConnectionOutput* output_ = nullptr;
};

class ScriptedFactory final : public HandlerFactory {
 public:
  explicit ScriptedFactory(Script& script) : script_(script) {}
  [[nodiscard]] std::unique_ptr<ConnectionHandler> make_handler() override {
    ++script_.made;
    return std::make_unique<ScriptedHandler>(script_);
  }

 private:
  Script& script_;
};

inline void put(ConnectionOutput& output, std::string_view text) {
  output.write({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

/// Which ring, and how its loop waits unless a test says so.
struct Way {
  IoBackend backend;
  IdleWait wait;
};

class LoopTest : public testing::TestWithParam<Way> {
 protected:
  LoopTest() : factory_(script_) {
    // An abstract name: nothing to remove.
    static std::atomic<int> number{0};
    address_.sun_family = AF_UNIX;
    const int size = std::snprintf(address_.sun_path + 1, sizeof address_.sun_path - 1,
                                   "deja-loop-%d-%d", getpid(), ++number);
    address_bytes_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 +
                                            static_cast<std::size_t>(size));
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address_), address_bytes_) == 0);
    CHECK(listen(listener_, 128) == 0);
    script_.receive = [](ConnectionOutput& output, std::string_view bytes) {
      put(output, bytes);
      return Next::kReceive;
    };
    script_.pass = [](ConnectionOutput&) { return Next::kReceive; };
  }
  ~LoopTest() override {
    loop_.reset();
    for (const int client : clients_) close(client);
    close(listener_);
  }

  /// From here on over TCP, where a connection closed with unread input is reset.
  void use_tcp() {
    close(listener_);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    CHECK(listen(listener_, 128) == 0);
    address_bytes_ = sizeof address_;
    CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address_), &address_bytes_) == 0);
  }
  void SetUp() override {
    if (GetParam().backend == IoBackend::kUring && try_io_uring() != 0) {
      GTEST_SKIP() << "skipped: " << io_refusal(try_io_uring());
    }
  }
  void start(LoopOptions options = {}, std::int64_t idle_timeout_us = 0,
             const LoopRing::Options& ring_options = {}) {
    options.wait = GetParam().wait;
    start_on(make_ring(ring_options), std::move(options), idle_timeout_us);
  }
  static std::unique_ptr<LoopRing> make_ring(const LoopRing::Options& ring_options = {}) {
    auto ring = LoopRing::create(GetParam().backend, ring_options);
    CHECK(ring.ok());
    return std::move(*ring);
  }
  void start_on(std::unique_ptr<LoopRing> ring, LoopOptions options,
                std::int64_t idle_timeout_us = 0) {
    options.listeners.push_back({listener_, &factory_, idle_timeout_us});
    auto loop = Loop::create(options, std::move(ring));
    ASSERT_TRUE(loop.ok()) << loop.error().message();
    loop_ = std::move(*loop);
  }
  int client() {
    const int descriptor = socket(address_.sun_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(descriptor, reinterpret_cast<sockaddr*>(&address_), address_bytes_) == 0);
    clients_.push_back(descriptor);
    return descriptor;
  }
  /// Passes until `done`; gives up after a while, which the caller then sees.
  void run_until(const std::function<bool()>& done) {
    const std::int64_t until_ns = steady_ns() + 20'000'000'000;
    while (!done() && steady_ns() < until_ns) {
      if (loop_->pass() == 0) loop_->idle();
    }
  }
  /// Everything that has arrived at a client; `ended` says whether the server's end came.
  static std::string take(int descriptor, bool* ended = nullptr) {
    std::string all;
    char bytes[65536];
    for (;;) {
      const ssize_t count = recv(descriptor, bytes, sizeof bytes, MSG_DONTWAIT);
      if (ended != nullptr) *ended = *ended || count == 0;
      if (count <= 0) return all;
      all.append(bytes, static_cast<std::size_t>(count));
    }
  }
  static void say(int descriptor, std::string_view text) {
    CHECK(send(descriptor, text.data(), text.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(text.size()));
  }

  Script script_;
  ScriptedFactory factory_;
  std::unique_ptr<Loop> loop_;
  sockaddr_un address_{};
  socklen_t address_bytes_ = 0;
  int listener_ = -1;
  std::vector<int> clients_;
};

inline std::string name_of(const testing::TestParamInfo<Way>& tested) {
  return std::string(io_backend_name(tested.param.backend)) +
         (tested.param.wait == IdleWait::kSpin ? "Spinning" : "");
}

}  // namespace deja
