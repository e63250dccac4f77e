#include "ingest/loop_ends.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <optional>
#include <utility>

#include "ingest/loop_direct.h"
#include "tests/ingest/loop/forwarding_ring.h"
#include "tests/ingest/loop/loop_world.h"

namespace deja {
namespace {

/// Misses the first end of a peer: to the loop its receive is under way as before.
class ForgetfulRing final : public ForwardingRing {
 public:
  ForgetfulRing(std::unique_ptr<LoopRing> ring, int& missed_count)
      : ForwardingRing(std::move(ring)), missed_count_(missed_count) {}

  [[nodiscard]] bool misses_ends() const override { return true; }
  void receive(int socket, std::uint64_t user_data) override {
    received_ = user_data;
    ForwardingRing::receive(socket, user_data);
  }
  void cancel(int descriptor, std::uint64_t target) override {
    if (missed_ == target) {
      is_cancelled_ = true;
    } else {
      ForwardingRing::cancel(descriptor, target);
    }
  }
  [[nodiscard]] bool ready() override { return is_cancelled_ || ForwardingRing::ready(); }
  std::uint32_t take_completions(std::uint32_t count_max, CompletionHandler& handler) override {
    if (is_cancelled_) {
      is_cancelled_ = false;
      handler.on_completion({*std::exchange(missed_, std::nullopt), -ECANCELED, false, {}});
    }
    Filter filter{*this, handler};
    return ForwardingRing::take_completions(count_max, filter);
  }

 private:
  struct Filter final : CompletionHandler {
    Filter(ForgetfulRing& of, CompletionHandler& to) : ring(of), handler(to) {}
    void on_completion(const LoopCompletion& completion) override {
      const bool is_end = completion.user_data == ring.received_ && completion.result == 0;
      if (!is_end || ring.missed_count_++ != 0) return handler.on_completion(completion);
      ring.missed_ = completion.user_data;
    }
    ForgetfulRing& ring;
    CompletionHandler& handler;
  };

  std::uint64_t received_ = 0;
  std::optional<std::uint64_t> missed_;
  bool is_cancelled_ = false;
  int& missed_count_;
};

class EndsTest : public LoopTest {
 protected:
  /// One client, whose bytes and end are there before the loop looks. How often its end was told.
  int ends_told() {
    int told = 0;
    LoopOptions options;
    options.wait = GetParam().wait;
    options.direct_quiet_us = 3'600'000'000;
    start_on(std::make_unique<ForgetfulRing>(make_ring(), told), options);
    // A spinning loop reads as many itself.
    const int others = options.wait == IdleWait::kSpin ? DirectPlaces::kPlaces : 0;
    for (int other = 0; other < others; ++other) client();
    run_until([&] { return script_.opened == others; });
    const int descriptor = client();
    run_until([&] { return script_.opened == others + 1; });
    say(descriptor, "last words");
    CHECK(shutdown(descriptor, SHUT_WR) == 0);
    std::string answer;
    bool closed = false;
    run_until([&] {
      answer += take(descriptor, &closed);
      return closed;
    });
    EXPECT_TRUE(closed);
    EXPECT_EQ(answer, "last words");
    EXPECT_EQ(script_.ended, 1);
    return told;
  }
};

TEST_P(EndsTest, OfAUnixSocketAreSeenWhereTheRingMissesThem) {
  EXPECT_EQ(ends_told(), 2);
}

INSTANTIATE_TEST_SUITE_P(OnBoth, EndsTest,
                         testing::Values(Way{IoBackend::kUring, IdleWait::kAdaptive},
                                         Way{IoBackend::kEpoll, IdleWait::kAdaptive},
                                         Way{IoBackend::kUring, IdleWait::kSleep},
                                         Way{IoBackend::kUring, IdleWait::kSpin}),
                         [](const auto& tested) {
                           return name_of(tested) +
                                  (tested.param.wait == IdleWait::kSleep ? "Sleeping" : "");
                         });

}  // namespace
}  // namespace deja
