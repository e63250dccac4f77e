// Who takes part in getting an event to where it is visible, on which core each runs, and how those
// that spin are kept from the cores while it is another's turn. One thread.
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bench/support/servers.h"
#include "shm/base/affinity.h"
#include "shm/base/clock.h"

namespace deja::bench {

/// Cores by their place among those that this process may use; the same for us and the raw way.
struct Placement {
  const char* name;  ///< who shares a core with whom
  unsigned client;
  unsigned ingest;
  unsigned worker;

  [[nodiscard]] bool client_shares() const { return client == ingest || client == worker; }
};

inline constexpr Placement kPlacements[] = {
    {"client | ingest, worker", 0, 1, 1}, {"client, ingest | worker", 0, 0, 1},
    {"client, worker | ingest", 0, 1, 0}, {"client, ingest, worker on one core", 0, 0, 0},
    {"a core for each", 0, 1, 2},
};

[[nodiscard]] inline std::vector<int> usable_cores() {
  std::vector<int> cores = allowed_cores();
  if (cores.empty()) give_up("can't see which cores there are");
  return cores;
}

/// Processes that can be held: they neither run nor notice that time passes.
class Parties {
 public:
  Parties() = default;
  explicit Parties(std::vector<pid_t> pids) : pids_(std::move(pids)) {}
  void hold() const { signal_all(SIGSTOP); }
  void go() const { signal_all(SIGCONT); }

 private:
  void signal_all(int signal) const {
    for (const pid_t pid : pids_) {
      if (kill(pid, signal) != 0) give_up("a process is gone");
    }
  }
  std::vector<pid_t> pids_;
};

/// Polls until `seen()`. Yields where the reader shares its core with one that it waits for.
template <typename Seen>
void poll_until(bool yields, const char* what, Seen&& seen) {
  constexpr std::int64_t kGiveUpNs = 2'000'000'000;
  constexpr unsigned kLooksPerClock = 256;  // a clock costs half of what a look does
  std::int64_t begin_ns = 0;
  for (unsigned looks = 1; !seen(); ++looks) {
    if (yields) {
      sched_yield();
    } else {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
    if (looks % kLooksPerClock != 0) continue;
    if (begin_ns == 0) begin_ns = steady_ns();
    if (steady_ns() - begin_ns > kGiveUpNs) give_up(what);
  }
}

}  // namespace deja::bench
