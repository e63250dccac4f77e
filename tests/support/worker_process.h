// A worker in a process of its own, which dies at a crash point: the test's program runs itself. A
// crash point reads its environment once, hence not simply a fork. Test code; header only; the
// program has the test "WorkerCrash.IsAWorkerWhereItIsAskedToBe", which calls
// be_a_worker_if_asked().
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "workers/worker.h"

namespace deja {

inline constexpr const char* kSegmentVariable = "DEJA_TEST_WORKER_SEGMENT";

/// Never returns where the program was started as a worker.
inline void be_a_worker_if_asked() {
  const char* directory = std::getenv(kSegmentVariable);
  if (directory == nullptr) return;
  const Result<Segment> segment = Segment::open(directory);
  if (!segment.ok()) _exit(3);
  auto worker = Worker::attach(*segment, 0);
  if (!worker.ok()) {
    std::fprintf(stderr, "%s\n", worker.error().message().c_str());
    _exit(4);
  }
  const std::atomic<bool> finish{true};
  _exit((*worker)->run(finish).ok() ? 0 : 6);
}

struct WorkerProcess {
  std::string segment_directory;
  std::string point;  ///< empty: it lives till its rings are empty
  std::uint64_t passes = 0;

  /// Runs till it has emptied its rings or is dead: the signal that it died of, or 0.
  [[nodiscard]] int run() const {
    const std::string pass_count = std::to_string(passes);
    const pid_t child = fork();
    if (child == 0) {
      setenv(kSegmentVariable, segment_directory.c_str(), 1);
      if (!point.empty()) setenv("DEJA_CRASH_POINT", point.c_str(), 1);
      setenv("DEJA_CRASH_AFTER", pass_count.c_str(), 1);
      execl("/proc/self/exe", "worker", "--gtest_filter=WorkerCrash.IsAWorkerWhereItIsAskedToBe",
            "--gtest_brief=1", nullptr);
      _exit(5);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) return WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0) << point;
    return 0;
  }
};

}  // namespace deja
