#include "ingest/loop.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/ingest/loop/loop_world.h"
#include "tests/support/seed.h"

// jemalloc's, where it is linked: a sanitizer's build has its own allocator.
extern "C" int mallctl(const char* name, void* old_value, std::size_t* old_bytes, void* new_value,
                       std::size_t new_bytes) __attribute__((weak));

namespace deja {
namespace {

TEST_P(LoopTest, EchoesForManyConnectionsAtOnce) {
  LoopRing::Options options;
  options.buffer_count = 4;  // far fewer than connections: receives run out of buffers
  options.buffer_bytes = 512;
  start({}, 0, options);
  std::mt19937_64 random(test_seed());
  std::vector<std::string> said(40);
  std::vector<std::string> heard(40);
  for (int at = 0; at < 40; ++at) client();
  for (int round = 0; round < 20; ++round) {
    for (std::size_t at = 0; at < 40; ++at) {
      const std::string text(1 + random() % 3000, static_cast<char>('a' + at % 26));
      said[at] += text;
      say(clients_[at], text);
    }
    for (int at = 0; at < 3; ++at) loop_->pass();
    for (std::size_t at = 0; at < 40; ++at) heard[at] += take(clients_[at]);
  }
  run_until([&] {
    for (std::size_t at = 0; at < 40; ++at) heard[at] += take(clients_[at]);
    return heard == said;
  });
  EXPECT_TRUE(heard == said);
  EXPECT_EQ(loop_->open_connections(), 40U);
}

TEST_P(LoopTest, PoolsHandlersAndSlots) {
  start();
  for (int round = 0; round < 30; ++round) {
    const int descriptor = client();
    say(descriptor, "hello");
    std::string heard;
    run_until([&] { return (heard += take(descriptor)) == "hello"; });
    EXPECT_EQ(heard, "hello");
    close(descriptor);
    clients_.pop_back();
    run_until([&] { return loop_->open_connections() == 0; });
  }
  EXPECT_EQ(script_.opened, 30);
  EXPECT_EQ(script_.closed, 30);
  EXPECT_EQ(script_.made, 1);
}

TEST_P(LoopTest, ClosesConnectionsBeyondTheBound) {
  LoopOptions options;
  options.connections_max = 2;
  start(options);
  for (int at = 0; at < 3; ++at) client();
  bool ended = false;
  run_until([&] {
    take(clients_[2], &ended);
    return ended;
  });
  EXPECT_TRUE(ended);
  EXPECT_EQ(loop_->open_connections(), 2U);
  EXPECT_EQ(script_.opened, 2);
  // A place that becomes free is given again.
  close(clients_[0]);
  clients_[0] = -1;
  run_until([&] { return loop_->open_connections() == 1; });
  const int later = client();
  say(later, "x");
  std::string heard;
  run_until([&] { return (heard += take(later)) == "x"; });
  EXPECT_EQ(heard, "x");
}

TEST_P(LoopTest, SendsALongAnswerWholeBeforeItCloses) {
  use_tcp();
  const std::string answer(4 << 20, 'a');
  script_.receive = [&](ConnectionOutput& output, std::string_view) {
    put(output, answer);
    return Next::kClose;
  };
  start();
  const int descriptor = client();
  say(descriptor, std::string(100'000, 'q'));  // more than the handler will see
  std::string heard;
  bool ended = false;
  run_until([&] {
    // A peer that is still sending must not lose its answer.
    (void)send(descriptor, "more", 4, MSG_DONTWAIT | MSG_NOSIGNAL);
    char bytes[65536];
    const ssize_t count = recv(descriptor, bytes, sizeof bytes, MSG_DONTWAIT);
    ended = count == 0;
    if (count > 0) heard.append(bytes, static_cast<std::size_t>(count));
    return ended;
  });
  EXPECT_TRUE(ended);
  EXPECT_EQ(heard.size(), answer.size());
  close(descriptor);
  clients_.pop_back();
  run_until([&] { return loop_->open_connections() == 0; });
  EXPECT_EQ(loop_->open_connections(), 0U);
  EXPECT_EQ(script_.closed, 1);
}

TEST_P(LoopTest, DoesNotReadAPausedConnectionUntilItGoesOn) {
  std::size_t received = 0;
  bool full = true;
  bool paused = false;
  script_.receive = [&](ConnectionOutput&, std::string_view bytes) {
    received += bytes.size();
    paused = full;
    return paused ? Next::kPause : Next::kReceive;
  };
  script_.busy = [&] { return true; };
  script_.pass = [&](ConnectionOutput&) { return paused ? Next::kPause : Next::kReceive; };
  start();
  const int descriptor = client();
  say(descriptor, "first");
  run_until([&] { return received == 5; });
  for (int at = 0; at < 5; ++at) loop_->pass();  // the cancelled receive ends
  std::size_t sent = 5;
  const std::string block(1024, 'x');
  for (;;) {
    const ssize_t count = send(descriptor, block.data(), block.size(), MSG_DONTWAIT);
    if (count <= 0) break;  // back-pressure has reached the peer
    sent += static_cast<std::size_t>(count);
  }
  for (int at = 0; at < 50; ++at) loop_->pass();
  EXPECT_EQ(received, 5U);
  full = paused = false;
  run_until([&] { return received == sent; });
  EXPECT_EQ(received, sent);
}

TEST_P(LoopTest, AbortsAtOnceAndGoesOnWithTheOthers) {
  script_.receive = [](ConnectionOutput& output, std::string_view bytes) {
    if (bytes == "die") return Next::kAbort;
    put(output, bytes);
    return Next::kReceive;
  };
  start();
  const int good = client();
  const int bad = client();
  say(bad, "die");
  bool ended = false;
  run_until([&] {
    take(bad, &ended);
    return ended && loop_->open_connections() == 1;
  });
  EXPECT_TRUE(ended);
  say(good, "alive");
  std::string heard;
  run_until([&] { return (heard += take(good)) == "alive"; });
  EXPECT_EQ(heard, "alive");
}

TEST_P(LoopTest, ClosesWhoSaysNothing) {
  start({}, 1000);
  const int descriptor = client();
  bool ended = false;
  run_until([&] {
    take(descriptor, &ended);
    return ended;
  });
  EXPECT_TRUE(ended);
}

TEST_P(LoopTest, DrainsWhatIsUnderWayAndTakesNothingNew) {
  bool waiting = false;
  bool covered = false;
  script_.receive = [&](ConnectionOutput&, std::string_view) {
    waiting = true;
    return Next::kReceive;
  };
  script_.busy = [&] { return waiting; };
  script_.pass = [&](ConnectionOutput& output) {
    if (!covered) return Next::kReceive;
    if (waiting) put(output, "ack");
    waiting = false;
    return Next::kReceive;
  };
  start();
  const int asker = client();
  say(asker, "event");
  run_until([&] { return waiting; });
  loop_->begin_drain();
  for (int at = 0; at < 5; ++at) loop_->pass();
  const int late = client();  // in the socket's backlog, for the next life
  say(late, "late");
  for (int at = 0; at < 5; ++at) loop_->pass();
  EXPECT_EQ(loop_->open_connections(), 1U);
  EXPECT_EQ(script_.opened, 1);
  covered = true;
  std::string heard;
  bool ended = false;
  run_until([&] {
    heard += take(asker, &ended);
    return ended;
  });
  EXPECT_EQ(heard, "ack");
  EXPECT_TRUE(ended);
  close(asker);
  clients_.erase(clients_.begin());
  run_until([&] { return loop_->open_connections() == 0; });
  EXPECT_EQ(loop_->open_connections(), 0U);
}

TEST_P(LoopTest, OutOfDescriptorsItSleepsAndAcceptsLater) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
  GTEST_SKIP()
      << "UBSan's look at an object's type opens a pipe, and there is no descriptor for it";
#endif
#endif
  start();
  const int first = client();
  const int second = client();
  rlimit before{};
  CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(second) + 1;  // all below are in use
  CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
  std::uint32_t work = 0;
  for (int at = 0; at < 50; ++at) work += loop_->pass();
  EXPECT_EQ(loop_->open_connections(), 0U);
  EXPECT_LE(work, 4U) << "it fails as fast as it can";
  CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
  run_until([&] { return loop_->open_connections() == 2; });
  EXPECT_EQ(loop_->open_connections(), 2U);
  say(first, "still there");
  std::string heard;
  run_until([&] { return (heard += take(first)) == "still there"; });
  EXPECT_EQ(heard, "still there");
}

TEST_P(LoopTest, AllocatesNothingInSteadyState) {
  if (mallctl == nullptr) GTEST_SKIP() << "needs jemalloc's counters";
  start();
  for (int at = 0; at < 8; ++at) client();
  const auto allocated = [] {
    std::uint64_t bytes_now = 0;
    std::size_t size = sizeof bytes_now;
    EXPECT_EQ(mallctl("thread.allocated", &bytes_now, &size, nullptr, 0), 0);
    return bytes_now;
  };
  char bytes[1000] = {};
  const auto round = [&] {
    std::size_t heard = 0;
    for (const int descriptor : clients_) {
      CHECK(send(descriptor, bytes, sizeof bytes, MSG_NOSIGNAL) == sizeof bytes);
    }
    while (heard < clients_.size() * sizeof bytes) {
      loop_->pass();
      for (const int descriptor : clients_) {
        const ssize_t count = recv(descriptor, bytes, sizeof bytes, MSG_DONTWAIT);
        if (count > 0) heard += static_cast<std::size_t>(count);
      }
    }
  };
  for (int at = 0; at < 100; ++at) round();
  const std::uint64_t before = allocated();
  for (int at = 0; at < 1000; ++at) round();
  EXPECT_EQ(allocated(), before);
}

struct CountingDuty final : LoopDuty {
  int passes = 0;
  int ends = 0;
  bool news = false;
  void on_pass(std::int64_t) override {
    EXPECT_EQ(passes, ends);
    ++passes;
  }
  void on_pass_end() override { ++ends; }
  [[nodiscard]] bool has_news() const override { return news; }
};

TEST_P(LoopTest, RunsItsDutyInEveryPassAndEndsWhenTold) {
  for (const IdleWait wait : {IdleWait::kAdaptive, IdleWait::kSpin, IdleWait::kSleep}) {
    CountingDuty duty;
    std::atomic<bool> stop{false};
    std::thread other([&] {
      LoopOptions options;
      options.duty = &duty;
      options.wait = wait;
      start_on(make_ring(), options);  // the ring belongs to the thread that runs it
      loop_->run(stop);
      loop_.reset();
    });
    const int descriptor = client();
    say(descriptor, "hello");
    pollfd waiting{descriptor, POLLIN, 0};
    EXPECT_EQ(poll(&waiting, 1, 5000), 1);
    EXPECT_EQ(take(descriptor), "hello");
    close(descriptor);
    clients_.pop_back();
    stop = true;
    other.join();
    EXPECT_GT(duty.passes, 0);
    EXPECT_EQ(duty.passes, duty.ends);
  }
}

INSTANTIATE_TEST_SUITE_P(OnBoth, LoopTest,
                         testing::Values(Way{IoBackend::kUring, IdleWait::kAdaptive},
                                         Way{IoBackend::kEpoll, IdleWait::kAdaptive},
                                         Way{IoBackend::kUring, IdleWait::kSpin},
                                         Way{IoBackend::kEpoll, IdleWait::kSpin}),
                         name_of);

}  // namespace
}  // namespace deja
