#include "tools/serve/watchdog.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "shm/base/clock.h"
#include "shm/base/descriptor.h"
#include "shm/mapped_file.h"
#include "shm/process_file.h"
#include "tools/serve/crew.h"

namespace deja {
namespace {

/// A notification socket as systemd has one; messages are read from it one by one.
class NotifySocket {
 public:
  NotifySocket() : path_(testing::TempDir() + "notify_" + std::to_string(getpid())) {
    unlink(path_.c_str());
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path_.copy(name.sun_path, sizeof name.sun_path - 1);
    descriptor_ = Descriptor(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    EXPECT_EQ(bind(descriptor_.number(), reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
    setenv("NOTIFY_SOCKET", path_.c_str(), 1);
  }
  ~NotifySocket() {
    unsetenv("NOTIFY_SOCKET");
    unlink(path_.c_str());
  }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  /// The next message; empty: there is none.
  std::string next() {
    char message[256];
    const ssize_t bytes = recv(descriptor_.number(), message, sizeof message, 0);
    return bytes > 0 ? std::string(message, static_cast<std::size_t>(bytes)) : std::string();
  }

 private:
  std::string path_;
  Descriptor descriptor_;
};

TEST(Watchdog, IsFedTwiceInTheTimeAllowed) {
  const std::string pid = std::to_string(getpid());
  EXPECT_EQ(Watchdog::interval_ns_of("30000000", pid.c_str()), 15'000'000'000);
  EXPECT_EQ(Watchdog::interval_ns_of("30000000", nullptr), 15'000'000'000);
}

TEST(Watchdog, IsNotFedWhereNobodyWaitsForItOrForAnother) {
  const std::string other = std::to_string(getppid());
  EXPECT_EQ(Watchdog::interval_ns_of(nullptr, nullptr), 0);
  EXPECT_EQ(Watchdog::interval_ns_of("30000000", other.c_str()), 0);
  for (const char* text :
       {"", "0", "-5", "1s", "30000000 ", "99999999999999999999999", "9223372036854775807"}) {
    EXPECT_EQ(Watchdog::interval_ns_of(text, nullptr), 0) << text;
  }
  NotifySocket socket;
  Watchdog watchdog(0);
  watchdog.pass(1, true);
  EXPECT_EQ(socket.next(), "");
}

TEST(Watchdog, FeedsWhenDueAndOnlyWhileAlive) {
  NotifySocket socket;
  Watchdog watchdog(100);
  watchdog.pass(1'000, true);
  EXPECT_EQ(socket.next(), "WATCHDOG=1");
  watchdog.pass(1'099, true);
  EXPECT_EQ(socket.next(), "");
  watchdog.pass(1'100, false);
  watchdog.pass(5'000, false);
  EXPECT_EQ(socket.next(), "");
  watchdog.pass(5'001, true);
  EXPECT_EQ(socket.next(), "WATCHDOG=1");
  EXPECT_EQ(socket.next(), "");
}

// --- what "alive" is ----------------------------------------------------------------------------

/// A process file whose heartbeat is moved by hand, in the name of the child that has the post.
class ByHand {
 public:
  explicit ByHand(const std::string& name)
      : path_(testing::TempDir() + name + std::to_string(getpid())) {
    MappedFile::Create options;
    options.path = path_;
    options.bytes = ProcessFile::file_bytes();
    auto made = MappedFile::create(options);
    EXPECT_TRUE(made.ok());
    file_.emplace(std::move(made.value()));
  }
  ~ByHand() { unlink(path_.c_str()); }
  ByHand(const ByHand&) = delete;
  ByHand& operator=(const ByHand&) = delete;

  void beat(pid_t pid) {
    auto* header = file_->at<ProcessHeaderLayout>();
    header->pid.store(pid, std::memory_order_relaxed);
    header->heartbeat_us.fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::optional<MappedFile> file_;
};

Post post_of(const std::string& program, const std::vector<std::string>& arguments,
             const ByHand& file, PulseBounds bounds) {
  Post post;
  post.name = "child";
  post.command = [program, arguments](bool) -> Result<ChildCommand> {
    return ChildCommand{program, arguments, {}};
  };
  post.process_file = file.path();
  post.bounds = bounds;
  return post;
}

TEST(CrewAlive, AChildThatIsSilentForTooLongIsNotUntilAnotherHasItsPlace) {
  ByHand file("alive_");
  Crew crew;
  // Silence counts after two beats: short bounds, so that the test need not wait.
  ASSERT_TRUE(crew.fill(post_of("sleep", {"60"}, file, {1, 60'000'000'000})).ok());
  const pid_t first = *crew.pid("child");
  EXPECT_TRUE(crew.alive());
  file.beat(first);
  crew.attend(0);
  EXPECT_TRUE(crew.alive());
  file.beat(first);
  crew.attend(0);
  crew.attend(0);  // a second look at the same beat
  while (crew.pid("child") == first) {
    EXPECT_FALSE(crew.alive());  // it is killed, and has not ended yet
    crew.attend(1);
  }
  while (!crew.pid("child")) crew.attend(1);
  EXPECT_TRUE(crew.alive());
}

TEST(CrewAlive, APlaceThatCantBeFilledAgainIsNotOnceAStartIsOverdue) {
  ByHand file("alive_");
  Crew crew;
  Post post = post_of("true", {}, file, {1'000'000'000, 1});
  bool startable = true;
  post.command = [&](bool) -> Result<ChildCommand> {
    if (!startable) return Error{"no such program", ENOENT, ""};
    return ChildCommand{"true", {}, {}};
  };
  ASSERT_TRUE(crew.fill(std::move(post)).ok());
  startable = false;
  while (crew.pid("child")) crew.attend(10);
  crew.attend(0);
  EXPECT_FALSE(crew.alive());
}

}  // namespace
}  // namespace deja
