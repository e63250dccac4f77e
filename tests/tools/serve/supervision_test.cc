#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "tools/serve/backoff.h"
#include "tools/serve/child.h"
#include "tools/serve/ingest_user.h"
#include "tools/serve/listening_socket.h"
#include "tools/serve/single_instance.h"
#include "tools/serve/start_report.h"

namespace deja {
namespace {

std::string scratch(const std::string& name) {
  return testing::TempDir() + "serve_test_" + std::to_string(getpid()) + "_" + name;
}

TEST(Backoff, FirstWaitsNotAtAllThenDoublesUpToItsLongest) {
  Backoff backoff;
  EXPECT_EQ(backoff.next_ns(0), 0);
  EXPECT_EQ(backoff.next_ns(0), Backoff::kFirstNs);
  EXPECT_EQ(backoff.next_ns(0), 2 * Backoff::kFirstNs);
  for (int death = 0; death < 20; ++death) static_cast<void>(backoff.next_ns(0));
  EXPECT_EQ(backoff.next_ns(0), Backoff::kLongestNs);
  EXPECT_GT(backoff.failures(), 20);
}

TEST(Backoff, WaitsAnewAfterASecondOfLifeAndForgetsDeathsAfterALongOne) {
  Backoff backoff;
  for (int death = 0; death < 5; ++death) static_cast<void>(backoff.next_ns(0));
  EXPECT_EQ(backoff.next_ns(Backoff::kLivedNs), 0);
  EXPECT_EQ(backoff.failures(), 6);
  EXPECT_EQ(backoff.next_ns(Backoff::kLivedWellNs), 0);
  EXPECT_EQ(backoff.failures(), 1);
}

TEST(Child, TellsHowItEnded) {
  Child::End end;
  auto good = Child::start({"true", {}, {}});
  ASSERT_TRUE(good.ok());
  ASSERT_TRUE(good->wait(10'000, end));
  EXPECT_EQ(end.exit, Child::Exit::kClean);
  auto bad = Child::start({"sh", {"-c", "exit 7"}, {}});
  ASSERT_TRUE(bad->wait(10'000, end));
  EXPECT_EQ(end.exit, Child::Exit::kUnclean);
  EXPECT_EQ(end.how, "exited with 7");
  auto killed = Child::start({"sleep", {"60"}, {}});
  EXPECT_FALSE(killed->wait(0, end));
  killed->signal(SIGKILL);
  ASSERT_TRUE(killed->wait(10'000, end));
  EXPECT_EQ(end.how, "was killed by signal 9 (Killed)");
}

TEST(Child, OfAProgramThatIsNotThereIsAnError) {
  const auto child = Child::start({"/nowhere/deja-ingest", {}, {}});
  ASSERT_FALSE(child.ok());
  EXPECT_EQ(child.error().error_number, ENOENT);
}

/// A process of somebody else's: its parent is not this one. Waits until it runs.
pid_t start_stranger() {
  int report[2];
  if (pipe(report) != 0) return -1;
  const pid_t parent = fork();
  if (parent == 0) {
    const pid_t stranger = fork();
    if (stranger == 0) {
      for (;;) pause();
    }
    static_cast<void>(!write(report[1], &stranger, sizeof stranger));
    _exit(0);
  }
  pid_t stranger = -1;
  static_cast<void>(!read(report[0], &stranger, sizeof stranger));
  waitpid(parent, nullptr, 0);
  close(report[0]);
  close(report[1]);
  return stranger;
}

TEST(Child, AdoptedIsWatchedAndStoppedLikeOneOfOurOwn) {
  const pid_t stranger = start_stranger();
  ASSERT_GT(stranger, 0);
  auto child = Child::adopt([&] { return stranger; });
  ASSERT_TRUE(child.has_value());
  EXPECT_TRUE(child->adopted());
  EXPECT_EQ(child->pid(), stranger);
  Child::End end;
  EXPECT_FALSE(child->wait(0, end));
  child->signal(SIGKILL);
  ASSERT_TRUE(child->wait(10'000, end));
  EXPECT_EQ(end.exit, Child::Exit::kUnknown);
}

TEST(Child, IsNotAdoptedWhenNobodyHasThePlaceOrTheHolderWasAnother) {
  EXPECT_FALSE(Child::adopt([] { return 0; }).has_value());
  EXPECT_FALSE(Child::adopt([] { return -1; }).has_value());
  // Between the two looks the place changed hands: the pidfd may mean anybody.
  const pid_t first = start_stranger();
  const pid_t second = start_stranger();
  int looks = 0;
  auto child = Child::adopt([&] { return ++looks == 1 ? first : second; });
  ASSERT_TRUE(child.has_value());
  EXPECT_EQ(child->pid(), second);
  for (const pid_t pid : {first, second}) kill(pid, SIGKILL);
}

TEST(SingleInstance, RefusesASecondProcessAndNamesTheFirst) {
  const std::string path = scratch("lock");
  auto first = SingleInstance::take(path, "serves \"x\"");
  ASSERT_TRUE(first.ok());
  const pid_t other = fork();
  if (other == 0) {
    const auto second = SingleInstance::take(path, "serves \"x\"");
    const std::string expected = "(process " + std::to_string(getppid()) + ") already serves \"x\"";
    _exit(!second.ok() && second.error().message().find(expected) != std::string::npos ? 0 : 1);
  }
  int status = -1;
  waitpid(other, &status, 0);
  EXPECT_EQ(status, 0);
  unlink(path.c_str());
}

ListenAddress address(const std::string& text) {
  return std::get<ListenAddress>(parse_listen_address(text));
}

TEST(ListeningSocket, TakesAFreePortAndNamesOneInUse) {
  auto first = ListeningSocket::open(address("127.0.0.1:0"));
  ASSERT_TRUE(first.ok()) << first.error().message();
  EXPECT_FALSE(first->address().ends_with(":0"));
  const auto second = ListeningSocket::open(address(first->address()));
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message().find("choose another port"), std::string::npos);
}

TEST(ListeningSocket, NeverTakesOverALivingOneOrAFileAndRemovesItsOwn) {
  const std::string path = scratch("socket");
  {
    auto living = ListeningSocket::open(address("unix:" + path));
    ASSERT_TRUE(living.ok()) << living.error().message();
    EXPECT_FALSE(ListeningSocket::open(address("unix:" + path)).ok());
  }
  struct stat status {};
  EXPECT_NE(stat(path.c_str(), &status), 0) << "its file goes with it";
  std::fclose(std::fopen(path.c_str(), "w"));
  const auto file = ListeningSocket::open(address("unix:" + path));
  ASSERT_FALSE(file.ok());
  EXPECT_NE(file.error().message().find("not a socket"), std::string::npos);
  unlink(path.c_str());
}

TEST(IngestUser, IsLookedUpAndNeedsRootUnlessItIsOurs) {
  EXPECT_EQ(ingest_user("").value(), "");
  const auto nobody_here = ingest_user("no-such-user-here");
  ASSERT_FALSE(nobody_here.ok());
  EXPECT_NE(nobody_here.error().message().find("ingest_user"), std::string::npos);
  const auto root = ingest_user("root");
  ASSERT_EQ(root.ok(), geteuid() == 0);
  if (root.ok()) {
    EXPECT_EQ(root.value(), "0:0");
  } else {
    EXPECT_NE(root.error().message().find("as root"), std::string::npos);
  }
}

TEST(ListeningSocket, RemovesAFileThatNobodyListensOnAndNoOther) {
  const std::string path = scratch("dead");
  const auto exists = [&] {
    struct stat status {};
    return lstat(path.c_str(), &status) == 0;
  };
  {
    auto living = ListeningSocket::open(address("unix:" + path));
    ASSERT_TRUE(living.ok());
    ListeningSocket::remove_dead(address("unix:" + path));
    EXPECT_TRUE(exists());
  }
  const int dead = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof name.sun_path - 1);
  ASSERT_EQ(bind(dead, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  close(dead);
  ListeningSocket::remove_dead(address("unix:" + path));
  EXPECT_FALSE(exists());
  std::fclose(std::fopen(path.c_str(), "w"));
  ListeningSocket::remove_dead(address("unix:" + path));
  EXPECT_TRUE(exists());
  unlink(path.c_str());
}

TEST(ListeningSocket, RemovesTheFileOfOneWhoseSocketOutlivesItForAMoment) {
  // As the kernel keeps the sockets of a dead process's ring for a moment.
  const std::string path = scratch("late");
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto living = ListeningSocket::open(address("unix:" + path));
    if (write(ready[1], "x", 1) != 1) _exit(1);
    usleep(100'000);
    _exit(living.ok() ? 0 : 1);  // without its destructor, as if killed
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ListeningSocket::remove_dead(address("unix:" + path));
  struct stat status {};
  EXPECT_NE(lstat(path.c_str(), &status), 0);
  int how = 0;
  waitpid(child, &how, 0);
  EXPECT_EQ(how, 0);
  close(ready[0]);
  close(ready[1]);
}

TEST(StartReport, IsReadBackAsItWasWritten) {
  const std::string path = scratch("report");
  StartReport report;
  report.http = "127.0.0.1:1";
  report.streams = {"unix:/a b", "127.0.0.1:2"};
  report.features = "keeps a; starts empty: b (new)";
  report.notes = {"huge pages: none"};
  ASSERT_TRUE(report.write(path).ok());
  const auto read = StartReport::read(path);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->http, report.http);
  EXPECT_EQ(read->streams, report.streams);
  EXPECT_EQ(read->console, "");
  EXPECT_EQ(read->features, report.features);
  EXPECT_EQ(read->notes, report.notes);
  unlink(path.c_str());
}

}  // namespace
}  // namespace deja
