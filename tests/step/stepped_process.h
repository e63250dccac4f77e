// A child that is run one instruction at a time. It shares the parent's shared mappings and nothing
// else, so what the parent sees there after a step is what a kill behind that instruction leaves.
// Test code; header only; one thread.
#pragma once

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <optional>

#include "shm/base/check.h"

namespace deja {

class SteppedProcess {
 public:
  /// Forks; the child runs `body` and calls stop_here() twice: where the steps begin and where they
  /// end. It stands at the first when the constructor returns.
  template <typename Body>
  explicit SteppedProcess(Body&& body) : child_(fork()) {
    CHECK(child_ >= 0);
    if (child_ == 0) {
      CHECK(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0);
      body();
      _exit(0);
    }
    CHECK(wait_stop() == SIGSTOP);
    // Nobody is left behind when the test itself dies.
    CHECK(ptrace(PTRACE_SETOPTIONS, child_, nullptr, PTRACE_O_EXITKILL) == 0);
  }
  ~SteppedProcess() { kill_it(); }
  SteppedProcess(const SteppedProcess&) = delete;
  SteppedProcess& operator=(const SteppedProcess&) = delete;

  static void stop_here() { raise(SIGSTOP); }

  /// Runs one instruction. False at the second stop: there is nothing left to step through.
  [[nodiscard]] bool step() {
    CHECK(ptrace(PTRACE_SINGLESTEP, child_, nullptr, nullptr) == 0);
    const int signal = wait_stop();
    CHECK(signal == SIGTRAP || signal == SIGSTOP);
    return signal == SIGTRAP;
  }
  /// Runs to the entry of, or the return from, its next system call. False at the second stop.
  [[nodiscard]] bool run_to_system_call() {
    CHECK(ptrace(PTRACE_SYSCALL, child_, nullptr, nullptr) == 0);
    return wait_stop() == SIGTRAP;
  }

  struct SystemCall {
    long number = 0;
    long result = 0;
    unsigned long first = 0;  ///< argument
  };
  /// The system call that the last step was, if it was one.
  [[nodiscard]] std::optional<SystemCall> system_call() const {
    user_regs_struct registers{};
    CHECK(ptrace(PTRACE_GETREGS, child_, nullptr, &registers) == 0);
    const auto number = static_cast<long>(registers.orig_rax);
    if (number < 0) return std::nullopt;
    return SystemCall{number, static_cast<long>(registers.rax), registers.rdi};
  }
  [[nodiscard]] pid_t pid() const { return child_; }

  /// SIGKILL, as a stranger would. It is gone when this returns.
  void kill_it() {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = -1;
  }

 private:
  /// The signal that it stopped at; 0 where it is gone.
  int wait_stop() {
    int status = 0;
    CHECK(waitpid(child_, &status, 0) == child_);
    return WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
  }

  pid_t child_;
};

}  // namespace deja
