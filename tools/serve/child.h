// One process of an appliance: started here, or adopted from a supervisor that was killed; watched
// by its pidfd, asked to stop, and buried where it is our child. It lives in a process group of its
// own (a terminal's Ctrl-C reaches the supervisor alone, which stops everybody in order), and it
// outlives a supervisor that is killed: what an appliance does must not hang on who looks after it.
// One thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "shm/base/descriptor.h"
#include "shm/base/result.h"

namespace deja {

struct ChildCommand {
  std::string program;  ///< a path; without "/" looked up in PATH
  std::vector<std::string> arguments;
  std::vector<int> inherited;  ///< descriptors that stay open, under the same numbers
  int output = -1;             ///< where all it says goes; -1: where ours goes
};

class Child {
 public:
  [[nodiscard]] static Result<Child> start(const ChildCommand& command);

  /// The process that `holder` names (0: none), as though it had been started here. It is asked
  /// again once the pidfd is there: a pid can be used again, a pidfd means one process for ever.
  [[nodiscard]] static std::optional<Child> adopt(const std::function<pid_t()>& holder);

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool adopted() const { return adopted_; }
  /// Readable once the process has ended.
  [[nodiscard]] int descriptor() const { return pidfd_.number(); }
  void signal(int number) const;

  enum class Exit {
    kClean,    ///< with status 0
    kUnclean,  ///< otherwise, or by a signal
    kUnknown,  ///< it was adopted: only its parent is told
  };
  struct End {
    Exit exit = Exit::kUnknown;
    std::string how;  ///< "was killed by signal 9 (Killed)"
  };
  /// Whether it has ended; buries it then.
  [[nodiscard]] bool ended(End& end);
  /// Waits up to `timeout_ms` for its end.
  [[nodiscard]] bool wait(int timeout_ms, End& end);

 private:
  Child(pid_t pid, Descriptor pidfd, bool adopted)
      : pid_(pid), pidfd_(std::move(pidfd)), adopted_(adopted) {}
  pid_t pid_;
  Descriptor pidfd_;
  bool adopted_;
};

/// The folder of our own programs: DEJA_LIBEXEC, or where this one lies.
[[nodiscard]] std::string program_folder();

}  // namespace deja
