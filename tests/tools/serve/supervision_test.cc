#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
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

TEST(Backoff, DoublesUpToItsLongestAndBeginsAnewAfterALongLife) {
  Backoff backoff;
  EXPECT_EQ(backoff.next_ns(0), Backoff::kFirstNs);
  EXPECT_EQ(backoff.next_ns(0), 2 * Backoff::kFirstNs);
  for (int death = 0; death < 20; ++death) static_cast<void>(backoff.next_ns(0));
  EXPECT_EQ(backoff.next_ns(0), Backoff::kLongestNs);
  EXPECT_GT(backoff.failures(), 20);
  EXPECT_EQ(backoff.next_ns(Backoff::kLivedWellNs), Backoff::kFirstNs);
  EXPECT_EQ(backoff.failures(), 1);
}

TEST(Child, TellsHowItEnded) {
  Child::End end;
  auto good = Child::start({"true", {}, {}, SIGKILL});
  ASSERT_TRUE(good.ok());
  ASSERT_TRUE(good->wait(10'000, end));
  EXPECT_TRUE(end.clean);
  auto bad = Child::start({"sh", {"-c", "exit 7"}, {}, SIGKILL});
  ASSERT_TRUE(bad->wait(10'000, end));
  EXPECT_FALSE(end.clean);
  EXPECT_EQ(end.how, "exited with 7");
  auto killed = Child::start({"sleep", {"60"}, {}, SIGKILL});
  EXPECT_FALSE(killed->wait(0, end));
  killed->signal(SIGKILL);
  ASSERT_TRUE(killed->wait(10'000, end));
  EXPECT_EQ(end.how, "was killed by signal 9 (Killed)");
}

TEST(Child, OfAProgramThatIsNotThereIsAnError) {
  const auto child = Child::start({"/nowhere/deja-ingest", {}, {}, SIGKILL});
  ASSERT_FALSE(child.ok());
  EXPECT_EQ(child.error().error_number, ENOENT);
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
