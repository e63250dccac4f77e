// One child process: started, watched by its pidfd, asked to stop, reaped. A child lives in a
// process group of its own (a terminal's Ctrl-C reaches the supervisor alone, which stops everybody
// in order) and dies with the supervisor (PDEATHSIG). The thread that starts children must be the
// one that lives as long as the supervisor does.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "shm/base/result.h"
#include "tools/serve/descriptor.h"

namespace deja {

struct ChildCommand {
  std::string program;  ///< a path; without "/" looked up in PATH
  std::vector<std::string> arguments;
  std::vector<int> inherited;  ///< descriptors that stay open, under the same numbers
  int death_signal = 9;        ///< what it gets when the supervisor dies
};

class Child {
 public:
  [[nodiscard]] static Result<Child> start(const ChildCommand& command);

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Readable once the process has ended.
  [[nodiscard]] int descriptor() const { return pidfd_.number(); }
  void signal(int number) const;
  /// Reaps it when it has ended; `how` says how ("was killed by signal 9 (Killed)"). `clean`: it
  /// exited with 0.
  struct End {
    bool clean = false;
    std::string how;
  };
  [[nodiscard]] bool ended(End& end);
  /// Waits up to `timeout_ms` for its end.
  [[nodiscard]] bool wait(int timeout_ms, End& end);

 private:
  Child(pid_t pid, Descriptor pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  pid_t pid_;
  Descriptor pidfd_;
};

/// The folder of our own programs: DEJA_LIBEXEC, or where this one lies.
[[nodiscard]] std::string program_folder();

}  // namespace deja
