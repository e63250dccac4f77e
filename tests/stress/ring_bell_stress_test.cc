// Two threads that hand a number to and fro, each asleep while it is not its turn, with sleeps that
// would last: a single lost wake-up stops both for as long. The product's sleeps are bounded by
// 10 ms all the same.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "ring/bell.h"
#include "shm/base/clock.h"
#include "tests/support/segment_fixture.h"

namespace deja {
namespace {

constexpr std::int64_t kLongSleepNs = 2'000'000'000;

/// Takes its turns, and rings the other after each. Returns how many sleeps came to their bound.
std::uint64_t take_turns(std::atomic<std::uint64_t>& turn, std::uint64_t own, std::uint64_t end,
                         Bell& bell, BellRope& other) {
  std::uint64_t bounds_reached = 0;
  for (;;) {
    const std::uint64_t now = turn.load(std::memory_order_acquire);
    if (now >= end) return bounds_reached;
    if (now % 2 == own) {
      turn.store(now + 1, std::memory_order_release);
      static_cast<void>(other.ring_if_asleep());
      continue;
    }
    bell.announce_sleep();
    if (turn.load(std::memory_order_acquire) != now) {
      bell.cancel_sleep();
      continue;
    }
    const std::int64_t began_ns = steady_ns();
    bell.sleep(kLongSleepNs);
    const bool its_turn = turn.load(std::memory_order_acquire) != now;
    if (its_turn && steady_ns() - began_ns >= kLongSleepNs) ++bounds_reached;
  }
}

TEST(BellStress, NoWakeUpIsLost) {
  TestAppliance appliance = TestAppliance::small();
  appliance.worker_count = 2;
  const SegmentFixture fixture(appliance);
  Bell first = std::move(*Bell::open(fixture.segment(), "worker-0"));
  Bell second = std::move(*Bell::open(fixture.segment(), "worker-1"));
  BellRope to_first = std::move(*BellRope::open(fixture.segment(), "worker-0"));
  BellRope to_second = std::move(*BellRope::open(fixture.segment(), "worker-1"));
  std::atomic<std::uint64_t> turn{0};
  constexpr std::uint64_t kTurns = 100'000;
  std::uint64_t lost = 0;
  std::thread thread([&] { lost = take_turns(turn, 1, kTurns, second, to_first); });
  const std::uint64_t lost_here = take_turns(turn, 0, kTurns, first, to_second);
  thread.join();
  EXPECT_EQ(lost + lost_here, 0U);
}

}  // namespace
}  // namespace deja
