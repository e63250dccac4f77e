// One reply of Redis, owned. Views into it live as long as it does. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

struct redisReply;

namespace deja {

class RedisReply {
 public:
  RedisReply();
  /// Takes over what hiredis' reader made; nullptr is an empty reply.
  explicit RedisReply(redisReply* reply);

  enum class Kind : std::uint8_t { kNone, kText, kStatus, kError, kInteger, kNil, kArray };
  [[nodiscard]] Kind kind() const;
  [[nodiscard]] bool is_error() const { return kind() == Kind::kError; }
  /// Bytes of a text, a status or an error; else empty.
  [[nodiscard]] std::string_view text() const;
  /// An integer, or a text or status that is one; nothing where it is neither.
  [[nodiscard]] std::optional<std::uint64_t> number() const;
  /// An error's first word: "OOM", "NOSCRIPT", "LOADING".
  [[nodiscard]] std::string_view error_code() const;

  [[nodiscard]] std::size_t size() const;  ///< of an array; else 0
  /// A view of an element; index < size().
  [[nodiscard]] const RedisReply element(std::size_t index) const;

 private:
  struct Free {
    bool owned;
    void operator()(redisReply* reply) const;
  };
  RedisReply(redisReply* reply, Free free);
  std::unique_ptr<redisReply, Free> reply_;
};

}  // namespace deja
