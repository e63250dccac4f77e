#include "ingest/timestamp.h"

#include <chrono>
#include <cmath>

namespace deja {
namespace {

struct Reader {
  std::string_view left;

  [[nodiscard]] bool at_digit() const {
    return !left.empty() && left.front() >= '0' && left.front() <= '9';
  }
  /// Exactly `count` digits.
  [[nodiscard]] bool number(int count, int& value) {
    value = 0;
    for (int digit = 0; digit < count; ++digit) {
      if (!at_digit()) return false;
      value = value * 10 + (left.front() - '0');
      left.remove_prefix(1);
    }
    return true;
  }
  [[nodiscard]] bool take(std::string_view any_of) {
    if (left.empty() || any_of.find(left.front()) == std::string_view::npos) return false;
    left.remove_prefix(1);
    return true;
  }
};

bool read_fraction(Reader& reader, std::int64_t& microseconds) {
  int digits = 0;
  for (; reader.at_digit(); ++digits) {
    if (digits == 9) return false;
    if (digits < 6) microseconds = microseconds * 10 + (reader.left.front() - '0');
    reader.left.remove_prefix(1);
  }
  for (int digit = digits; digit < 6; ++digit) microseconds *= 10;
  return digits > 0;
}

bool read_offset(Reader& reader, int& minutes) {
  minutes = 0;
  if (reader.left.empty() || reader.take("Zz")) return true;
  const bool west = reader.left.front() == '-';
  if (!reader.take("+-")) return false;
  int hours = 0;
  int more = 0;
  if (!reader.number(2, hours)) return false;
  if (!reader.left.empty()) {
    (void)reader.take(":");
    if (!reader.number(2, more)) return false;
  }
  if (hours > 23 || more > 59) return false;
  minutes = (west ? -1 : 1) * (hours * 60 + more);
  return true;
}

std::optional<std::int64_t> in_range(std::int64_t microseconds) {
  if (microseconds < 0 || microseconds >= kTimestampEndUs) return std::nullopt;
  return microseconds;
}

}  // namespace

std::optional<std::int64_t> parse_timestamp(std::string_view text) {
  Reader reader{text};
  int year = 0;
  int month = 0;
  int day = 0;
  if (!reader.number(4, year) || !reader.take("-") || !reader.number(2, month) ||
      !reader.take("-") || !reader.number(2, day)) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year{year},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok()) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
  int hour = 0;
  int minute = 0;
  int second = 0;
  int offset_minutes = 0;
  std::int64_t microseconds = 0;
  if (!reader.left.empty()) {
    if (!reader.take("Tt ") || !reader.number(2, hour)) return std::nullopt;
    (void)reader.take(":");
    if (!reader.number(2, minute)) return std::nullopt;
    if (reader.take(":") || reader.at_digit()) {
      if (!reader.number(2, second)) return std::nullopt;
      if (reader.take(".,") && !read_fraction(reader, microseconds)) return std::nullopt;
    }
    if (!read_offset(reader, offset_minutes) || !reader.left.empty()) return std::nullopt;
    const bool end_of_day = hour == 24 && minute == 0 && second == 0 && microseconds == 0;
    if ((hour > 23 && !end_of_day) || minute > 59 || second > 60) return std::nullopt;
  }
  const std::int64_t seconds = ((days * 24 + hour) * 60 + minute - offset_minutes) * 60 + second;
  return in_range(seconds * 1'000'000 + microseconds);
}

std::optional<std::int64_t> timestamp_of_milliseconds(double milliseconds) {
  if (!(milliseconds >= 0 && milliseconds < static_cast<double>(kTimestampEndUs / 1000))) {
    return std::nullopt;
  }
  return in_range(std::llround(milliseconds * 1000));
}

}  // namespace deja
