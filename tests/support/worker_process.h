// A worker in a process of its own, which dies at a crash point: the test's program runs itself. A
// crash point reads its environment once, hence not simply a fork. Test code; header only; the
// program has the test "WorkerCrash.IsAWorkerWhereItIsAskedToBe", which calls
// be_a_worker_if_asked().
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "workers/worker.h"

namespace deja {

inline constexpr const char* kSegmentVariable = "DEJA_TEST_WORKER_SEGMENT";
inline constexpr const char* kHungVariable = "DEJA_TEST_PREDECESSOR_HUNG";

/// Never returns where the program was started as a worker.
inline void be_a_worker_if_asked() {
  const char* directory = std::getenv(kSegmentVariable);
  if (directory == nullptr) return;
  install_fault_handler();
  const Result<Segment> segment = Segment::open(directory);
  if (!segment.ok()) _exit(3);
  auto worker = Worker::attach(*segment, 0, {std::getenv(kHungVariable) != nullptr});
  if (!worker.ok()) {
    std::fprintf(stderr, "%s\n", worker.error().message().c_str());
    _exit(4);
  }
  const std::atomic<bool> finish{true};
  _exit((*worker)->run(finish).ok() ? 0 : 6);
}

struct WorkerProcess {
  std::string segment_directory;
  std::string point = {};  ///< empty: it lives till its rings are empty
  std::uint64_t passes = 0;
  std::string signal = {};  ///< as crash_point.h has them; empty: KILL
  std::string key = {};     ///< of the user who counts, at a point for somebody
  bool predecessor_hung = false;
  int sent_while_stopped = SIGKILL;  ///< what a worker gets that stopped

  /// Runs till it has emptied its rings or is dead: the signal that it died of, or 0.
  [[nodiscard]] int run() const {
    const std::string pass_count = std::to_string(passes);
    const pid_t child = fork();
    if (child == 0) {
      const rlimit no_core{0, 0};
      setrlimit(RLIMIT_CORE, &no_core);
      setenv(kSegmentVariable, segment_directory.c_str(), 1);
      if (!point.empty()) setenv("DEJA_CRASH_POINT", point.c_str(), 1);
      if (!signal.empty()) setenv("DEJA_CRASH_SIGNAL", signal.c_str(), 1);
      if (!key.empty()) setenv("DEJA_CRASH_KEY", key.c_str(), 1);
      if (predecessor_hung) setenv(kHungVariable, "1", 1);
      setenv("DEJA_CRASH_AFTER", pass_count.c_str(), 1);
      execl("/proc/self/exe", "worker", "--gtest_filter=WorkerCrash.IsAWorkerWhereItIsAskedToBe",
            "--gtest_brief=1", nullptr);
      _exit(5);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, WUNTRACED), child);
    if (WIFSTOPPED(status)) {
      kill(child, sent_while_stopped);
      kill(child, SIGCONT);
      EXPECT_EQ(waitpid(child, &status, 0), child);
    }
    if (WIFSIGNALED(status)) return WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0) << point;
    return 0;
  }
};

}  // namespace deja
