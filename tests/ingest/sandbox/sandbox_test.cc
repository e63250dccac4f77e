#include "ingest/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <latch>
#include <thread>
#include <vector>

#include "ingest/loop_uring.h"
#include "shm/base/check.h"

namespace deja {

/// Submits through a product's ring what the product never submits.
class UringRingPeer {
 public:
  static int open(UringRing& ring, const char* path) { return open(ring.ring_, path); }
  static int open(io_uring& ring, const char* path) {
    io_uring_sqe* entry = io_uring_get_sqe(&ring);
    io_uring_prep_openat(entry, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    entry->user_data = 1;
    io_uring_cqe* completion = nullptr;
    if (const int failed = io_uring_submit_and_wait(&ring, 1); failed < 0) return failed;
    if (const int failed = io_uring_peek_cqe(&ring, &completion); failed < 0) return failed;
    const int result = completion->res;
    io_uring_cqe_seen(&ring, completion);
    return result;
  }
  static int registered(UringRing& ring, unsigned operation) {
    std::array<std::uint32_t, 2> none{};
    return syscall(__NR_io_uring_register, ring.ring_.ring_fd, operation, none.data(), 1) == 0
               ? 0
               : -errno;
  }
};

namespace {

constexpr const char* kFile = "/proc/self/exe";  // readable by everybody

/// What `call` returned: 0 or a descriptor, or -errno.
int said(long result) {
  return result >= 0 ? static_cast<int>(result) : -errno;
}
int open_by_system_call() {
  return said(syscall(SYS_openat, AT_FDCWD, kFile, O_RDONLY | O_CLOEXEC, 0));
}

using Numbers = std::array<int, 24>;

/// Runs `work` in a child of its own (a sandbox is for good) and brings back what it wrote.
/// `status` is how it ended, as of waitpid().
Numbers in_a_child(const std::function<void(Numbers&)>& work, int* status = nullptr) {
  auto* shared = static_cast<Numbers*>(
      mmap(nullptr, sizeof(Numbers), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  CHECK(shared != MAP_FAILED);
  const pid_t child = fork();
  if (child == 0) {
    work(*shared);
    _exit(0);
  }
  int ended = 0;
  CHECK(waitpid(child, &ended, 0) == child);
  if (status != nullptr) {
    *status = ended;
  } else {
    EXPECT_TRUE(WIFEXITED(ended) && WEXITSTATUS(ended) == 0) << "ended with " << ended;
  }
  const Numbers numbers = *shared;
  munmap(shared, sizeof(Numbers));
  return numbers;
}

#define SKIP_WITHOUT_FILTER() \
  if (!kFiltersSyscalls) GTEST_SKIP() << "skipped: a sanitizer's build has no filter"
#define SKIP_WITHOUT_URING() \
  if (try_io_uring() != 0) GTEST_SKIP() << "skipped: " << io_refusal(try_io_uring())

TEST(Sandbox, OpensNoFileByASystemCallNorThroughTheRing) {
  SKIP_WITHOUT_FILTER();
  SKIP_WITHOUT_URING();
  const Numbers found = in_a_child([](Numbers& into) {
    auto ring = UringRing::create({});
    CHECK(ring.ok() && (*ring)->enable().ok());
    CHECK(filter_syscalls().ok());
    into[0] = open_by_system_call();
    into[1] = UringRingPeer::open(**ring, kFile);
  });
  EXPECT_EQ(found[0], -EPERM);
  EXPECT_EQ(found[1], -EACCES);
}

TEST(Sandbox, ItsFilterAloneWouldLetARingOpenFiles) {
  SKIP_WITHOUT_FILTER();
  SKIP_WITHOUT_URING();
  const Numbers found = in_a_child([](Numbers& into) {
    io_uring ring{};
    CHECK(io_uring_queue_init(8, &ring, 0) == 0);
    CHECK(filter_syscalls().ok());
    into[0] = open_by_system_call();
    into[1] = UringRingPeer::open(ring, kFile);
  });
  EXPECT_EQ(found[0], -EPERM);
  EXPECT_GE(found[1], 0);
}

TEST(Sandbox, TheRingAloneRefusesToo) {
  SKIP_WITHOUT_URING();
  const Numbers found = in_a_child([](Numbers& into) {
    auto ring = UringRing::create({});
    CHECK(ring.ok() && (*ring)->enable().ok());
    into[0] = open_by_system_call();
    into[1] = UringRingPeer::open(**ring, kFile);
    into[2] = UringRingPeer::registered(**ring, IORING_REGISTER_FILES);
    into[3] = UringRingPeer::registered(**ring, IORING_REGISTER_RESTRICTIONS);
  });
  EXPECT_GE(found[0], 0);
  EXPECT_EQ(found[1], -EACCES);
  EXPECT_EQ(found[2], -EACCES);
  EXPECT_LT(found[3], 0);  // what is restricted stays so
}

TEST(Sandbox, HoldsForThreadsThatWereThereBefore) {
  SKIP_WITHOUT_FILTER();
  const Numbers found = in_a_child([](Numbers& into) {
    std::latch started(1);
    std::latch sealed(1);
    std::thread other([&] {
      started.count_down();  // past its own beginning, which needs calls that are refused later
      sealed.wait();
      into[0] = open_by_system_call();
    });
    started.wait();
    CHECK(filter_syscalls().ok());
    sealed.count_down();
    other.join();
  });
  EXPECT_EQ(found[0], -EPERM);
}

/// What a process that somebody took over would try next.
std::vector<std::function<long()>> hostile_calls(int socket_descriptor) {
  return {
      [] { return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0); },
      [=] { return syscall(SYS_connect, socket_descriptor, nullptr, 0); },
      [=] { return syscall(SYS_bind, socket_descriptor, nullptr, 0); },
      [=] { return syscall(SYS_sendmsg, socket_descriptor, nullptr, 0); },
      [] { return syscall(SYS_execve, "/bin/true", nullptr, nullptr); },
      [] { return syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr); },
      [] { return syscall(SYS_ptrace, PTRACE_TRACEME, 0, nullptr, nullptr); },
      [] { return syscall(SYS_process_vm_readv, getppid(), nullptr, 0, nullptr, 0, 0); },
      [] { return syscall(SYS_process_vm_writev, getppid(), nullptr, 0, nullptr, 0, 0); },
      [] { return syscall(SYS_kill, 1, 0); },
      [] { return syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, nullptr); },
      [] { return syscall(SYS_unlinkat, AT_FDCWD, "/dev/shm/deja-not-there", 0); },
      [] { return syscall(SYS_ftruncate, 0, 0); },
      [] { return syscall(SYS_setresuid, 0, 0, 0); },
      [] { return syscall(SYS_io_uring_setup, 8, nullptr); },
      [] { return syscall(SYS_io_uring_register, 0, 0, nullptr, 0); },
      [] { return syscall(SYS_bpf, 0, nullptr, 0); },
      [] { return syscall(SYS_prctl, 1, 0, 0, 0, 0); },
      [] {
        return syscall(SYS_mmap, nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                       -1, 0);
      },
      [=] { return syscall(SYS_mmap, nullptr, 4096, PROT_READ, MAP_SHARED, socket_descriptor, 0); },
      [] { return syscall(SYS_mprotect, nullptr, 4096, PROT_EXEC); },
  };
}

TEST(Sandbox, RefusesWhatServingDoesNotNeed) {
  SKIP_WITHOUT_FILTER();
  const std::size_t count = hostile_calls(-1).size();
  const Numbers found = in_a_child([](Numbers& into) {
    const int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(filter_syscalls().ok());
    std::size_t at = 0;
    for (const auto& call : hostile_calls(descriptor)) into[at++] = said(call());
  });
  ASSERT_LE(count, found.size());
  for (std::size_t at = 0; at < count; ++at) EXPECT_EQ(found[at], -EPERM) << "call " << at;
}

TEST(Sandbox, LeavesMemoryAndAnAbort) {
  SKIP_WITHOUT_FILTER();
  int status = 0;
  const Numbers found = in_a_child(
      [](Numbers& into) {
        CHECK(filter_syscalls().ok());
        std::vector<std::vector<char>> blocks;
        for (std::size_t at = 0; at < 64; ++at) blocks.emplace_back(1 << 20, 'x');
        into[0] = blocks.back().back();
        std::abort();
      },
      &status);
  EXPECT_EQ(found[0], 'x');
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << status;
}

TEST(Sandbox, BecomesAnotherUserForGood) {
  if (geteuid() != 0) GTEST_SKIP() << "skipped: only root can become another user";
  char path[] = "/dev/shm/deja-sandbox-XXXXXX";
  const int file = mkstemp(path);
  CHECK(file >= 0);
  const Numbers found = in_a_child([&path](Numbers& into) {
    into[0] = said(open(path, O_RDONLY));
    CHECK(become_user(65'534, 65'533).ok());
    into[1] = static_cast<int>(getuid());
    into[2] = static_cast<int>(getegid());
    into[3] = getgroups(0, nullptr);
    into[4] = said(setuid(0));
    into[5] = said(setgid(0));
    into[6] = said(open(path, O_RDONLY));
  });
  close(file);
  unlink(path);
  EXPECT_GE(found[0], 0);
  EXPECT_EQ(found[1], 65'534);
  EXPECT_EQ(found[2], 65'533);
  EXPECT_EQ(found[3], 0);
  EXPECT_EQ(found[4], -EPERM);
  EXPECT_EQ(found[5], -EPERM);
  EXPECT_EQ(found[6], -EACCES);
}

}  // namespace
}  // namespace deja
