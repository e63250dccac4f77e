#include "tools/serve/pulse.h"

#include <gtest/gtest.h>

namespace deja {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr PulseBounds kBounds{5'000 * kMs, 60'000 * kMs};

/// A process and who watches it, in a time of their own.
class Watched {
 public:
  Watched() { pulse_.begin(0); }

  /// Both go on for so long, looks 100 ms apart. True: it was missed meanwhile.
  bool pass(std::int64_t ms, bool beats) {
    bool missed = false;
    for (std::int64_t gone = 0; gone < ms; gone += 100) {
      now_ns_ += 100 * kMs;
      if (beats) ++beat_;
      missed |= pulse_.missing(beat_, now_ns_, kBounds);
    }
    return missed;
  }
  void sleep_everybody(std::int64_t ms) { now_ns_ += ms * kMs; }
  void step_wall_clock() { beat_ += 1'000'000'000'000; }

 private:
  Pulse pulse_;
  std::int64_t now_ns_ = 0;
  std::int64_t beat_ = 0;
};

TEST(Pulse, IsMissedOnceItStandsStillForLongerThanTheBound) {
  Watched watched;
  EXPECT_FALSE(watched.pass(10'000, true));
  EXPECT_FALSE(watched.pass(4'900, false));
  EXPECT_FALSE(watched.pass(100, true));
  EXPECT_TRUE(watched.pass(5'200, false));
}

TEST(Pulse, HasTimeToStart) {
  Watched watched;
  EXPECT_FALSE(watched.pass(100, true)) << "it has opened its file";
  EXPECT_FALSE(watched.pass(59'000, false)) << "and sweeps";
  EXPECT_TRUE(watched.pass(1'200, false)) << "but not for ever";
}

TEST(Pulse, NeverSeenIsMissedAfterTheStart) {
  Watched watched;
  EXPECT_FALSE(watched.pass(59'000, false));
  EXPECT_TRUE(watched.pass(1'200, false));
}

TEST(Pulse, OfASuspendedHostIsNotMissed) {
  Watched watched;
  EXPECT_FALSE(watched.pass(10'000, true));
  EXPECT_FALSE(watched.pass(4'000, false));
  watched.sleep_everybody(3'600'000);
  EXPECT_FALSE(watched.pass(4'900, false)) << "the whole bound again";
  EXPECT_TRUE(watched.pass(300, false));
}

TEST(Pulse, HeedsNoStepOfTheWallClock) {
  Watched watched;
  EXPECT_FALSE(watched.pass(10'000, true));
  watched.step_wall_clock();
  EXPECT_FALSE(watched.pass(4'900, false));
  EXPECT_TRUE(watched.pass(300, false));
}

TEST(Pulse, WithoutABoundIsNeverMissed) {
  Pulse pulse;
  pulse.begin(0);
  EXPECT_FALSE(pulse.missing(1, 1, {}));
  for (std::int64_t now_ns = 0; now_ns < 600'000 * kMs; now_ns += 100 * kMs) {
    EXPECT_FALSE(pulse.missing(1, now_ns, {}));
  }
}

}  // namespace
}  // namespace deja
