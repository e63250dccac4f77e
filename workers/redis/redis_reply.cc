#include "workers/redis/redis_reply.h"

#include <hiredis/hiredis.h>

#include <charconv>

#include "shm/base/check.h"

namespace deja {

RedisReply::RedisReply() : RedisReply(nullptr) {}
RedisReply::RedisReply(redisReply* reply) : RedisReply(reply, Free{true}) {}
RedisReply::RedisReply(redisReply* reply, Free free) : reply_(reply, free) {}

void RedisReply::Free::operator()(redisReply* reply) const {
  if (owned) freeReplyObject(reply);
}

RedisReply::Kind RedisReply::kind() const {
  if (!reply_) return Kind::kNone;
  switch (reply_->type) {
    case REDIS_REPLY_STRING:
      return Kind::kText;
    case REDIS_REPLY_STATUS:
      return Kind::kStatus;
    case REDIS_REPLY_ERROR:
      return Kind::kError;
    case REDIS_REPLY_INTEGER:
      return Kind::kInteger;
    case REDIS_REPLY_ARRAY:
      return Kind::kArray;
    default:
      return Kind::kNil;
  }
}

std::string_view RedisReply::text() const {
  const Kind is = kind();
  if (is != Kind::kText && is != Kind::kStatus && is != Kind::kError) return {};
  return {reply_->str, reply_->len};
}

std::optional<std::uint64_t> RedisReply::number() const {
  if (kind() == Kind::kInteger) {
    if (reply_->integer < 0) return std::nullopt;
    return static_cast<std::uint64_t>(reply_->integer);
  }
  const std::string_view digits = text();
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || problem != std::errc{} || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  return value;
}

std::string_view RedisReply::error_code() const {
  if (!is_error()) return {};
  const std::string_view all = text();
  return all.substr(0, all.find(' '));
}

std::size_t RedisReply::size() const {
  return kind() == Kind::kArray ? reply_->elements : 0;
}

const RedisReply RedisReply::element(std::size_t index) const {
  CHECK(index < size());
  return {reply_->element[index], Free{false}};
}

}  // namespace deja
