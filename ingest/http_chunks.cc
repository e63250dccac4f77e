#include "ingest/http_chunks.h"

#include <algorithm>

namespace deja {
namespace {

constexpr std::uint32_t kDigitsMax = 8;
constexpr std::uint32_t kExtensionBytesMax = 256;
constexpr std::uint32_t kTrailerBytesMax = 4096;

int digit_of(std::uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_printable(std::uint8_t c) {
  return c == '\t' || (c >= 0x20 && c != 0x7f);
}

}  // namespace

void HttpChunks::begin() {
  *this = HttpChunks{};
}

HttpChunks::Step HttpChunks::next(std::span<const std::uint8_t> bytes, std::size_t& used,
                                  std::span<const std::uint8_t>& data) {
  used = 0;
  while (used < bytes.size()) {
    if (state_ == State::kData) {
      const std::size_t count = std::min<std::uint64_t>(left_bytes_, bytes.size() - used);
      data = bytes.subspan(used, count);
      used += count;
      left_bytes_ -= count;
      if (left_bytes_ == 0) state_ = State::kDataCr;
      return Step::kData;
    }
    const std::uint8_t c = bytes[used++];
    switch (state_) {
      case State::kSize: {
        const int digit = digit_of(c);
        if (digit >= 0) {
          if (++digits_ > kDigitsMax) return Step::kBroken;
          left_bytes_ = left_bytes_ * 16 + static_cast<std::uint64_t>(digit);
        } else if (digits_ != 0 && c == ';') {
          line_bytes_ = 0;
          state_ = State::kExtension;
        } else if (digits_ != 0 && c == '\r') {
          state_ = State::kSizeEnd;
        } else {
          return Step::kBroken;
        }
        break;
      }
      case State::kExtension:
        if (c == '\r') {
          state_ = State::kSizeEnd;
        } else if (!is_printable(c) || ++line_bytes_ > kExtensionBytesMax) {
          return Step::kBroken;
        }
        break;
      case State::kSizeEnd:
        if (c != '\n') return Step::kBroken;
        line_bytes_ = 0;
        trailer_has_colon_ = false;
        state_ = left_bytes_ == 0 ? State::kTrailer : State::kData;
        digits_ = 0;
        break;
      case State::kDataCr:
        if (c != '\r') return Step::kBroken;
        state_ = State::kDataLf;
        break;
      case State::kDataLf:
        if (c != '\n') return Step::kBroken;
        state_ = State::kSize;
        break;
      case State::kTrailer:
        if (c == '\r') {
          if (line_bytes_ != 0 && !trailer_has_colon_) return Step::kBroken;
          state_ = State::kTrailerEnd;
          break;
        }
        if (!is_printable(c) || ++trailer_bytes_ > kTrailerBytesMax) return Step::kBroken;
        // As in a head: no folded line, no white space before the colon.
        if (!trailer_has_colon_ && (c == ' ' || c == '\t')) return Step::kBroken;
        if (c == ':' && line_bytes_ != 0) trailer_has_colon_ = true;
        ++line_bytes_;
        break;
      case State::kTrailerEnd:
        if (c != '\n') return Step::kBroken;
        if (line_bytes_ == 0) return Step::kDone;
        line_bytes_ = 0;
        trailer_has_colon_ = false;
        state_ = State::kTrailer;
        break;
      case State::kData:
        break;
    }
  }
  return Step::kMore;
}

}  // namespace deja
