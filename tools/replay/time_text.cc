#include "tools/replay/time_text.h"

#include <charconv>
#include <ctime>

namespace deja {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;

/// `digits` digits of `text` at `at` as a number.
std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  if (at + count > text.size()) return std::nullopt;
  int number = 0;
  for (std::size_t index = at; index < at + count; ++index) {
    if (text[index] < '0' || text[index] > '9') return std::nullopt;
    number = number * 10 + (text[index] - '0');
  }
  return number;
}

bool is(std::string_view text, std::size_t at, char c) {
  return at < text.size() && text[at] == c;
}

std::optional<std::int64_t> seconds_of(tm parts) {
  const tm wanted = parts;
  const time_t seconds = timegm(&parts);
  // timegm turns 31 February into 3 March: such a text is no instant.
  if (parts.tm_mday != wanted.tm_mday || parts.tm_mon != wanted.tm_mon) return std::nullopt;
  return std::int64_t{seconds};
}

/// "Z", "+02:00" or nothing, from `at` to the end: seconds east of UTC.
std::optional<int> zone_s(std::string_view text, std::size_t at) {
  if (at == text.size()) return 0;
  if ((text[at] == 'Z' || text[at] == 'z') && at + 1 == text.size()) return 0;
  if (text[at] != '+' && text[at] != '-') return std::nullopt;
  const auto hours = digits(text, at + 1, 2);
  const std::size_t minutes_at = at + (is(text, at + 3, ':') ? 4 : 3);
  const auto minutes = digits(text, minutes_at, 2);
  if (!hours || !minutes || *hours > 23 || *minutes > 59 || minutes_at + 2 != text.size()) {
    return std::nullopt;
  }
  const int seconds = *hours * 3600 + *minutes * 60;
  return text[at] == '-' ? -seconds : seconds;
}

}  // namespace

std::optional<std::int64_t> parse_time(const std::string& text, const std::string& format) {
  tm parts{};
  parts.tm_mday = 1;
  const char* end = strptime(text.c_str(), format.c_str(), &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  const long offset_s = parts.tm_gmtoff;  // %z; timegm clears it
  const auto seconds = seconds_of(parts);
  if (!seconds) return std::nullopt;
  return (*seconds - offset_s) * kSecondUs;
}

std::optional<std::int64_t> parse_rfc3339(std::string_view text) {
  const auto year = digits(text, 0, 4);
  const auto month = digits(text, 5, 2);
  const auto day = digits(text, 8, 2);
  if (!year || !month || !day || !is(text, 4, '-') || !is(text, 7, '-')) return std::nullopt;
  if (*month < 1 || *month > 12 || *day < 1) return std::nullopt;
  tm parts{};
  parts.tm_year = *year - 1900;
  parts.tm_mon = *month - 1;
  parts.tm_mday = *day;
  std::int64_t fraction_us = 0;
  int east_s = 0;
  if (text.size() > 10) {
    if (!is(text, 10, 'T') && !is(text, 10, 't') && !is(text, 10, ' ')) return std::nullopt;
    const auto hour = digits(text, 11, 2);
    const auto minute = digits(text, 14, 2);
    if (!hour || !minute || !is(text, 13, ':') || *hour > 23 || *minute > 59) return std::nullopt;
    parts.tm_hour = *hour;
    parts.tm_min = *minute;
    std::size_t at = 16;
    if (is(text, at, ':')) {
      const auto second = digits(text, 17, 2);
      if (!second || *second > 60) return std::nullopt;
      parts.tm_sec = *second;
      at = 19;
    }
    if (is(text, at, '.')) {
      std::int64_t unit_us = kSecondUs;
      const std::size_t begin = ++at;
      for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
        unit_us /= 10;
        fraction_us += unit_us * (text[at] - '0');
      }
      if (at == begin) return std::nullopt;
    }
    const auto zone = zone_s(text, at);
    if (!zone) return std::nullopt;
    east_s = *zone;
  }
  const auto seconds = seconds_of(parts);
  if (!seconds) return std::nullopt;
  return (*seconds - east_s) * kSecondUs + fraction_us;
}

std::optional<std::int64_t> parse_moment(std::string_view text, std::int64_t now_us) {
  if (text == "now") return now_us;
  if (text.size() >= 3 && (text[0] == '-' || text[0] == '+')) {
    std::int64_t unit_us = 0;
    std::size_t unit_bytes = 1;
    if (text.ends_with("ms")) {
      unit_us = 1000;
      unit_bytes = 2;
    } else if (text.ends_with("s")) {
      unit_us = kSecondUs;
    } else if (text.ends_with("m")) {
      unit_us = 60 * kSecondUs;
    } else if (text.ends_with("h")) {
      unit_us = 3600 * kSecondUs;
    } else if (text.ends_with("d")) {
      unit_us = 86400 * kSecondUs;
    } else {
      return std::nullopt;
    }
    const std::string_view count_text = text.substr(1, text.size() - 1 - unit_bytes);
    std::int64_t count = 0;
    const auto result =
        std::from_chars(count_text.data(), count_text.data() + count_text.size(), count);
    if (result.ec != std::errc{} || result.ptr != count_text.data() + count_text.size()) {
      return std::nullopt;
    }
    if (count < 0 || count > INT64_MAX / 4 / unit_us) return std::nullopt;
    return now_us + (text[0] == '-' ? -count : count) * unit_us;
  }
  return parse_rfc3339(text);
}

}  // namespace deja
