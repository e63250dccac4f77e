// What a loop relies on, of both rings alike.
#include "ingest/loop_ring.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "ingest/loop_backend.h"
#include "shm/base/check.h"

namespace deja {
namespace {

constexpr std::int64_t kLongNs = 20'000'000'000;  // a test that waits so long has failed
constexpr std::int64_t kShortNs = 20'000'000;

class LoopRingTest : public testing::TestWithParam<IoBackend>, public CompletionHandler {
 protected:
  struct Seen {
    std::uint64_t user_data;
    std::int32_t result;
    bool more;
    std::string bytes;
  };

  void SetUp() override {
    if (GetParam() == IoBackend::kUring && try_io_uring() != 0) {
      GTEST_SKIP() << "skipped: " << io_refusal(try_io_uring());
    }
    auto made = LoopRing::create(GetParam(), {});
    ASSERT_TRUE(made.ok()) << made.error().message();
    ring_ = std::move(*made);
    ASSERT_TRUE(ring_->enable().ok());
  }
  ~LoopRingTest() override {
    ring_.reset();
    for (const int descriptor : open_) close(descriptor);
  }

  void on_completion(const LoopCompletion& completion) override {
    const auto* text = reinterpret_cast<const char*>(completion.bytes.data());
    seen_.push_back({completion.user_data, completion.result, completion.more,
                     std::string(text, completion.bytes.size())});
    if (on_next_) std::exchange(on_next_, {})(completion);
  }
  /// Waits until `count` completions were seen in all.
  void wait_for(std::size_t count) {
    for (int at = 0; at < 100 && seen_.size() < count; ++at) {
      ring_->submit_and_wait(kLongNs);
      ring_->take_completions(16, *this);
    }
    ASSERT_EQ(seen_.size(), count);
  }
  /// Nothing is there, and nothing wakes a sleep.
  void expect_silence() {
    ring_->submit();
    ring_->take_completions(16, *this);
    seen_.clear();
    ring_->submit_and_wait(kShortNs);
    ring_->take_completions(16, *this);
    EXPECT_TRUE(seen_.empty());
    EXPECT_FALSE(ring_->ready());
  }
  std::pair<int, int> connection() {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    open_.insert(open_.end(), ends, ends + 2);
    return {ends[0], ends[1]};
  }
  void close_now(int descriptor) {
    close(descriptor);
    std::erase(open_, descriptor);
  }
  static void say(int descriptor, std::string_view text) {
    CHECK(write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }

  std::unique_ptr<LoopRing> ring_;
  std::vector<Seen> seen_;
  std::vector<int> open_;
  std::function<void(const LoopCompletion&)> on_next_;
};

TEST_P(LoopRingTest, TellsOfEachByteInAFifoUntilCancelled) {
  int ends[2];
  CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  open_.insert(open_.end(), ends, ends + 2);
  ring_->poll_readable(ends[0], 7);
  for (std::size_t round = 1; round <= 3; ++round) {
    ring_->submit();
    say(ends[1], "!");
    wait_for(round);
    EXPECT_EQ(seen_.back().user_data, 7U);
    EXPECT_TRUE(seen_.back().more);
    char byte = 0;
    EXPECT_EQ(read(ends[0], &byte, 1), 1);
  }
  ring_->cancel(ends[0], 7);
  wait_for(4);
  EXPECT_EQ(seen_.back().result, -ECANCELED);
  EXPECT_FALSE(seen_.back().more);
  say(ends[1], "!");
  expect_silence();
}

TEST_P(LoopRingTest, LeavesTheBytesThatACancelledReceiveDidNotTake) {
  const auto [ours, peer] = connection();
  ring_->receive(ours, 1);
  ring_->submit();
  ring_->cancel(ours, 1);
  wait_for(1);
  EXPECT_EQ(seen_[0].result, -ECANCELED);
  EXPECT_FALSE(seen_[0].more);
  say(peer, "later");
  expect_silence();
  ring_->receive(ours, 2);
  wait_for(1);
  EXPECT_EQ(seen_[0].user_data, 2U);
  EXPECT_EQ(seen_[0].bytes, "later");
  EXPECT_TRUE(seen_[0].more);
}

TEST_P(LoopRingTest, EndsAReceiveWithThePeersEnd) {
  const auto [ours, peer] = connection();
  ring_->receive(ours, 1);
  say(peer, "last");
  wait_for(1);
  EXPECT_EQ(seen_[0].bytes, "last");
  close_now(peer);
  wait_for(2);
  EXPECT_EQ(seen_[1].result, 0);
  EXPECT_FALSE(seen_[1].more);
  expect_silence();
}

TEST_P(LoopRingTest, SleepsOverAPausedConnectionWhosePeerIsGone) {
  const auto [ours, peer] = connection();
  ring_->receive(ours, 1);
  ring_->submit();
  ring_->cancel(ours, 1);
  wait_for(1);
  say(peer, "unread");
  close_now(peer);
  expect_silence();
}

TEST_P(LoopRingTest, SendsTheRestOnceThePeerHasRead) {
  const auto [ours, peer] = connection();
  const std::vector<std::uint8_t> block(64 * 1024, 'x');
  std::size_t sent = 0;
  // Until nothing is reported any more: the socket is full, and this send waits.
  for (;;) {
    ring_->send(ours, block, 5);
    ring_->submit();
    seen_.clear();
    ring_->submit_and_wait(kShortNs);
    ring_->take_completions(16, *this);
    if (seen_.empty()) break;
    ASSERT_GT(seen_[0].result, 0);
    sent += static_cast<std::size_t>(seen_[0].result);
  }
  std::vector<char> heard(sent + block.size());
  std::size_t count = 0;
  while (count < sent) {
    const ssize_t part = recv(peer, heard.data(), heard.size(), MSG_DONTWAIT);
    if (part > 0) count += static_cast<std::size_t>(part);
    ring_->submit();
  }
  wait_for(1);
  EXPECT_EQ(seen_[0].user_data, 5U);
  EXPECT_GT(seen_[0].result, 0);
}

TEST_P(LoopRingTest, CancelsASendThatTheSocketDoesNotTake) {
  const auto [ours, peer] = connection();
  const std::vector<std::uint8_t> block(64 * 1024, 'x');
  for (;;) {
    ring_->send(ours, block, 5);
    seen_.clear();
    ring_->submit_and_wait(kShortNs);
    if (ring_->take_completions(16, *this) == 0) break;
  }
  ring_->cancel(ours, 5);
  wait_for(1);
  EXPECT_EQ(seen_[0].result, -ECANCELED);
  expect_silence();
}

TEST_P(LoopRingTest, FailsASendToAPeerThatIsGone) {
  const auto [ours, peer] = connection();
  close_now(peer);
  const std::uint8_t byte = 'x';
  ring_->send(ours, {&byte, 1}, 5);
  wait_for(1);
  EXPECT_EQ(seen_[0].result, -EPIPE);  // and no SIGPIPE
}

TEST_P(LoopRingTest, GivesNoOldNewsToADescriptorThatIsUsedAgain) {
  // Two are ready in one look; what is done about the first closes the second, and its number is
  // given to somebody else who has sent nothing.
  const auto [first, first_peer] = connection();
  const auto [second, second_peer] = connection();
  ring_->receive(first, 1);
  ring_->receive(second, 2);
  ring_->submit();
  say(first_peer, "a");
  say(second_peer, "b");
  int again = -1;
  on_next_ = [&, second_end = second, first_end = first](const LoopCompletion& completion) {
    const bool is_first = completion.user_data == 1;
    const int other = is_first ? second_end : first_end;
    ring_->cancel(other, is_first ? 2 : 1);
    ring_->close(other, 9);
    ring_->submit();
    if (fcntl(other, F_GETFD) >= 0) return;  // io_uring has not come to it yet
    again = connection().first;
    EXPECT_EQ(again, other);
    ring_->receive(again, 3);
  };
  ring_->submit_and_wait(kLongNs);
  for (int at = 0; at < 10; ++at) {
    ring_->take_completions(16, *this);
    ring_->submit();
  }
  for (const Seen& seen : seen_) EXPECT_NE(seen.user_data, 3U) << seen.result << seen.bytes;
  std::erase(open_, again < 0 ? second : again);
}

TEST_P(LoopRingTest, AcceptsUntilCancelledAndLeavesTheOthersInTheBacklog) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const int size =
      std::snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "deja-ring-%d", getpid());
  const auto bytes =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<std::size_t>(size));
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  open_.push_back(listener);
  CHECK(bind(listener, reinterpret_cast<sockaddr*>(&address), bytes) == 0);
  CHECK(listen(listener, 64) == 0);
  // As the other ring would have left it.
  CHECK(fcntl(listener, F_SETFL, GetParam() == IoBackend::kUring ? O_NONBLOCK : 0) == 0);
  ring_->prepare_listener(listener);
  const auto connect_one = [&] {
    const int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    open_.push_back(client);
    CHECK(connect(client, reinterpret_cast<sockaddr*>(&address), bytes) == 0);
  };
  ring_->accept(listener, 4);
  ring_->submit();
  for (int at = 0; at < 40; ++at) connect_one();
  wait_for(40);
  for (const Seen& seen : seen_) {
    EXPECT_EQ(seen.user_data, 4U);
    EXPECT_TRUE(seen.more);
    ASSERT_GE(seen.result, 0);
    EXPECT_EQ(fcntl(seen.result, F_GETFD), FD_CLOEXEC);
    close(seen.result);
  }
  ring_->cancel(listener, 4);
  wait_for(41);
  EXPECT_EQ(seen_.back().result, -ECANCELED);
  connect_one();
  expect_silence();
}

