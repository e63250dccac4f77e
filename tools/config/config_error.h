// A mistake in a config (or a warning about one): where it is, what was found there, and what would
// be right. Plain data; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace deja {

struct ConfigError {
  std::string file;
  std::uint32_t line = 0;    ///< from 1; 0: about the file as a whole
  std::uint32_t column = 0;  ///< from 1, in characters
  std::string where;         ///< "[features] taste"
  std::string found;         ///< `unknown type "topp"`
  std::string right;         ///< `did you mean "top"?`

  /// `shop.toml:31:14: [features] taste: unknown type "topp"; did you mean "top"?`
  [[nodiscard]] std::string message() const {
    std::string text = file;
    if (line != 0) text.append(":").append(std::to_string(line));
    if (line != 0) text.append(":").append(std::to_string(column));
    text.append(": ");
    if (!where.empty()) text.append(where).append(": ");
    text.append(found);
    if (!right.empty()) text.append("; ").append(right);
    return text;
  }
};

}  // namespace deja
