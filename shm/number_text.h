// A number as text, the same everywhere: in JSON, and as the item that a number becomes in recent,
// top and distinct. Any thread; no allocation.
#pragma once

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace deja {

/// Room for any number: 17 digits, sign, point, exponent.
inline constexpr std::size_t kNumberTextBytesMax = 32;

/// Writes the shortest text that reads back as the same double: whole numbers up to 2^53 without
/// point or exponent, -0 as 0, and 0 for what is not finite (no value is). Valid JSON. Returns the
/// bytes written, not terminated.
[[nodiscard]] inline std::uint32_t write_number(char (&out)[kNumberTextBytesMax], double number) {
  if (!std::isfinite(number) || number == 0) number = 0;
  constexpr double kWhole = 9007199254740992.0;
  const bool whole = number >= -kWhole && number <= kWhole && number == std::trunc(number);
  const std::to_chars_result result =
      whole ? std::to_chars(out, out + sizeof out, static_cast<std::int64_t>(number))
            : std::to_chars(out, out + sizeof out, number);
  return static_cast<std::uint32_t>(result.ptr - out);
}

}  // namespace deja
