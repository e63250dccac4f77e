// What output for people has in common: colours and progress only where a terminal is, numbers that
// read well. Any thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace deja {

/// Escape sequences, all empty where `stream` is no terminal (or NO_COLOR is set).
struct Style {
  const char* bold = "";
  const char* dim = "";
  const char* red = "";
  const char* green = "";
  const char* yellow = "";
  const char* plain = "";
};
[[nodiscard]] Style style_of(std::FILE* stream);
[[nodiscard]] bool is_terminal(std::FILE* stream);

/// "1.2 GiB".
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);
/// "1,234,567".
[[nodiscard]] std::string human_count(std::uint64_t count);
/// "870 ns", "12.3 µs", "4.56 ms", "1.20 s".
[[nodiscard]] std::string human_ns(std::uint64_t duration_ns);
/// "3 s", "2 min", "5 h", "12 d": an age of people's size.
[[nodiscard]] std::string human_age(std::int64_t age_us);

/// The columns that UTF-8 `text` takes on a terminal, combining marks aside.
[[nodiscard]] std::size_t text_columns(const std::string& text);
/// `text` and spaces up to `columns`.
[[nodiscard]] std::string padded(const std::string& text, std::size_t columns);

}  // namespace deja