TEST_P(LoopRingTest, ReportsNothingOfNobody) {
  const auto [ours, peer] = connection();
  ring_->close(ours, LoopRing::kNobody);
  std::erase(open_, ours);
  char byte = 0;
  ring_->submit();
  for (int at = 0; at < 100 && recv(peer, &byte, 1, 0) != 0; ++at) ring_->submit();
  ring_->take_completions(16, *this);
  EXPECT_TRUE(seen_.empty());
}

INSTANTIATE_TEST_SUITE_P(OnBoth, LoopRingTest,
                         testing::Values(IoBackend::kUring, IoBackend::kEpoll),
                         [](const auto& tested) { return io_backend_name(tested.param); });

/// DEJA_IO as a test wants it, and as it was afterwards.
class Wish {
 public:
  explicit Wish(const char* name) {
    if (const char* before = std::getenv("DEJA_IO")) before_ = before;
    setenv("DEJA_IO", name, 1);
  }
  ~Wish() {
    if (before_.empty()) {
      unsetenv("DEJA_IO");
    } else {
      setenv("DEJA_IO", before_.c_str(), 1);
    }
  }

 private:
  std::string before_;
};

TEST(LoopRings, AreOfTheKindThatTheEnvironmentNames) {
  for (const IoBackend backend : {IoBackend::kUring, IoBackend::kEpoll}) {
    if (backend == IoBackend::kUring && try_io_uring() != 0) continue;
    const Wish wish(io_backend_name(backend));
    const auto rings = LoopRings::make(3, {});
    ASSERT_TRUE(rings.ok()) << rings.error().message();
    ASSERT_EQ(rings->rings.size(), 3U);
    for (const auto& ring : rings->rings) EXPECT_EQ(ring->backend(), backend);
    EXPECT_EQ(rings->line(), std::string("DEJA_IO says so: using ") +
                                 (backend == IoBackend::kUring ? "io_uring" : "epoll"));
  }
}

TEST(LoopRings, SayWhenTheEnvironmentNamesNoKindAndLookThemselves) {
  const Wish wish("eopll");
  std::string why;
  const IoBackend found = choose_io_backend(why);
  EXPECT_EQ(found, try_io_uring() == 0 ? IoBackend::kUring : IoBackend::kEpoll);
  EXPECT_NE(why, "");
  EXPECT_FALSE(io_backend_is_forced());
}

}  // namespace
}  // namespace deja
