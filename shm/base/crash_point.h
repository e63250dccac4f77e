// Named places at which a test can make a process die, to show that dying there is harmless.
// CRASH_POINT("worker.after_log") is one relaxed load of a flag in a normal run; with
// DEJA_CRASH_POINT=name in the environment (and DEJA_CRASH_AFTER=n to pass it n times first) the
// process kills itself there with SIGKILL, as a stranger would. Any thread.
#pragma once

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace deja {

class CrashPoints {
 public:
  static bool armed() { return instance().name_ != nullptr; }

  static void reach(const char* name) {
    CrashPoints& points = instance();
    if (std::strcmp(points.name_, name) != 0) return;
    if (points.passes_left_.fetch_sub(1, std::memory_order_relaxed) > 0) return;
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }

 private:
  CrashPoints() : name_(std::getenv("DEJA_CRASH_POINT")) {
    if (const char* count = std::getenv("DEJA_CRASH_AFTER")) {
      passes_left_.store(std::atol(count), std::memory_order_relaxed);
    }
  }
  static CrashPoints& instance() {
    static CrashPoints points;
    return points;
  }

  const char* name_;
  std::atomic<long> passes_left_{0};
};

}  // namespace deja

#define CRASH_POINT(name)                                               \
  do {                                                                  \
    if (::deja::CrashPoints::armed()) ::deja::CrashPoints::reach(name); \
  } while (false)
