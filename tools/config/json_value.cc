#include "tools/config/json_value.h"

#include <charconv>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

namespace deja {
namespace {

constexpr int kDepthMax = 64;

void append_utf8(std::string& out, unsigned code_point) {
  const auto byte = [&](unsigned bits) { out.push_back(static_cast<char>(bits)); };
  if (code_point < 0x80) return byte(code_point);
  if (code_point < 0x800) {
    byte(0xC0U | code_point >> 6U);
  } else {
    byte(0xE0U | code_point >> 12U);
    byte(0x80U | (code_point >> 6U & 0x3FU));
  }
  byte(0x80U | (code_point & 0x3FU));
}

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : rest_(text) {}

  std::optional<TomlValue> read_all() {
    TomlValue value;
    if (!read(value, 0)) return std::nullopt;
    skip_blanks();
    if (!rest_.empty()) return std::nullopt;
    return value;
  }

 private:
  bool read(TomlValue& value, int depth) {
    skip_blanks();
    if (depth > kDepthMax || rest_.empty()) return false;
    switch (rest_.front()) {
      case '"':
        value.kind = TomlKind::kText;
        return read_text(value.text);
      case '[':
        return read_array(value, depth);
      case '{':
        return read_object(value, depth);
      case 'n':
        return take("null");
      case 't':
        value.kind = TomlKind::kBool;
        value.truth = true;
        return take("true");
      case 'f':
        value.kind = TomlKind::kBool;
        return take("false");
      default:
        return read_number(value);
    }
  }

  bool read_number(TomlValue& value) {
    value.kind = TomlKind::kNumber;
    const char* end = rest_.data() + rest_.size();
    const auto [stopped, fault] = std::from_chars(rest_.data(), end, value.number);
    if (fault != std::errc{}) return false;
    rest_.remove_prefix(static_cast<std::size_t>(stopped - rest_.data()));
    return true;
  }

  bool read_text(std::string& text) {
    if (!take("\"")) return false;
    while (!rest_.empty() && rest_.front() != '"') {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c != '\\') {
        text.push_back(c);
      } else if (!read_escape(text)) {
        return false;
      }
    }
    return take("\"");
  }

  bool read_escape(std::string& text) {
    if (rest_.empty()) return false;
    const char c = rest_.front();
    rest_.remove_prefix(1);
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (const std::size_t at = kLetters.find(c); at != std::string_view::npos) {
      text.push_back(kMeanings[at]);
      return true;
    }
    unsigned code_point = 0;
    if (c != 'u' || rest_.size() < 4) return false;
    const auto [stopped, fault] = std::from_chars(rest_.data(), rest_.data() + 4, code_point, 16);
    if (fault != std::errc{} || stopped != rest_.data() + 4) return false;
    rest_.remove_prefix(4);
    append_utf8(text, code_point);
    return true;
  }

  bool read_array(TomlValue& value, int depth) {
    value.kind = TomlKind::kArray;
    if (!take("[")) return false;
    if (take("]")) return true;
    do {
      if (!read(value.elements.emplace_back(), depth + 1)) return false;
    } while (take(","));
    return take("]");
  }

  bool read_object(TomlValue& value, int depth) {
    if (!take("{")) return false;
    if (take("}")) return true;
    do {
      TomlEntry entry;
      skip_blanks();
      if (!read_text(entry.key) || !take(":") || !read(entry.value, depth + 1)) return false;
      value.entries.push_back(std::move(entry));
    } while (take(","));
    return take("}");
  }

  bool take(std::string_view expected) {
    skip_blanks();
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }

  void skip_blanks() {
    const std::size_t blanks = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(blanks == std::string_view::npos ? rest_.size() : blanks);
  }

  std::string_view rest_;
};

}  // namespace

std::optional<TomlValue> parse_json(std::string_view text) {
  return JsonReader(text).read_all();
}

}  // namespace deja
