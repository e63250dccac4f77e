#include "workers/redis/short_replies.h"

#include <charconv>
#include <cstring>

namespace deja {

ShortReplies::Room ShortReplies::room() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
  } else if (begin_ != 0 && end_ == memory_.size()) {
    std::memmove(memory_.data(), memory_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  return {memory_.data() + end_, memory_.size() - end_};
}

ShortReplies::Outcome ShortReplies::next(ShortReply& reply) {
  const std::string_view held(memory_.data() + begin_, end_ - begin_);
  const std::size_t line_end = held.find('\n');
  if (line_end == std::string_view::npos) {
    return held.size() == memory_.size() ? Outcome::kBroken : Outcome::kMore;
  }
  if (line_end < 2 || held[line_end - 1] != '\r') return Outcome::kBroken;
  const std::string_view line = held.substr(1, line_end - 2);
  switch (held[0]) {
    case '+':
      reply.kind = RedisReply::Kind::kStatus;
      break;
    case '-':
      reply.kind = RedisReply::Kind::kError;
      break;
    case ':':
      reply.kind = RedisReply::Kind::kInteger;
      break;
    case '$':
      return take_text(line, line_end + 1, reply);
    default:
      return Outcome::kBroken;
  }
  reply.text = line;
  begin_ += line_end + 1;
  return Outcome::kReply;
}

ShortReplies::Outcome ShortReplies::take_text(std::string_view line, std::size_t head_bytes,
                                              ShortReply& reply) {
  if (line == "-1") {
    reply = {RedisReply::Kind::kNil, {}};
    begin_ += head_bytes;
    return Outcome::kReply;
  }
  std::size_t bytes = 0;
  const auto [end, problem] = std::from_chars(line.data(), line.data() + line.size(), bytes);
  if (problem != std::errc{} || end != line.data() + line.size() ||
      bytes > memory_.size() - head_bytes - 2) {
    return Outcome::kBroken;
  }
  if (end_ - begin_ < head_bytes + bytes + 2) return Outcome::kMore;
  const char* text = memory_.data() + begin_ + head_bytes;
  if (text[bytes] != '\r' || text[bytes + 1] != '\n') return Outcome::kBroken;
  reply = {RedisReply::Kind::kText, {text, bytes}};
  begin_ += head_bytes + bytes + 2;
  return Outcome::kReply;
}

}  // namespace deja
