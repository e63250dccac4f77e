#include "tools/serve/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstdlib>
#include <cstring>

namespace deja {
namespace {

/// In the child, between fork and exec: only what is safe there.
[[noreturn]] void become(const ChildCommand& command, char* const* arguments, pid_t parent,
                         int failure_descriptor) {
  setpgid(0, 0);
  if (getppid() != parent) _exit(127);  // the supervisor died in between: its successor starts one
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGHUP}) ::signal(number, SIG_DFL);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null >= 0) dup2(null, STDIN_FILENO);
  if (command.output >= 0) {
    dup2(command.output, STDOUT_FILENO);
    dup2(command.output, STDERR_FILENO);
  }
  for (const int descriptor : command.inherited) fcntl(descriptor, F_SETFD, 0);
  execvp(command.program.c_str(), arguments);
  const int reason = errno;
  static_cast<void>(!write(failure_descriptor, &reason, sizeof reason));
  _exit(127);
}

std::string describe(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return "exited with " + std::to_string(info.si_status);
  return "was killed by signal " + std::to_string(info.si_status) + " (" +
         strsignal(info.si_status) + ")";
}

Descriptor open_pidfd(pid_t pid) {
  Descriptor pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (pidfd.open()) fcntl(pidfd.number(), F_SETFD, FD_CLOEXEC);
  return pidfd;
}

}  // namespace

Result<Child> Child::start(const ChildCommand& command) {
  std::vector<char*> arguments;
  arguments.push_back(const_cast<char*>(command.program.c_str()));
  for (const std::string& argument : command.arguments) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);

  // Closed by a successful exec, or brings the errno of a failed one.
  int failure[2];
  if (pipe2(failure, O_CLOEXEC) != 0) return system_error("make a pipe for a child");
  const Descriptor failure_read(failure[0]);
  Descriptor failure_write(failure[1]);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return system_error("start " + command.program);
  if (pid == 0) become(command, arguments.data(), parent, failure[1]);
  failure_write.reset();

  Descriptor pidfd = open_pidfd(pid);
  const int pidfd_error = errno;
  int reason = 0;
  if (read(failure_read.number(), &reason, sizeof reason) == sizeof reason) {
    waitpid(pid, nullptr, 0);
    return Error{"start " + command.program, reason,
                 "Install it, or set DEJA_LIBEXEC to the folder of Deja's programs"};
  }
  if (!pidfd.open()) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return Error{"watch " + command.program, pidfd_error, "A kernel of 5.4 or newer is needed"};
  }
  return Child(pid, std::move(pidfd), false);
}

std::optional<Child> Child::adopt(const std::function<pid_t()>& holder) {
  constexpr int kAttempts = 100;  // holders may change while we look, but not for ever
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const pid_t pid = holder();
    if (pid <= 0) return std::nullopt;
    Descriptor pidfd = open_pidfd(pid);
    if (!pidfd.open() || holder() != pid) continue;
    // A program before this one in the same process may have started it: then it is our child.
    siginfo_t info{};
    const bool ours =
        waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
    return Child(pid, std::move(pidfd), !ours);
  }
  return std::nullopt;
}

void Child::signal(int number) const {
  syscall(SYS_pidfd_send_signal, pidfd_.number(), number, nullptr, 0);
}

bool Child::ended(End& end) {
  if (adopted_) {
    pollfd entry{pidfd_.number(), POLLIN, 0};
    if (poll(&entry, 1, 0) != 1) return false;
    end = {Exit::kUnknown, "ended (it was adopted: how is not known)"};
    return true;
  }
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) {
    return false;
  }
  const bool clean = info.si_code == CLD_EXITED && info.si_status == 0;
  end = {clean ? Exit::kClean : Exit::kUnclean, describe(info)};
  return true;
}

bool Child::wait(int timeout_ms, End& end) {
  pollfd entry{pidfd_.number(), POLLIN, 0};
  static_cast<void>(poll(&entry, 1, timeout_ms));
  return ended(end);
}

std::string program_folder() {
  if (const char* folder = std::getenv("DEJA_LIBEXEC")) return folder;
  char path[4096];
  const ssize_t bytes = readlink("/proc/self/exe", path, sizeof path);
  if (bytes <= 0) return ".";
  const std::string whole(path, static_cast<std::size_t>(bytes));
  return whole.substr(0, whole.rfind('/'));
}

}  // namespace deja
