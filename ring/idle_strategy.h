// What a loop does when a pass of its duty cycle found nothing to do. The loop tells the work count
// of each pass and follows the answer:
//
//   for (;;) {
//     const std::uint32_t work_count = duty_cycle();
//     idle.wait(work_count, bell, [&] { return has_input(); });
//   }
//
// or, where it sleeps in a way of its own (io_uring), asks next() and does the sleep itself.
//
//   spin      never sleeps: for a core of its own. Where our loops share a core it yields.
//   adaptive  spins, yielding, for about what a wake-up costs, then sleeps on its bell: at most
//   twice the cost
//             of whichever of the two would have been right (the ski-rental bound).
//   sleep     sleeps as soon as there is nothing to do.
//
// One thread. No allocation; a system call only to sleep or to yield.
#pragma once

#include <sched.h>

#include <cstdint>

#include "ring/bell.h"
#include "shm/base/clock.h"
#include "shm/settings.capnp.h"

namespace deja {

/// About what it costs to wake a sleeper through its FIFO (ring/README.md, "Decisions").
inline constexpr std::int64_t kSpinBeforeSleepNs = 10'000;

class IdleStrategy {
 public:
  enum class Action : std::uint8_t { kGoOn, kYield, kSleep };

  /// `shares_core`: more of our loops than this one run on the core.
  explicit IdleStrategy(schema::Wait wait, bool shares_core = false)
      : wait_(wait), shares_core_(shares_core) {}

  /// What to do after a pass that did `work_count` things.
  [[nodiscard]] Action next(std::uint64_t work_count) {
    if (work_count != 0) {
      idle_since_ns_ = 0;
      return Action::kGoOn;
    }
    switch (wait_) {
      case schema::Wait::SPIN:
        return shares_core_ ? Action::kYield : Action::kGoOn;
      case schema::Wait::SLEEP:
        return Action::kSleep;
      case schema::Wait::ADAPTIVE:
        break;
    }
    const std::int64_t now_ns = steady_ns();
    if (idle_since_ns_ == 0) idle_since_ns_ = now_ns;
    if (now_ns - idle_since_ns_ >= kSpinBeforeSleepNs) return Action::kSleep;
    return Action::kYield;  // whoever is to make the input may need this very core
  }

  /// Does it. `has_input` is the last look at all inputs before the sleep.
  template <typename HasInput>
  void wait(std::uint64_t work_count, Bell& bell, HasInput&& has_input) {
    switch (next(work_count)) {
      case Action::kGoOn:
        if (work_count == 0) pause();
        return;
      case Action::kYield:
        sched_yield();
        return;
      case Action::kSleep:
        bell.announce_sleep();
        if (has_input()) {
          bell.cancel_sleep();
        } else {
          bell.sleep();
        }
        return;
    }
  }

 private:
  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
  }

  schema::Wait wait_;
  bool shares_core_;
  std::int64_t idle_since_ns_ = 0;  // 0: the last pass had work
};

}  // namespace deja
