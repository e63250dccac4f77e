#include "ingest/json_scan.h"

#include <array>
#include <bit>
#include <bitset>

#include "shm/base/text_words.h"

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

/// The first of either, or `end`; 8 bytes at a time, by the highest bit of each: it is set in the
/// lowest byte that is looked for, and perhaps in bytes above that one.
const char* quote_or_backslash(const char* at, const char* end) {
  constexpr std::uint64_t kOnes = 0x0101010101010101U;
  constexpr std::uint64_t kHigh = 0x8080808080808080U;
  for (; end - at >= 8; at += 8) {
    const auto word = load_word<std::uint64_t>(at);
    const std::uint64_t quotes = word ^ kOnes * '"';
    const std::uint64_t backslashes = word ^ kOnes * '\\';
    const std::uint64_t found =
        (((quotes - kOnes) & ~quotes) | ((backslashes - kOnes) & ~backslashes)) & kHigh;
    if (found != 0) return at + std::countr_zero(found) / 8;
  }
  while (at != end && *at != '"' && *at != '\\') ++at;
  return at;
}

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
  for (;;) {
    cursor.at = quote_or_backslash(cursor.at, cursor.end);
    if (cursor.at == cursor.end) return false;
    if (*cursor.at == '"') break;
    if (++cursor.at == cursor.end) return false;
    ++cursor.at;
  }
  content = {from, static_cast<std::size_t>(cursor.at - from)};
  ++cursor.at;
  return true;
}

bool scan_value(JsonCursor& cursor, std::string_view& value, std::uint32_t& member_count) {
  member_count = 0;
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
        if (depth == 1) ++member_count;
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

bool scan_value(JsonCursor& cursor, std::string_view& value) {
  std::uint32_t ignored = 0;
  return scan_value(cursor, value, ignored);
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
      std::uint32_t member_count = 0;
      if (!scan_string(cursor, name) || !cursor.take(':') ||
          !scan_value(cursor, value, member_count)) {
        return fault();
      }
      if (name == "batch") {
        envelope.batch = value;
        envelope.batch_count = member_count;
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
