// A keeper as a process of its own, with crash points of its own. Test code.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/workers/keeper/test_appliance.h"

namespace deja {

inline constexpr const char* kSegmentVariable = "DEJA_TEST_KEEPER_SEGMENT";

/// Starts this very program again as a keeper: a process with crash points of its own.
inline pid_t start_keeper_process(const KeeperAppliance& appliance, const char* crash_point) {
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setenv(kSegmentVariable, appliance.segment_directory().c_str(), 1);
  if (crash_point != nullptr) setenv("DEJA_CRASH_POINT", crash_point, 1);
  for (const char* name : {"GTEST_SHARD_INDEX", "GTEST_TOTAL_SHARDS"}) unsetenv(name);
  execl("/proc/self/exe", "keeper", "--gtest_also_run_disabled_tests", "--gtest_brief=1",
        "--gtest_filter=KeeperProcess.DISABLED_IsTheKeeperProcess", nullptr);
  _exit(127);
}

inline int ended_by(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace deja
