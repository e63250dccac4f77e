// Sleeper and waker meet at the instant that matters, again and again: either the sleeper's last
// look finds what was published, or the waker finds the sleeper and rings. Neither, and a wake-up
// is lost (the product's sleeps are bounded by 10 ms all the same).
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "ring/bell.h"
#include "shm/base/clock.h"
#include "tests/support/segment_fixture.h"

namespace deja {
namespace {

constexpr std::int64_t kRunNs = 1'000'000'000;
constexpr std::uint64_t kEnd = ~std::uint64_t{0};

void wait_for(const std::atomic<std::uint64_t>& word, std::uint64_t value) {
  for (std::uint64_t looks = 1; word.load(std::memory_order_acquire) < value; ++looks) {
    if (looks % 1024 == 0) std::this_thread::yield();
  }
}

TEST(BellStress, NoWakeUpIsLost) {
  const SegmentFixture fixture;
  Bell bell = std::move(*Bell::open(fixture.segment(), "worker-0"));
  BellRope rope = std::move(*BellRope::open(fixture.segment(), "worker-0"));
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> round{0};
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> input{0};
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> looked{0};
  std::atomic<bool> found{false};

  std::thread sleeper([&] {
    for (std::uint64_t number = 1;; number += 2) {
      wait_for(round, number);
      if (round.load(std::memory_order_relaxed) == kEnd) return;
      bell.announce_sleep();
      found.store(input.load(std::memory_order_acquire) == number, std::memory_order_relaxed);
      looked.store(number, std::memory_order_release);
      wait_for(round, number + 1);  // asleep, were this not a test
      bell.cancel_sleep();
      looked.store(number + 1, std::memory_order_release);
    }
  });
  const std::int64_t until_ns = steady_ns() + kRunNs;
  std::uint64_t lost = 0;
  std::uint64_t number = 1;
  for (; steady_ns() < until_ns; number += 2) {
    round.store(number, std::memory_order_release);
    // Both are awake now; the sleeper hears of it a little later, by more or less.
    for (std::uint64_t nap = number % 256; nap != 0; --nap) {
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    input.store(number, std::memory_order_release);
    const bool rang = rope.ring_if_asleep();
    wait_for(looked, number);
    if (!rang && !found.load(std::memory_order_relaxed)) ++lost;
    round.store(number + 1, std::memory_order_release);
    wait_for(looked, number + 1);
  }
  round.store(kEnd, std::memory_order_release);
  sleeper.join();
  EXPECT_EQ(lost, 0U) << "in " << number / 2 << " meetings";
}

}  // namespace
}  // namespace deja
