// Asking for users who are missed: what goes over the socket, and what the answers are.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <random>

#include "shm/ask_layout.h"
#include "shm/base/descriptor.h"
#include "tests/shm/libdeja/segment_by_hand.h"

namespace deja {
namespace {

using namespace libdeja_test;

/// The keeper's end.
class Asked {
 public:
  explicit Asked(const SegmentByHand& segment)
      : descriptor_(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "%s",
                  segment.path_now("asked").c_str());
    CHECK(bind(descriptor_.number(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  /// The keys of the next datagram; nothing where there is none, or no whole one.
  [[nodiscard]] std::vector<std::string> take(std::uint64_t incarnation = 1000) {
    std::uint8_t bytes[2 * kAskBytesMax];
    const ssize_t size = recv(descriptor_.number(), bytes, sizeof bytes, 0);
    std::vector<std::string> keys;
    if (size < 0 ||
        !read_ask(bytes, static_cast<std::size_t>(size), incarnation, 24, [&](const Key& key) {
          keys.push_back(key.name_space == KeyNamespace::kUser ? "" : "anon:");
          keys.back().append(key.bytes, key.size);
        })) {
      return {};
    }
    return keys;
  }

 private:
  Descriptor descriptor_;
};

void let_all_be_absent(SegmentByHand& segment) {
  for (int at = 0; at < 1000; ++at) {
    const std::string name = std::to_string(at);
    segment.writer_of({KeyNamespace::kUser, name.data(), static_cast<std::uint32_t>(name.size())})
        .set_has_absent();
  }
}

TEST(LibdejaAsk, NamesWhoIsMissedOnlyWhereTheStoreMayHaveMore) {
  SegmentByHand segment;
  Opened opened(segment);
  Asked asked(segment);
  const deja_key keys[] = {deja_user("ann", 3), deja_anonymous("bob", 3)};
  EXPECT_EQ(deja_ask(opened.get(), keys, 2), DEJA_UNKNOWN);
  EXPECT_TRUE(asked.take().empty());
  let_all_be_absent(segment);
  EXPECT_EQ(deja_ask(opened.get(), keys, 2), DEJA_OK);
  EXPECT_EQ(asked.take(), (std::vector<std::string>{"ann", "anon:bob"}));
  EXPECT_EQ(deja_ask(opened.get(), keys, 0), DEJA_UNKNOWN);
  // One who can't have a profile here is not asked for.
  EXPECT_EQ(deja_ask(opened.get(), keys, 1), DEJA_OK);
  const std::string too_long(25, 'x');
  const deja_key never = user(too_long);
  EXPECT_EQ(deja_ask(opened.get(), &never, 1), DEJA_UNKNOWN);
  EXPECT_EQ(asked.take(), std::vector<std::string>{"ann"});
  EXPECT_TRUE(asked.take().empty());
}

TEST(LibdejaAsk, APageOfAnyLengthIsAskedForInSeveralPieces) {
  SegmentByHand segment;
  let_all_be_absent(segment);
  Opened opened(segment);
  Asked asked(segment);
  std::vector<std::string> names;
  std::vector<deja_key> keys;
  for (int at = 0; at < 500; ++at) names.push_back("a-user-of-length-" + std::to_string(1000 + at));
  for (const std::string& name : names) keys.push_back(user(name));
  EXPECT_EQ(deja_ask(opened.get(), keys.data(), keys.size()), DEJA_OK);
  std::vector<std::string> seen;
  for (std::vector<std::string> some; !(some = asked.take()).empty();) {
    seen.insert(seen.end(), some.begin(), some.end());
  }
  EXPECT_EQ(seen, names);
}

TEST(LibdejaAsk, WhoIsNotThereOrDoesNotKeepUpIsNotWaitedFor) {
  SegmentByHand segment;
  let_all_be_absent(segment);
  Opened opened(segment);
  const deja_key ann = deja_user("ann", 3);
  EXPECT_EQ(deja_ask(opened.get(), &ann, 1), DEJA_BUSY) << "nobody listens";
  Asked asked(segment);
  int sent = 0;
  deja_status status = DEJA_OK;
  while ((status = deja_ask(opened.get(), &ann, 1)) == DEJA_OK && sent < 100'000) ++sent;
  EXPECT_EQ(status, DEJA_BUSY);
  EXPECT_GT(sent, 0);
  EXPECT_EQ(asked.take(), std::vector<std::string>{"ann"});
  EXPECT_EQ(deja_ask(opened.get(), &ann, 1), DEJA_OK);

  EXPECT_EQ(deja_ask(nullptr, &ann, 1), DEJA_MISUSE);
  EXPECT_EQ(deja_ask(opened.get(), nullptr, 1), DEJA_MISUSE);
  const deja_key empty = deja_user("", 0);
  EXPECT_EQ(deja_ask(opened.get(), &empty, 1), DEJA_MISUSE);
  segment.superblock().state.store(SegmentState::kStopped);
  EXPECT_EQ(deja_ask(opened.get(), &ann, 1), DEJA_STALE);
}

TEST(AskLayout, AnybodysBytesAreReadToTheirEndAndNoFurther) {
  const Key ann{KeyNamespace::kUser, "ann", 3};
  AskWriter ask(7);
  ASSERT_TRUE(ask.add(ann));
  const std::vector<std::uint8_t> good(ask.bytes(), ask.bytes() + ask.size());
  int keys = 0;
  const auto read = [&](const std::vector<std::uint8_t>& bytes, std::uint64_t incarnation = 7) {
    // A copy of its own size: a sanitizer sees the first byte too many.
    const std::vector<std::uint8_t> exact(bytes.begin(), bytes.end());
    return read_ask(exact.data(), exact.size(), incarnation, 24, [&](const Key& key) {
      ++keys;
      EXPECT_GT(key.size, 0U);
      EXPECT_LE(key.size, 24U);
    });
  };
  EXPECT_TRUE(read(good));
  EXPECT_EQ(keys, 1);
  EXPECT_FALSE(read(good, 8)) << "of another life";
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(read({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)})) << size;
  }
  std::vector<std::uint8_t> longer = good;
  longer.push_back(0);
  EXPECT_FALSE(read(longer));
  std::mt19937_64 random(20261125);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::uint8_t> bytes = good;
    bytes.resize(good.size() + random() % 40, static_cast<std::uint8_t>(random()));
    for (int flips = 0; flips < 3; ++flips) {
      bytes[16 + random() % (bytes.size() - 16)] = static_cast<std::uint8_t>(random());
    }
    static_cast<void>(read(bytes));
  }
}

}  // namespace
}  // namespace deja
