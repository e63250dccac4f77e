#include "ingest/loop_direct.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/ingest/loop/forwarding_ring.h"
#include "tests/ingest/loop/loop_world.h"

namespace deja {
namespace {

/// Another ring, and what was asked of it.
class CountingRing final : public ForwardingRing {
 public:
  struct Counts {
    int receives = 0;
    int cancels = 0;
    std::function<void()> on_cancel = [] {};
  };
  CountingRing(std::unique_ptr<LoopRing> ring, Counts& counts)
      : ForwardingRing(std::move(ring)), counts_(counts) {}

  void receive(int socket, std::uint64_t user_data) override {
    ++counts_.receives;
    ForwardingRing::receive(socket, user_data);
  }
  void cancel(int descriptor, std::uint64_t target) override {
    ++counts_.cancels;
    counts_.on_cancel();
    ForwardingRing::cancel(descriptor, target);
  }

 private:
  Counts& counts_;
};

/// Loops that spin, and what they ask of their ring.
class SpinningLoopTest : public LoopTest {
 protected:
  static constexpr int kPlaces = DirectPlaces::kPlaces;

  void start_counted(std::int64_t quiet_us = 3'600'000'000) {
    LoopOptions options;
    options.wait = IdleWait::kSpin;
    options.direct_quiet_us = quiet_us;
    start_on(std::make_unique<CountingRing>(make_ring(), asked_), options);
  }
  /// What comes back, as much of it as was said.
  std::string hears(int descriptor, std::string_view text) {
    say(descriptor, text);
    std::string heard;
    run_until([&] { return (heard += take(descriptor)).size() >= text.size(); });
    return heard;
  }
  void leave(std::size_t at) {
    close(clients_[at]);
    clients_.erase(clients_.begin() + static_cast<std::ptrdiff_t>(at));
    run_until([&] { return loop_->open_connections() == clients_.size(); });
  }

  CountingRing::Counts asked_;
};

TEST_P(SpinningLoopTest, ReadsAFewItselfAndIsToldOfTheOthers) {
  start_counted();
  for (int at = 0; at < kPlaces + 2; ++at) EXPECT_EQ(hears(client(), "first"), "first");
  EXPECT_EQ(asked_.receives, 2);
  const std::string long_text(100'000, 'x');
  for (const int descriptor : clients_) EXPECT_EQ(hears(descriptor, long_text), long_text);
  EXPECT_EQ(asked_.receives, 2);
  EXPECT_EQ(asked_.cancels, 0);
}

TEST_P(SpinningLoopTest, AFreePlaceIsOnesThatSendsAndNothingOfItIsLostOrTwice) {
  start_counted();
  for (int at = 0; at < kPlaces + 3; ++at) EXPECT_EQ(hears(client(), "first"), "first");
  leave(0);
  // All three at the ring send at once, and whoever gets the place while it is changing over.
  std::string said = "a";
  asked_.on_cancel = [&] {
    for (std::size_t at = clients_.size() - 3; at < clients_.size(); ++at) say(clients_[at], "bcd");
    said += "bcd";
  };
  std::vector<std::string> heard(3);
  for (std::size_t at = 0; at < 3; ++at) say(clients_[clients_.size() - 3 + at], "a");
  run_until([&] {
    for (std::size_t at = 0; at < 3; ++at) heard[at] += take(clients_[clients_.size() - 3 + at]);
    return heard == std::vector<std::string>(3, said);
  });
  EXPECT_EQ(heard, std::vector<std::string>(3, "abcd"));
  for (int at = 0; at < 100; ++at) loop_->pass();
  EXPECT_EQ(asked_.cancels, 1);
  EXPECT_EQ(asked_.receives, 3);
  for (const int descriptor : clients_) EXPECT_EQ(hears(descriptor, "again"), "again");
  EXPECT_EQ(asked_.cancels, 1);
}

TEST_P(SpinningLoopTest, WhoPausesGivesItsPlaceUpAndGoesOnAtTheRing) {
  bool paused = true;
  std::size_t received = 0;
  const ConnectionOutput* pauser = nullptr;
  script_.receive = [&](ConnectionOutput& output, std::string_view bytes) {
    if (bytes.front() == 'p') {
      pauser = &output;
      received += bytes.size();
      return paused ? Next::kPause : Next::kReceive;
    }
    put(output, bytes);
    return Next::kReceive;
  };
  script_.busy = [&] { return received != 0; };
  script_.pass = [&](ConnectionOutput& output) {
    return paused && &output == pauser ? Next::kPause : Next::kReceive;
  };
  start_counted();
  const int pauses = client();
  say(pauses, "p");
  run_until([&] { return received == 1; });
  for (int at = 0; at < kPlaces; ++at) EXPECT_EQ(hears(client(), "x"), "x");
  EXPECT_EQ(asked_.receives, 0) << "its place was free";
  say(pauses, "pp");
  for (int at = 0; at < 50; ++at) loop_->pass();
  EXPECT_EQ(received, 1U);
  paused = false;
  run_until([&] { return received == 3; });
  EXPECT_EQ(received, 3U);
  EXPECT_EQ(asked_.receives, 1);
}

TEST_P(SpinningLoopTest, WhoIsQuietGivesItsPlaceUpAndIsHeardAllTheSame) {
  start_counted(1000);
  for (int at = 0; at < kPlaces; ++at) client();
  run_until([&] { return asked_.receives == kPlaces; });
  EXPECT_EQ(asked_.receives, kPlaces);
  for (const int descriptor : clients_) EXPECT_EQ(hears(descriptor, "again"), "again");
}

TEST_P(SpinningLoopTest, WhoOnlyEndsAndReadsIsOfferedNoPlace) {
  script_.receive = [](ConnectionOutput& output, std::string_view) {
    put(output, "bye");
    return Next::kClose;
  };
  start_counted();
  for (int at = 0; at < kPlaces + 1; ++at) client();
  run_until([&] { return loop_->open_connections() == kPlaces + 1; });
  leave(0);
  const int last = clients_.back();  // at the ring, with a place free
  say(last, "enough");
  std::string heard;
  run_until([&] { return (heard += take(last)) == "bye"; });
  for (int at = 0; at < 20; ++at) {
    (void)send(last, "more", 4, MSG_DONTWAIT | MSG_NOSIGNAL);
    loop_->pass();
  }
  EXPECT_EQ(asked_.cancels, 0);
}

INSTANTIATE_TEST_SUITE_P(OnBoth, SpinningLoopTest,
                         testing::Values(Way{IoBackend::kUring, IdleWait::kSpin},
                                         Way{IoBackend::kEpoll, IdleWait::kSpin}),
                         name_of);

}  // namespace
}  // namespace deja
