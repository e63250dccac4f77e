#include "ingest/json_scan.h"

#include <array>
#include <bitset>

namespace deja {
namespace {

// What an unquoted scalar may consist of: numbers, true, false, null, and the near misses of them
// that the extractor refuses by name.
constexpr std::array<bool, 256> kScalarCharacters = [] {
  std::array<bool, 256> table{};
  for (unsigned c = '0'; c <= '9'; ++c) table[c] = true;
  for (unsigned c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (unsigned c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (const char c : {'+', '-', '.', '_'}) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

bool scan_scalar(JsonCursor& cursor) {
  const char* from = cursor.at;
  while (cursor.at != cursor.end && kScalarCharacters[static_cast<unsigned char>(*cursor.at)]) {
    ++cursor.at;
  }
  return cursor.at != from;
}

}  // namespace

bool scan_string(JsonCursor& cursor, std::string_view& content) {
  if (!cursor.take('"')) return false;
  const char* from = cursor.at;
  while (cursor.at != cursor.end && *cursor.at != '"') {
    if (*cursor.at == '\\') {
      if (++cursor.at == cursor.end) return false;
    }
    ++cursor.at;
  }
  if (cursor.at == cursor.end) return false;
  content = {from, static_cast<std::size_t>(cursor.at - from)};
  ++cursor.at;
  return true;
}

bool scan_value(JsonCursor& cursor, std::string_view& value) {
  cursor.skip_space();
  const char* from = cursor.at;
  std::bitset<kScanDepthMax> is_object;
  std::uint32_t depth = 0;
  std::string_view ignored;
  for (;;) {
    // A value begins here.
    cursor.skip_space();
    if (cursor.at == cursor.end) return false;
    const char first = *cursor.at;
    bool opened = false;
    if (first == '{' || first == '[') {
      if (depth == kScanDepthMax) {
        cursor.too_deep = true;
        return false;
      }
      ++cursor.at;
      if (!cursor.take(first == '{' ? '}' : ']')) {
        is_object[depth++] = first == '{';
        opened = true;
      }
    } else if (first == '"') {
      if (!scan_string(cursor, ignored)) return false;
    } else if (!scan_scalar(cursor)) {
      return false;
    }
    // It ended, and with it perhaps what it was in; or its first member comes.
    if (!opened) {
      for (;;) {
        if (depth == 0) {
          value = {from, static_cast<std::size_t>(cursor.at - from)};
          return true;
        }
        if (cursor.take(',')) break;
        if (!cursor.take(is_object[depth - 1] ? '}' : ']')) return false;
        --depth;
      }
    }
    if (is_object[depth - 1] && (!scan_string(cursor, ignored) || !cursor.take(':'))) return false;
  }
}

ScanOutcome scan_document(std::string_view document, JsonEnvelope& envelope) {
  envelope = {};
  JsonCursor cursor{document.data(), document.data() + document.size()};
  std::string_view value;
  const auto fault = [&] { return cursor.too_deep ? ScanOutcome::kTooDeep : ScanOutcome::kBroken; };
  cursor.skip_space();
  if (cursor.at == cursor.end || *cursor.at != '{') {
    return scan_value(cursor, value) && cursor.at_end() ? ScanOutcome::kNotObject : fault();
  }
  ++cursor.at;
  if (!cursor.take('}')) {
    do {
      std::string_view name;
      if (!scan_string(cursor, name) || !cursor.take(':') || !scan_value(cursor, value)) {
        return fault();
      }
      if (name == "batch") {
        envelope.batch = value;
      } else if (name == "writeKey") {
        const bool text = value.size() >= 2 && value.front() == '"';
        envelope.write_key = text ? value.substr(1, value.size() - 2) : std::string_view{};
      } else {
        envelope.has_shared = true;
      }
    } while (cursor.take(','));
    if (!cursor.take('}')) return ScanOutcome::kBroken;
  }
  return cursor.at_end() ? ScanOutcome::kObject : ScanOutcome::kBroken;
}

}  // namespace deja
