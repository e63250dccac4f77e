// Reads replies that are a word or two out of the bytes that come, without copying or allocating:
// those of a pipeline of writes. Every byte is checked; what is no such reply (an array, a text
// longer than the memory) is an error of the protocol. One thread.
//
//  1. next() hands out views into the memory; they hold until the next room().
//  2. A reply is handed out only when all of it is there.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "workers/redis/redis_reply.h"

namespace deja {

/// A status, an error, a number or a text, as it came.
struct ShortReply {
  RedisReply::Kind kind = RedisReply::Kind::kNone;
  std::string_view text;
};

class ShortReplies {
 public:
  static constexpr std::size_t kMemoryBytes = 64 * 1024;

  enum class [[nodiscard]] Outcome : std::uint8_t{kReply, kMore, kBroken};

  /// Where the next bytes are to be written: never empty, unless a reply is longer than all of it.
  struct Room {
    char* begin = nullptr;
    std::size_t bytes = 0;
  };
  [[nodiscard]] Room room();
  void received(std::size_t bytes) { end_ += bytes; }

  Outcome next(ShortReply& reply);
  /// Nothing was received that has not been handed out.
  [[nodiscard]] bool empty() const { return begin_ == end_; }

 private:
  Outcome take_text(std::string_view line, std::size_t head_bytes, ShortReply& reply);

  std::vector<char> memory_ = std::vector<char>(kMemoryBytes);
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace deja
