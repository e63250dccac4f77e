#include "shm/json_text.h"

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

/// Stands for itself in JSON.
bool is_plain(unsigned char byte) {
  return byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
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
    if (is_plain(byte)) {
      std::size_t end = at + 1;
      while (end < text.size() && is_plain(static_cast<unsigned char>(text[end]))) ++end;
      out.append(text, at, end - at);
      at = end;
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
        constexpr char kHex[] = "0123456789abcdef";
        out += "\\u00";
        out += kHex[byte >> 4U];
        out += kHex[byte & 0xFU];
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
  const std::int64_t fraction = of_day % kSecond;
  // By hand: three of these go with every profile that is written to Redis.
  char text[32];
  char* at = text;
  const auto put = [&at](std::int64_t two_digits) {
    const auto number = static_cast<unsigned>(two_digits);
    *at++ = static_cast<char>('0' + number / 10);
    *at++ = static_cast<char>('0' + number % 10);
  };
  const auto put_before = [&](std::int64_t two_digits, char behind) {
    put(two_digits);
    *at++ = behind;
  };
  put(date.year / 100);
  put_before(date.year % 100, '-');
  put_before(date.month, '-');
  put_before(date.day, 'T');
  put_before(second / 3600, ':');
  put_before(second / 60 % 60, ':');
  put_before(second % 60, '.');
  if (fraction % 1000 == 0) {
    *at++ = static_cast<char>('0' + fraction / 100'000);
    put_before(fraction / 1000 % 100, 'Z');
  } else {
    put(fraction / 10'000);
    put(fraction / 100 % 100);
    put_before(fraction % 100, 'Z');
  }
  out.append(text, at);
}

}  // namespace deja
