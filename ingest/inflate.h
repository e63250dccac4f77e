// Gzip bodies, inflated into memory that is there beforehand (zlib; its home). One per ingest
// thread. Allocates in the constructor only: zlib's own state comes from an arena.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace deja {

class Inflater {
 public:
  enum class Outcome : std::uint8_t {
    kDone,
    kTooLarge,  ///< more than bytes_max come out: found without inflating further
    kCorrupt,   ///< truncated, damaged, or not gzip
  };

  /// `padding_bytes` behind the result may be read.
  Inflater(std::size_t bytes_max, std::size_t padding_bytes);
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// Inflates one or several gzip members that fill `compressed`; `inflated` is valid until the
  /// next call.
  [[nodiscard]] Outcome inflate(std::span<const std::uint8_t> compressed,
                                std::span<const std::uint8_t>& inflated);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace deja
