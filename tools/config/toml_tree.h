// A TOML document as plain data: every value with the line and column at which it stands, tables in
// the document's order. The one home of toml++, so that nothing else has to know it. Made once,
// immutable afterwards; it allocates. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace deja {

inline constexpr std::size_t kTomlBytesMax = std::size_t{1} << 20U;

/// Line and column from 1; columns count characters.
struct TomlPlace {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

enum class TomlKind { kText, kInteger, kNumber, kBool, kTime, kArray, kTable };

struct TomlEntry;

struct TomlValue {
  TomlKind kind = TomlKind::kTable;
  TomlPlace place;                  ///< of its first character; of an implied table, its first key
  std::string text;                 ///< kText; kTime as written (RFC 3339 where it has a zone)
  std::int64_t integer = 0;         ///< kInteger
  double number = 0;                ///< kNumber, and kInteger as a double
  bool truth = false;               ///< kBool
  std::vector<TomlValue> elements;  ///< kArray
  std::vector<TomlEntry> entries;   ///< kTable, in the document's order

  /// The value of `key`, or nullptr. kTable only.
  [[nodiscard]] const TomlValue* find(std::string_view key) const;
};

struct TomlEntry {
  std::string key;
  TomlPlace place;  ///< of the key
  TomlValue value;
};

struct TomlError {
  TomlPlace place;
  std::string message;
};

/// Parses a document of at most kTomlBytesMax bytes.
[[nodiscard]] std::variant<TomlValue, TomlError> parse_toml(std::string_view document);

/// Where byte `offset` of the kText value at `text` stands in `document`, escapes and line breaks
/// included: a mistake inside a string is shown where it is.
[[nodiscard]] TomlPlace place_in_text(std::string_view document, const TomlValue& text,
                                      std::size_t offset);

/// How a value is called in a complaint: `"topp"`, `12`, `a list`.
[[nodiscard]] std::string shown(const TomlValue& value);

}  // namespace deja
