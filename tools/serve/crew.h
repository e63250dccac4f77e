// The processes of an appliance and how they are kept alive: a dead one is started again
// (backoff.h) and said so on stderr; one that hangs is killed first, never stolen from; all are
// asked to stop in order, and killed when they do not. Who is there already, because a supervisor
// before this one was killed, is adopted. Signals that ask the supervisor to stop (TERM, INT) or to
// reload (HUP) arrive here too, as flags. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shm/mapped_file.h"
#include "tools/serve/backoff.h"
#include "tools/serve/child.h"
#include "tools/serve/pulse.h"

namespace deja {

/// A place in the crew and how it is filled.
struct Post {
  std::string name;
  /// What to run, asked before each start. EAGAIN: it can't be said yet, and is asked again until
  /// then. `predecessor_hung`: who had the place was killed for hanging.
  std::function<Result<ChildCommand>(bool predecessor_hung)> command;
  /// Who has the place already, 0: nobody. Asked before each start; empty: nobody ever.
  std::function<pid_t()> holder;
  /// Its process file (shm/process_file.h), whose heartbeat is watched; empty: not watched.
  std::string process_file;
  PulseBounds bounds;
};

class Crew {
 public:
  /// Deaths in a row after which a start-up is given up.
  static constexpr int kFailuresMax = 4;

  /// Blocks TERM, INT and HUP in this thread and receives them through a descriptor. Buries what a
  /// program before this one in the same process had started and nobody waited for.
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

  /// Adopts who has the post, else starts one (where it can't be said yet what to run: as soon as
  /// it can), and keeps it filled from now on.
  Status fill(Post post);
  /// Adopts who has the post; starts nobody. False: nobody had it.
  bool adopt(Post post);

  /// Waits up to `timeout_ms` for something to happen, reaps, kills who hangs, starts again what is
  /// due.
  void attend(int timeout_ms);

  /// attend() until `done`. An error when a child dies again and again (its last death), when the
  /// supervisor is asked to stop, or after `timeout_ms` (-1: never).
  Status attend_until(const std::function<bool()>& done, const std::string& what,
                      int timeout_ms = -1);

  /// A child dies again and again, or there is none.
  [[nodiscard]] bool hopeless() const;
  /// Every watched child shows signs of life, or has not been missing for longer than a start may
  /// take. Not so: one hangs and its kill does nothing, or one can't be started any more.
  [[nodiscard]] bool alive() const;
  [[nodiscard]] bool stop_requested() const { return stop_requested_; }
  /// Whether a reload was asked for since the last call.
  [[nodiscard]] bool take_reload_request() { return std::exchange(reload_requested_, false); }
  [[nodiscard]] std::optional<pid_t> pid(const std::string& name) const;
  /// Who has the post gets `signal`, and another is started in its place; no death is counted.
  void replace(const std::string& name, int signal);
  /// All posts by name.
  [[nodiscard]] std::vector<std::string> names() const;
  /// The post is filled by a process of an earlier supervisor's.
  [[nodiscard]] bool adopted(const std::string& name) const;

  /// Sends `signal` to all whose name begins with `prefix`, and waits up to `timeout_ms` for their
  /// end; kills who is still there. They are not started again. The worst of their exits: unclean
  /// before unknown before clean.
  Child::Exit stop(const std::string& prefix, int signal, int timeout_ms);

 private:
  struct Place {
    Post post;
    std::optional<Child> child;
    Backoff backoff;
    std::optional<MappedFile> process;
    Pulse pulse;
    bool replaced = false;  ///< its holder was asked to end, so that another is started
    bool hung = false;      ///< its last holder, or the one at hand, was killed for hanging
    std::int64_t started_ns = 0;
    std::int64_t ended_ns = 0;  ///< since when nobody fills it
    std::int64_t restart_at_ns = 0;
    std::string last_death;
  };
  void settle(Place& place, Child child);
  bool adopt_holder(Place& place);
  Status launch(Place& place);
  void reap(Place& place);
  void watch(Place& place);
  void restart(Place& place);
  void take_signals();
  Child::Exit end_of(Place& place, std::int64_t deadline_ns, int timeout_ms);

  std::vector<std::unique_ptr<Place>> places_;
  Descriptor signals_;
  bool stop_requested_ = false;
  bool reload_requested_ = false;
  std::function<void()> on_pass_ = [] {};
  std::function<void(const std::string&)> on_death_ = [](const std::string&) {};
  std::function<void(const std::string&)> on_start_ = [](const std::string&) {};
};

}  // namespace deja
