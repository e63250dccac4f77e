// A part of all events as people write it. Pure.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace deja {

/// "0.01" or "1%" → 0.01; nothing where it is no number from 0 to 1 (100%).
[[nodiscard]] inline std::optional<double> parse_sample_rate(std::string_view text) {
  const bool percent = text.ends_with('%');
  if (percent) text.remove_suffix(1);
  double rate = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), rate);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) return std::nullopt;
  if (percent) rate /= 100;
  if (!(rate >= 0 && rate <= 1)) return std::nullopt;
  return rate;
}

}  // namespace deja
