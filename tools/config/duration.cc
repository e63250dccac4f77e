#include "tools/config/duration.h"

#include <array>
#include <charconv>
#include <chrono>
#include <system_error>

namespace deja {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t us;
};
constexpr std::array kUnits = {
    Unit{"us", 1},
    Unit{"ms", 1'000},
    Unit{"s", 1'000'000},
    Unit{"m", 60'000'000},
    Unit{"h", 3'600'000'000},
    Unit{"d", 86'400'000'000},
    Unit{"w", 604'800'000'000},
};
constexpr std::int64_t kLongestUs = 36'525 * std::int64_t{86'400'000'000};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Reads exactly `digits` digits from the front.
std::optional<int> take_digits(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int number = 0;
  for (std::size_t at = 0; at < digits; ++at) {
    if (!is_digit(text[at])) return std::nullopt;
    number = number * 10 + (text[at] - '0');
  }
  text.remove_prefix(digits);
  return number;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

/// ".25" → 250000; nothing there is 0.
std::optional<std::int64_t> take_fraction_us(std::string_view& text) {
  if (!take(text, ".")) return 0;
  std::int64_t us = 0;
  std::int64_t place = 100'000;
  if (text.empty() || !is_digit(text.front())) return std::nullopt;
  for (; !text.empty() && is_digit(text.front()); text.remove_prefix(1), place /= 10) {
    us += place * (text.front() - '0');
  }
  return us;
}

/// "Z" or "+01:00" → microseconds east of Greenwich.
std::optional<std::int64_t> take_zone_us(std::string_view& text) {
  if (take(text, "Zz")) return 0;
  const bool is_west = !text.empty() && text.front() == '-';
  if (!take(text, "+-")) return std::nullopt;
  const std::optional<int> hours = take_digits(text, 2);
  if (!hours || *hours > 23 || !take(text, ":")) return std::nullopt;
  const std::optional<int> minutes = take_digits(text, 2);
  if (!minutes || *minutes > 59) return std::nullopt;
  const std::int64_t east = (*hours * 60 + *minutes) * std::int64_t{60'000'000};
  return is_west ? -east : east;
}

}  // namespace

std::optional<std::int64_t> parse_duration(std::string_view text) {
  std::int64_t count = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (fault != std::errc{} || text.empty() || !is_digit(text.front())) return std::nullopt;
  const std::string_view name = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const Unit& unit : kUnits) {
    if (unit.name != name) continue;
    if (count > kLongestUs / unit.us) return std::nullopt;
    return count * unit.us;
  }
  return std::nullopt;
}

std::optional<std::int64_t> parse_offset(std::string_view text) {
  const bool is_before = !text.empty() && text.front() == '-';
  take(text, "+-");
  const std::optional<std::int64_t> duration = parse_duration(text);
  if (!duration) return std::nullopt;
  return is_before ? -*duration : *duration;
}

std::optional<std::int64_t> parse_instant(std::string_view text) {
  const auto year = take_digits(text, 4);
  if (!year || !take(text, "-")) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || !take(text, "-")) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day || !take(text, "Tt ")) return std::nullopt;
  const auto hour = take_digits(text, 2);
  if (!hour || *hour > 23 || !take(text, ":")) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || *minute > 59 || !take(text, ":")) return std::nullopt;
  const auto second = take_digits(text, 2);
  if (!second || *second > 59) return std::nullopt;
  const auto fraction_us = take_fraction_us(text);
  if (!fraction_us) return std::nullopt;
  const auto zone_us = take_zone_us(text);
  if (!zone_us || !text.empty()) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{*year},
                                         std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
  const std::int64_t seconds = days * 86'400 + *hour * 3'600 + *minute * 60 + *second;
  return seconds * 1'000'000 + *fraction_us - *zone_us;
}

std::string duration_text(std::int64_t duration_us) {
  const Unit* best = &kUnits.front();
  for (const Unit& unit : kUnits) {
    if (unit.name != "w" && duration_us != 0 && duration_us % unit.us == 0) best = &unit;
  }
  if (duration_us == 0) return "0s";
  return std::to_string(duration_us / best->us).append(best->name);
}

}  // namespace deja
