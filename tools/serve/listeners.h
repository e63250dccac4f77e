// All that an appliance listens on: the addresses of its config, and the supervisor's sockets
// behind them, opened when a child needs them. A child that was adopted listens on sockets that it
// inherited from a supervisor that was killed; when it dies they go with it, and are opened here
// anew, on the same ports. Between the two a connection may be refused: clients try again, and what
// they send again is known by its id. Start-up code and the restart of a child; one thread.
//
// The kernel takes a dead process's io_uring apart only after it has ended, and what that ring
// listens on stays in use for so long (some milliseconds). So does what a child has that a
// supervisor started just before it was killed. Addresses that were ours before are waited for.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tools/config/config.h"
#include "tools/serve/child.h"
#include "tools/serve/listening_socket.h"
#include "tools/serve/start_report.h"

namespace deja {

class Listeners {
 public:
  explicit Listeners(const ListenConfig& config);

  /// Takes the real ports from the report of a segment that is gone on with.
  void go_on_from(const StartReport& report);

  /// Opens what `old` does not have, whose the addresses are until take_over().
  Status open_beyond(const Listeners& old);
  /// Takes the sockets, and the ports that it was given, of the addresses that both have; what is
  /// left of `old` is closed with it.
  void take_over(Listeners& old);

  /// The sockets that are open, for the process's next program; which takes them here.
  [[nodiscard]] std::vector<int> descriptors() const;
  void inherit(const std::vector<int>& descriptors);

  /// Open what is not open yet. EAGAIN: an address that was ours is not free yet, ask again.
  Status open_events();
  Status open_console();

  [[nodiscard]] bool has_events() const { return !http_.empty() || !streams_.empty(); }
  [[nodiscard]] bool has_console() const { return !console_.empty(); }

  /// Add the sockets to what a child is started with; they are open.
  void hand_events(ChildCommand& ingest) const;
  void hand_console(ChildCommand& console) const;

  /// What clients connect to.
  void describe(StartReport& report) const;

  /// Closes all and removes unix sockets' files, those of adopted children too: they have ended.
  void close();

 private:
  struct Listener {
    ListenAddress configured;
    ListenAddress real;  ///< the port too
    std::optional<ListeningSocket> socket;
    bool was_ours = false;
    bool taken = false;         ///< by the Listeners after these
    std::int64_t asked_ns = 0;  ///< first in vain
  };
  Status open(std::vector<Listener>& listeners);
  Status open(Listener& listener);
  template <typename Self>
  static auto all(Self& self);
  [[nodiscard]] bool has(const ListenAddress& configured) const;

  std::vector<Listener> http_;
  std::vector<Listener> streams_;
  std::vector<Listener> console_;
  std::vector<ListeningSocket> inherited_;  ///< of the program before, not yet asked for
};

}  // namespace deja
