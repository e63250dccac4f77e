#include "tools/cli/terminal.h"

#include <unistd.h>

#include <cstdlib>

namespace deja {
namespace {

std::string scaled(double number, const char* unit) {
  char text[48];
  const int digits = number < 10 ? 2 : (number < 100 ? 1 : 0);
  std::snprintf(text, sizeof text, "%.*f %s", digits, number, unit);
  return text;
}

}  // namespace

bool is_terminal(std::FILE* stream) {
  return isatty(fileno(stream)) == 1;
}

Style style_of(std::FILE* stream) {
  const char* no_color = std::getenv("NO_COLOR");
  if (!is_terminal(stream) || (no_color != nullptr && *no_color != '\0')) return {};
  return {"\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[33m", "\033[0m"};
}

std::string human_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  const auto number = static_cast<double>(bytes);
  if (bytes < (1ULL << 20U)) return scaled(number / 1024, "KiB");
  if (bytes < (1ULL << 30U)) return scaled(number / (1ULL << 20U), "MiB");
  return scaled(number / (1ULL << 30U), "GiB");
}

std::string human_count(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

std::string human_ns(std::uint64_t duration_ns) {
  const auto number = static_cast<double>(duration_ns);
  if (duration_ns == 0) return "0 s";
  if (duration_ns < 1'000) return std::to_string(duration_ns) + " ns";
  if (duration_ns < 1'000'000) return scaled(number / 1e3, "µs");
  if (duration_ns < 1'000'000'000) return scaled(number / 1e6, "ms");
  return scaled(number / 1e9, "s");
}

std::string human_age(std::int64_t age_us) {
  const char* sign = age_us < 0 ? "-" : "";
  const std::uint64_t us =
      age_us < 0 ? 0 - static_cast<std::uint64_t>(age_us) : static_cast<std::uint64_t>(age_us);
  const std::uint64_t seconds = us / 1'000'000;
  if (seconds < 1) return sign + human_ns(us * 1000);
  if (seconds < 120) return sign + std::to_string(seconds) + " s";
  if (seconds < 7200) return sign + std::to_string(seconds / 60) + " min";
  if (seconds < 172'800) return sign + std::to_string(seconds / 3600) + " h";
  return sign + std::to_string(seconds / 86'400) + " d";
}

std::size_t text_columns(const std::string& text) {
  std::size_t columns = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) ++columns;
  }
  return columns;
}

std::string padded(const std::string& text, std::size_t columns) {
  const std::size_t have = text_columns(text);
  return have < columns ? text + std::string(columns - have, ' ') : text;
}

}  // namespace deja
