#include "ingest/sandbox.h"

#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace deja {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "name this architecture's AUDIT_ARCH_"
#endif

/// Whatever its arguments are.
constexpr std::uint32_t kAllowed[] = {
    // The loop: io_uring's one call and what a spinning loop reads itself, or epoll and what a ring
    // would do.
    __NR_io_uring_enter,
    __NR_epoll_ctl,
    __NR_epoll_pwait,
    __NR_accept4,
    __NR_recvfrom,
    __NR_sendto,
    __NR_shutdown,
    __NR_close,
    // Bells, and lines on stderr.
    __NR_read,
    __NR_write,
    __NR_writev,
    // What is said to and asked of a connection.
    __NR_setsockopt,
    __NR_getsockopt,
    __NR_getpeername,
    __NR_getsockname,
    // Memory; mmap and mprotect are below.
    __NR_munmap,
    __NR_madvise,
    __NR_brk,
    // Threads, time, signals, the end.
    __NR_futex,
    __NR_sched_yield,
    __NR_nanosleep,
    __NR_clock_nanosleep,
    __NR_clock_gettime,
    __NR_clock_getres,
    __NR_gettimeofday,
    __NR_getpid,
    __NR_gettid,
    __NR_getrandom,
    __NR_rt_sigaction,
    __NR_rt_sigprocmask,
    __NR_rt_sigreturn,
    __NR_restart_syscall,
    __NR_exit,
    __NR_exit_group,
#ifdef __NR_epoll_wait
    __NR_epoll_wait,
#endif
};

/// (argument & mask) == value, of its lower half: all that is looked at are ints.
struct Condition {
  unsigned argument;
  std::uint32_t mask;
  std::uint32_t value;
};

class Filter {
 public:
  Filter() {
    load(offsetof(seccomp_data, arch));
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0));
    end(SECCOMP_RET_KILL_PROCESS);
    load(offsetof(seccomp_data, nr));
  }
  void allow(std::uint32_t number) { allow(number, {}); }
  void allow(std::uint32_t number, std::initializer_list<Condition> conditions) {
    // load, and, compare, refuse: 4 for each condition; then the yes.
    const auto length = static_cast<std::uint8_t>(conditions.size() * 4 + 1);
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, length));
    for (const Condition& condition : conditions) {
      load(offsetof(seccomp_data, args) + condition.argument * sizeof(std::uint64_t));
      code_.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, condition.mask));
      code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, condition.value, 1, 0));
      refuse();
    }
    end(SECCOMP_RET_ALLOW);
  }
  void refuse() { end(SECCOMP_RET_ERRNO | (EPERM & SECCOMP_RET_DATA)); }

  [[nodiscard]] sock_fprog program() {
    return {static_cast<unsigned short>(code_.size()), code_.data()};
  }

 private:
  void load(std::size_t offset) {
    code_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
  }
  void end(std::uint32_t action) { code_.push_back(BPF_STMT(BPF_RET | BPF_K, action)); }

  std::vector<sock_filter> code_;
};

}  // namespace

Status become_user(uid_t user, gid_t group) {
  if (getuid() == user && geteuid() == user && getgid() == group && getegid() == group) {
    return Done{};
  }
  const std::string name = std::to_string(user) + ":" + std::to_string(group);
  // Root's capabilities go with its last user id.
  if (setgroups(0, nullptr) != 0 || setresgid(group, group, group) != 0 ||
      setresuid(user, user, user) != 0) {
    return system_error("become the user " + name,
                        "[appliance] ingest_user needs deja serve as root");
  }
  if (setuid(0) == 0 && user != 0) {
    return Error{"become the user " + name + ": the way back is open", 0, ""};
  }
  return Done{};
}

Status filter_syscalls() {
  if (!kFiltersSyscalls) return Error{"filter system calls: this build goes without", 0, ""};
  Filter filter;
  for (const std::uint32_t number : kAllowed) filter.allow(number);
  // Memory of its own, never code, never a file.
  filter.allow(__NR_mmap, {{2, PROT_EXEC, 0}, {3, MAP_ANONYMOUS, MAP_ANONYMOUS}});
  filter.allow(__NR_mprotect, {{2, PROT_EXEC, 0}});
  // A signal to itself: abort(), and a test's crash point.
  const auto self = static_cast<std::uint32_t>(getpid());
  filter.allow(__NR_kill, {{0, ~std::uint32_t{0}, self}});
  filter.allow(__NR_tgkill, {{0, ~std::uint32_t{0}, self}});
  filter.refuse();

  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return system_error("set no_new_privs");
  const sock_fprog program = filter.program();
  const long result =
      syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  if (result > 0) return Error{"filter the system calls of all threads", 0, ""};
  if (result < 0)
    return system_error("filter system calls", "The kernel needs CONFIG_SECCOMP_FILTER");
  return Done{};
}

}  // namespace deja
