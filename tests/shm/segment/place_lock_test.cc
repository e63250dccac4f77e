#include "shm/place_lock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

namespace deja {
namespace {

class PlaceLockTest : public testing::Test {
 protected:
  void TearDown() override { unlink(path_.c_str()); }

  /// In a process of its own, since a process never meets its own lock.
  static bool elsewhere(const std::function<bool()>& holds) {
    const pid_t other = fork();
    if (other == 0) _exit(holds() ? 0 : 1);
    int status = -1;
    waitpid(other, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  std::string path_ = testing::TempDir() + "place_lock_test_" + std::to_string(getpid());
};

TEST_F(PlaceLockTest, IsOneProcesssAndNamesIt) {
  auto place = PlaceLock::take(path_);
  ASSERT_TRUE(place.ok());
  EXPECT_TRUE(elsewhere([&] {
    const auto second = PlaceLock::take(path_);
    return !second.ok() && second.error().error_number == EAGAIN &&
           second.error().message().find(std::to_string(getppid())) != std::string::npos;
  }));
  EXPECT_TRUE(elsewhere([&] { return PlaceLock::holder(path_) == getppid(); }));
}

TEST_F(PlaceLockTest, GoesWithItsProcessHoweverItDies) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t owner = fork();
  if (owner == 0) {
    const auto place = PlaceLock::take(path_);
    static_cast<void>(!write(ready[1], "x", 1));
    for (;;) pause();
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_EQ(PlaceLock::holder(path_), owner);
  EXPECT_FALSE(PlaceLock::take(path_).ok());
  kill(owner, SIGKILL);
  waitpid(owner, nullptr, 0);
  EXPECT_EQ(PlaceLock::holder(path_), 0);
  EXPECT_TRUE(PlaceLock::take(path_).ok());
}

TEST_F(PlaceLockTest, OnAFileThatWasRemovedCountsForNobody) {
  auto place = PlaceLock::take(path_);
  ASSERT_TRUE(place.ok());
  unlink(path_.c_str());
  EXPECT_EQ(PlaceLock::holder(path_), 0);
  EXPECT_TRUE(elsewhere([&] { return PlaceLock::take(path_).ok(); }));
}

}  // namespace
}  // namespace deja
