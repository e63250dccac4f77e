// The text of "Deja-Token": which positions an accepted event took, so that whoever sent it can
// wait until it is visible. Ingest writes it, libdeja and the console read it. Libc alone, no
// allocation, any thread.
//
//   v1.<incarnation>.<i>:<w>:<position>[.<i>:<w>:<position>…]      numbers in lower-case hex
//
// The event is visible when, in that incarnation, worker w has consumed ring i up to `position`
// (shm/consumed_layout.h), for every part.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace deja {

struct TokenPart {
  std::uint32_t ingest = 0;
  std::uint32_t worker = 0;
  std::uint64_t position = 0;
};

/// Bytes that a token of `part_count` parts takes at most, its terminating zero included.
[[nodiscard]] constexpr std::size_t token_bytes_max(std::size_t part_count) {
  return 3 + 16 + part_count * (1 + 8 + 1 + 8 + 1 + 16) + 1;
}

/// Writes a zero-terminated token; its length, or 0 where it does not fit or has no part.
[[nodiscard]] inline std::size_t format_token(std::uint64_t incarnation, const TokenPart* parts,
                                              std::size_t part_count, char* text,
                                              std::size_t capacity) {
  if (part_count == 0) return 0;
  int written =
      std::snprintf(text, capacity, "v1.%llx", static_cast<unsigned long long>(incarnation));
  std::size_t size = static_cast<std::size_t>(written);
  for (std::size_t at = 0; at < part_count; ++at) {
    if (written < 0 || size >= capacity) return 0;
    written = std::snprintf(text + size, capacity - size, ".%x:%x:%llx", parts[at].ingest,
                            parts[at].worker, static_cast<unsigned long long>(parts[at].position));
    size += static_cast<std::size_t>(written);
  }
  return written < 0 || size >= capacity ? 0 : size;
}

/// Reads a token from wherever it came. The whole text is checked when it is made.
class TokenReader {
 public:
  TokenReader(const char* text, std::size_t size) : at_(text), end_(text + size) {
    valid_ = take('v') && take('1') && take('.') && number(16, incarnation_);
    first_ = at_;
    TokenPart part;
    while (valid_ && at_ != end_) valid_ = part_follows(part);
    valid_ = valid_ && first_ != end_;
    at_ = first_;
  }

  [[nodiscard]] bool valid() const { return valid_; }
  [[nodiscard]] std::uint64_t incarnation() const { return incarnation_; }

  /// The next part; false at the end.
  [[nodiscard]] bool next(TokenPart& part) { return valid_ && at_ != end_ && part_follows(part); }
  void rewind() { at_ = first_; }

 private:
  bool part_follows(TokenPart& part) {
    std::uint64_t ingest = 0;
    std::uint64_t worker = 0;
    if (!take('.') || !number(8, ingest) || !take(':') || !number(8, worker) || !take(':') ||
        !number(16, part.position)) {
      return false;
    }
    part.ingest = static_cast<std::uint32_t>(ingest);
    part.worker = static_cast<std::uint32_t>(worker);
    return true;
  }
  bool take(char letter) {
    if (at_ == end_ || *at_ != letter) return false;
    ++at_;
    return true;
  }
  bool number(int digits_max, std::uint64_t& value) {
    int digits = 0;
    value = 0;
    for (; at_ != end_; ++at_, ++digits) {
      const char digit = *at_;
      if (digit >= '0' && digit <= '9') {
        value = value << 4U | static_cast<std::uint64_t>(digit - '0');
      } else if (digit >= 'a' && digit <= 'f') {
        value = value << 4U | static_cast<std::uint64_t>(digit - 'a' + 10);
      } else {
        break;
      }
      if (digits == digits_max) return false;
    }
    return digits > 0;
  }

  const char* at_;
  const char* end_;
  const char* first_ = nullptr;
  std::uint64_t incarnation_ = 0;
  bool valid_ = false;
};

}  // namespace deja
