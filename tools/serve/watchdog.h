// Feeding systemd's watchdog (WatchdogSec= in the unit: sd_watchdog_enabled(3)): a supervisor that
// hangs, or can't bring a hung child to its end, is killed and started again; everybody else serves
// on meanwhile. Fed twice in the time allowed, and only while all is well. One thread.
#pragma once

#include <cstdint>

namespace deja {

class Watchdog {
 public:
  /// Every how many ns to feed it, from WATCHDOG_USEC and WATCHDOG_PID as systemd sets them; 0
  /// where nobody waits for it: they are absent, no number, or another process's.
  [[nodiscard]] static std::int64_t interval_ns_of(const char* usec, const char* pid);

  /// As the environment says.
  Watchdog();
  explicit Watchdog(std::int64_t interval_ns) : interval_ns_(interval_ns) {}

  /// Called in every pass. Sends WATCHDOG=1 when it is due and `alive`; what is due while not
  /// `alive` is sent as soon as that is over.
  void pass(std::int64_t now_ns, bool alive);

 private:
  std::int64_t interval_ns_;
  std::int64_t due_ns_ = 0;
};

}  // namespace deja
