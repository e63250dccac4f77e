// Division by a number that stays the same: a multiplication and a shift, and exactly the quotient
// (Granlund, Montgomery, "Division by invariant integers using multiplication", 1994). A divide
// instruction takes tens of cycles, and the next one waits for it. Immutable; any thread.
#pragma once

#include <bit>
#include <cstdint>

namespace deja::features {

/// For values below 2^63. With l the bits of divisor - 1, m = floor(2^(63 + l) / divisor) + 1 fits
/// 64 bits and is too large by at most 2^l / divisor; so value · m / 2^(63 + l) is too large by
/// less than 1 / divisor, which never reaches the next whole number.
class ExactDivisor {
 public:
  /// 1 <= divisor < 2^63.
  explicit ExactDivisor(std::uint64_t divisor)
      : divisor_(divisor), shift_(static_cast<std::uint32_t>(std::bit_width(divisor - 1))) {
    multiplier_ = static_cast<std::uint64_t>((Wide{1} << (63U + shift_)) / divisor + 1);
  }

  [[nodiscard]] std::uint64_t quotient(std::uint64_t value) const {
    return static_cast<std::uint64_t>(Wide{multiplier_} * (value << 1U) >> 64U) >> shift_;
  }
  [[nodiscard]] std::uint64_t divisor() const { return divisor_; }
  [[nodiscard]] bool operator==(const ExactDivisor&) const = default;

 private:
  __extension__ using Wide = unsigned __int128;

  std::uint64_t multiplier_;
  std::uint64_t divisor_;
  std::uint32_t shift_;
};

}  // namespace deja::features
