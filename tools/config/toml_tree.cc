#include "tools/config/toml_tree.h"

// toml++ 3.3 asserts (and, compiled by clang with NDEBUG, assumes) things about the document that
// "[[[" makes untrue, right before code that reports them properly: no assertions, no assumptions.
#undef NDEBUG
#define TOML_ASSERT(expression) static_assert(true)
#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <utility>

namespace deja {
namespace {

TomlPlace place_of(const toml::source_region& region) {
  return {region.begin.line, region.begin.column};
}

bool before(const TomlPlace& a, const TomlPlace& b) {
  return a.line != b.line ? a.line < b.line : a.column < b.column;
}

template <typename Time>
std::string time_text(const Time& time) {
  std::ostringstream out;
  out << time;
  return out.str();
}

TomlValue converted(const toml::node& node);

TomlValue converted_table(const toml::table& table) {
  TomlValue value;
  for (const auto& [key, child] : table) {
    value.entries.push_back({std::string(key.str()), place_of(key.source()), converted(child)});
  }
  std::stable_sort(value.entries.begin(), value.entries.end(),
                   [](const TomlEntry& a, const TomlEntry& b) { return before(a.place, b.place); });
  return value;
}

// As deep as the document, which toml++ bounds (TOML_MAX_NESTED_VALUES, 256).
TomlValue converted(const toml::node& node) {
  TomlValue value;
  if (const auto* table = node.as_table()) {
    value = converted_table(*table);
  } else if (const auto* array = node.as_array()) {
    value.kind = TomlKind::kArray;
    for (const toml::node& element : *array) value.elements.push_back(converted(element));
  } else if (const auto* text = node.as_string()) {
    value.kind = TomlKind::kText;
    value.text = text->get();
  } else if (const auto* integer = node.as_integer()) {
    value.kind = TomlKind::kInteger;
    value.integer = integer->get();
    value.number = static_cast<double>(integer->get());
  } else if (const auto* number = node.as_floating_point()) {
    value.kind = TomlKind::kNumber;
    value.number = number->get();
  } else if (const auto* truth = node.as_boolean()) {
    value.kind = TomlKind::kBool;
    value.truth = truth->get();
  } else {
    value.kind = TomlKind::kTime;
    if (const auto* date = node.as_date()) value.text = time_text(date->get());
    if (const auto* time = node.as_time()) value.text = time_text(time->get());
    if (const auto* both = node.as_date_time()) value.text = time_text(both->get());
  }
  value.place = place_of(node.source());
  if (value.place.line == 0 && !value.entries.empty()) value.place = value.entries.front().place;
  return value;
}

/// Bytes of the UTF-8 encoding of a code point.
std::size_t encoded_bytes(unsigned long code_point) {
  if (code_point < 0x80) return 1;
  if (code_point < 0x800) return 2;
  return code_point < 0x10000 ? 3 : 4;
}

/// Walks over the document, counting lines and columns.
class Cursor {
 public:
  explicit Cursor(std::string_view document) : rest_(document) {}

  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  [[nodiscard]] std::string_view rest() const { return rest_; }
  [[nodiscard]] TomlPlace place() const { return place_; }

  void skip(std::size_t bytes) {
    for (; bytes > 0 && !rest_.empty(); --bytes) {
      const char passed = rest_.front();
      rest_.remove_prefix(1);
      const bool ends_character =
          rest_.empty() || (static_cast<unsigned char>(rest_.front()) & 0xC0U) != 0x80U;
      if (passed == '\n') {
        place_ = {place_.line + 1, 1};
      } else if (ends_character) {
        ++place_.column;
      }
    }
  }

 private:
  std::string_view rest_;
  TomlPlace place_{1, 1};
};

/// The escape at the front of `rest` (a backslash): its length as written and as meant.
std::pair<std::size_t, std::size_t> escape_bytes(std::string_view rest) {
  if (rest.size() < 2) return {rest.size(), 0};
  if (rest[1] == 'u' || rest[1] == 'U') {
    const std::size_t digits = rest[1] == 'u' ? 4 : 8;
    unsigned long code_point = 0;
    const std::string_view hex = rest.substr(2, digits);
    (void)std::from_chars(hex.data(), hex.data() + hex.size(), code_point, 16);
    return {2 + hex.size(), encoded_bytes(code_point)};
  }
  const std::size_t blank_end = rest.find_first_not_of(" \t\r\n", 1);
  if (blank_end != 1) return {std::min(blank_end, rest.size()), 0};  // a folded line break
  return {2, 1};
}

}  // namespace

const TomlValue* TomlValue::find(std::string_view key) const {
  for (const TomlEntry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

std::variant<TomlValue, TomlError> parse_toml(std::string_view document) {
  if (document.size() > kTomlBytesMax) {
    return TomlError{{1, 1}, "longer than " + std::to_string(kTomlBytesMax) + " bytes"};
  }
  try {
    return converted_table(toml::parse(document));
  } catch (const toml::parse_error& error) {
    return TomlError{place_of(error.source()), std::string(error.description())};
  }
}

TomlPlace place_in_text(std::string_view document, const TomlValue& text, std::size_t offset) {
  Cursor cursor(document);
  while (!cursor.at_end() && before(cursor.place(), text.place)) cursor.skip(1);
  const std::string_view rest = cursor.rest();
  const bool is_literal = rest.starts_with("'");
  if (!is_literal && !rest.starts_with("\"")) return text.place;
  const bool is_multi_line = rest.starts_with("'''") || rest.starts_with("\"\"\"");
  cursor.skip(is_multi_line ? 3 : 1);
  if (is_multi_line && cursor.rest().starts_with("\r\n")) cursor.skip(2);
  if (is_multi_line && cursor.rest().starts_with("\n")) cursor.skip(1);
  std::size_t passed = 0;
  while (passed < offset && !cursor.at_end()) {
    if (!is_literal && cursor.rest().starts_with("\\")) {
      const auto [written, meant] = escape_bytes(cursor.rest());
      cursor.skip(written);
      passed += meant;
    } else {
      cursor.skip(1);
      ++passed;
    }
  }
  return cursor.place();
}

std::string shown(const TomlValue& value) {
  constexpr std::size_t kShownBytesMax = 60;
  switch (value.kind) {
    case TomlKind::kText:
      if (value.text.size() <= kShownBytesMax) return '"' + value.text + '"';
      return '"' + value.text.substr(0, kShownBytesMax) + "...\"";
    case TomlKind::kInteger:
      return std::to_string(value.integer);
    case TomlKind::kNumber: {
      std::ostringstream out;
      out << value.number;
      return out.str();
    }
    case TomlKind::kBool:
      return value.truth ? "true" : "false";
    case TomlKind::kTime:
      return value.text;
    case TomlKind::kArray:
      return "a list";
    case TomlKind::kTable:
      return "a table";
  }
  return {};
}

}  // namespace deja
