#include "shm/json_text.h"

#include <cstdio>

#include "shm/columns/bytes.h"
#include "shm/number_text.h"

namespace deja {
namespace {

/// Bytes of the UTF-8 character that begins at `at`, 0 when there is none (RFC 3629: no overlong
/// forms, no surrogates, nothing past U+10FFFF).
std::size_t character_bytes(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t offset) -> unsigned {
    return at + offset < text.size() ? static_cast<unsigned char>(text[at + offset]) : 0U;
  };
  const auto continues = [&](std::size_t offset) { return (byte(offset) & 0xC0U) == 0x80U; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if (lead == 0xE0 && byte(1) < 0xA0) return 0;
    if (lead == 0xED && byte(1) > 0x9F) return 0;
    return continues(1) && continues(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if (lead == 0xF0 && byte(1) < 0x90) return 0;
    if (lead == 0xF4 && byte(1) > 0x8F) return 0;
    return continues(1) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

struct Date {
  std::int64_t year = 0;
  unsigned month = 0;
  unsigned day = 0;
};

/// The Gregorian date that many days after 1970-01-01: years are counted from March, so that the
/// leap day is the last of its year, in eras of 400 years of 146,097 days.
Date date_of(std::int64_t days) {
  const std::int64_t shifted = days + 719468;  // from 0000-03-01
  const std::int64_t era = columns::floor_div(shifted, 146097);
  const std::int64_t day_of_era = columns::floor_mod(shifted, 146097);
  const std::int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const std::int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t month_from_march = (5 * day_of_year + 2) / 153;
  Date date;
  date.day = static_cast<unsigned>(day_of_year - (153 * month_from_march + 2) / 5 + 1);
  date.month =
      static_cast<unsigned>(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
  date.year = year_of_era + era * 400 + (date.month <= 2 ? 1 : 0);
  return date;
}

}  // namespace

void append_json_text(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    const char letter = text[at];
    const auto byte = static_cast<unsigned char>(letter);
    if (byte >= 0x80) {
      const std::size_t bytes = character_bytes(text, at);
      if (bytes == 0) {
        out += "\xEF\xBF\xBD";
        ++at;
      } else {
        out.append(text, at, bytes);
        at += bytes;
      }
      continue;
    }
    ++at;
    switch (letter) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (byte < 0x20 || byte == 0x7F) {
          constexpr char kHex[] = "0123456789abcdef";
          out += "\\u00";
          out += kHex[byte >> 4U];
          out += kHex[byte & 0xFU];
        } else {
          out += letter;
        }
    }
  }
  out += '"';
}

void append_json_number(std::string& out, double number) {
  char text[kNumberTextBytesMax];
  const std::uint32_t bytes = write_number(text, number);
  out.append(text, bytes);
}

void append_instant(std::string& out, std::int64_t time_us) {
  constexpr std::int64_t kSecond = 1'000'000;
  constexpr std::int64_t kDay = 86'400 * kSecond;
  constexpr std::int64_t kFirst = -62'167'219'200 * kSecond;     // 0000-01-01T00:00:00Z
  constexpr std::int64_t kLast = 253'402'300'800 * kSecond - 1;  // 9999-12-31T23:59:59.999999Z
  const std::int64_t time = time_us < kFirst ? kFirst : (time_us > kLast ? kLast : time_us);
  const Date date = date_of(columns::floor_div(time, kDay));
  const std::int64_t of_day = columns::floor_mod(time, kDay);
  const std::int64_t second = of_day / kSecond;
  const auto fraction = static_cast<int>(of_day % kSecond);
  char text[96];
  int bytes = std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.",
                            static_cast<int>(date.year), date.month, date.day,
                            static_cast<int>(second / 3600), static_cast<int>(second / 60 % 60),
                            static_cast<int>(second % 60));
  out.append(text, static_cast<std::size_t>(bytes));
  bytes = fraction % 1000 == 0 ? std::snprintf(text, sizeof text, "%03dZ", fraction / 1000)
                               : std::snprintf(text, sizeof text, "%06dZ", fraction);
  out.append(text, static_cast<std::size_t>(bytes));
}

}  // namespace deja
