// Takes a chunked body apart (RFC 9112, 7.1). Of our own, since llhttp as built lets a bare CR or
// LF end a chunk's line, and two readers that disagree about a line's end disagree about where the
// next request begins. Extensions and trailers are read, bounded, and dropped. One connection's; no
// allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace deja {

class HttpChunks {
 public:
  enum class Step : std::uint8_t {
    kMore,    ///< needs more bytes
    kData,    ///< `data` is a part of the body
    kDone,    ///< the body has ended
    kBroken,  ///< not a chunked body
  };

  void begin();
  /// Reads on in `bytes`; `used` bytes of them are done with.
  Step next(std::span<const std::uint8_t> bytes, std::size_t& used,
            std::span<const std::uint8_t>& data);

 private:
  enum class State : std::uint8_t {
    kSize,       // hexadecimal digits
    kExtension,  // up to the line's CR
    kSizeEnd,    // its LF
    kData,
    kDataCr,
    kDataLf,
    kTrailer,     // a trailer's line, or the empty one
    kTrailerEnd,  // its LF
  };
  State state_ = State::kSize;
  std::uint32_t digits_ = 0;
  std::uint32_t line_bytes_ = 0;     // of an extension, or of a trailer's line
  std::uint32_t trailer_bytes_ = 0;  // of all trailers
  bool trailer_has_colon_ = false;
  std::uint64_t left_bytes_ = 0;
};

}  // namespace deja
