#include "tools/replay/time_text.h"

#include <ctime>

#include "tools/config/duration.h"

namespace deja {

std::optional<std::int64_t> parse_time(const std::string& text, const std::string& format) {
  tm parts{};
  parts.tm_mday = 1;
  const char* end = strptime(text.c_str(), format.c_str(), &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  const long east_s = parts.tm_gmtoff;  // of %z; timegm clears it
  const tm wanted = parts;
  const time_t seconds = timegm(&parts);
  // timegm turns 31 February into 3 March: such a text is no instant.
  if (parts.tm_mday != wanted.tm_mday || parts.tm_mon != wanted.tm_mon) return std::nullopt;
  std::int64_t time_us = 0;  // %s reads any number of seconds
  if (__builtin_sub_overflow(std::int64_t{seconds}, std::int64_t{east_s}, &time_us) ||
      __builtin_mul_overflow(time_us, 1'000'000, &time_us)) {
    return std::nullopt;
  }
  return time_us;
}

std::optional<std::int64_t> parse_moment(std::string_view text, std::int64_t now_us) {
  if (text == "now") return now_us;
  if (text.starts_with('-') || text.starts_with('+')) {
    const std::optional<std::int64_t> offset_us = parse_offset(text);
    if (!offset_us) return std::nullopt;
    return now_us + *offset_us;
  }
  return parse_instant(text);
}

}  // namespace deja
