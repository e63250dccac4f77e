// The children of an appliance and how they are kept alive: a dead one is started again with
// exponential backoff and said so on stderr; all are asked to stop in order, and killed when they
// do not. Signals that ask the supervisor to stop (TERM, INT, HUP) arrive here too, as a flag. One
// thread: the one that lives as long as the supervisor (see tools/serve/child.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/serve/backoff.h"
#include "tools/serve/child.h"

namespace deja {

class Crew {
 public:
  /// Deaths in a row after which a start-up is given up.
  static constexpr int kFailuresMax = 4;

  /// Blocks TERM, INT and HUP in this thread and receives them through a descriptor.
  Crew();
  /// Kills whom nobody stopped.
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  /// Called in every pass of attend(): heartbeats.
  void on_pass(std::function<void()> call) { on_pass_ = std::move(call); }
  /// Called for each death with a sentence without personal data, and for each start.
  void on_death(std::function<void(const std::string& sentence)> call) {
    on_death_ = std::move(call);
  }
  void on_start(std::function<void(const std::string& name)> call) { on_start_ = std::move(call); }

  /// Starts a child and keeps it alive from now on.
  Status start(const std::string& name, ChildCommand command);

  /// Waits up to `timeout_ms` for something to happen, reaps, starts again what is due.
  void attend(int timeout_ms);

  /// attend() until `done`. An error when a child dies again and again (its last death), when the
  /// supervisor is asked to stop, or after `timeout_ms` (-1: never).
  Status attend_until(const std::function<bool()>& done, const std::string& what,
                      int timeout_ms = -1);

  /// A child dies again and again, or there is none.
  [[nodiscard]] bool hopeless() const;
  [[nodiscard]] bool stop_requested() const { return stop_requested_; }
  [[nodiscard]] std::optional<pid_t> pid(const std::string& name) const;

  /// Sends `signal` to all whose name begins with `prefix`, and waits up to `timeout_ms` for their
  /// end; kills who is still there. True: all exited with 0. They are not started again.
  bool stop(const std::string& prefix, int signal, int timeout_ms);

 private:
  struct Place {
    std::string name;
    ChildCommand command;
    std::optional<Child> child;
    Backoff backoff;
    std::int64_t started_ns = 0;
    std::int64_t restart_at_ns = 0;
    std::string last_death;
  };
  void reap(Place& place);
  void restart(Place& place);
  void take_signals();

  std::vector<std::unique_ptr<Place>> places_;
  Descriptor signals_;
  bool stop_requested_ = false;
  std::function<void()> on_pass_ = [] {};
  std::function<void(const std::string&)> on_death_ = [](const std::string&) {};
  std::function<void(const std::string&)> on_start_ = [](const std::string&) {};
};

}  // namespace deja
