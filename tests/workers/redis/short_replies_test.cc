// Replies of a word or two, however they come in pieces, and whatever else comes.
#include "workers/redis/short_replies.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace deja {
namespace {

using Kind = RedisReply::Kind;
using Outcome = ShortReplies::Outcome;

void receive(ShortReplies& replies, std::string_view bytes) {
  while (!bytes.empty()) {
    const ShortReplies::Room room = replies.room();
    const std::size_t some = std::min(room.bytes, bytes.size());
    ASSERT_NE(some, 0U);
    std::memcpy(room.begin, bytes.data(), some);
    replies.received(some);
    bytes.remove_prefix(some);
  }
}

TEST(ShortReplies, ReadsEachKindFromPiecesOfAnySize) {
  const std::string bytes(
      "+OK\r\n-OOM no memory\r\n:12\r\n$7\r\nwritten\r\n$-1\r\n$0\r\n\r\n$3\r\n\r\n$\r\n");
  const std::vector<std::pair<Kind, std::string>> expected = {
      {Kind::kStatus, "OK"},  {Kind::kError, "OOM no memory"},
      {Kind::kInteger, "12"}, {Kind::kText, "written"},
      {Kind::kNil, ""},       {Kind::kText, ""},
      {Kind::kText, "\r\n$"}};
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    ShortReplies replies;
    std::vector<std::pair<Kind, std::string>> read;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      receive(replies, std::string_view(bytes).substr(at, piece));
      ShortReply reply;
      Outcome outcome = replies.next(reply);
      for (; outcome == Outcome::kReply; outcome = replies.next(reply)) {
        read.emplace_back(reply.kind, std::string(reply.text));
      }
      ASSERT_EQ(outcome, Outcome::kMore);
    }
    EXPECT_EQ(read, expected) << "pieces of " << piece;
    EXPECT_TRUE(replies.empty());
  }
}

TEST(ShortReplies, GoesRoundItsMemoryManyTimes) {
  ShortReplies replies;
  const std::string text(1'000, 'x');
  const std::string bytes = "$1000\r\n" + text + "\r\n";
  std::size_t read = 0;
  for (int at = 0; at < 500; ++at) {
    receive(replies, bytes);
    ShortReply reply;
    while (at % 7 == 0 && replies.next(reply) == Outcome::kReply) {
      EXPECT_EQ(reply.text, text);
      ++read;
    }
  }
  ShortReply reply;
  while (replies.next(reply) == Outcome::kReply) ++read;
  EXPECT_EQ(read, 500U);
}

TEST(ShortReplies, RefusesWhatIsNoShortReply) {
  const std::string long_text(ShortReplies::kMemoryBytes, 'x');
  for (const std::string& bytes :
       {std::string("*2\r\n:1\r\n:2\r\n"), std::string("x\r\n"), std::string("\r\n"),
        std::string("+OK\n"), std::string("\n"), std::string("$\r\n"), std::string("$-2\r\n\r\n"),
        std::string("$1x\r\nab\r\n"), std::string("$3\r\nabcd\r\n"), std::string("$1\r\na\rb"),
        std::string("$65534\r\n"), std::string("$99999999999999999999\r\n"),
        std::string("+") + long_text.substr(1)}) {
    ShortReplies replies;
    receive(replies, bytes);
    ShortReply reply;
    EXPECT_EQ(replies.next(reply), Outcome::kBroken) << bytes.substr(0, 20);
  }
}

}  // namespace
}  // namespace deja
