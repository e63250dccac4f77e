#include "ingest/unmatched_names.h"

#include <algorithm>
#include <optional>

#include "ingest/message_id.h"
#include "shm/nearest_name.h"
#include "shm/value.h"

namespace deja {
namespace {

// Of a name from outside, as much as a line for a person needs.
constexpr std::uint32_t kShownBytesMax = 72;

void append_quoted(std::string& text, std::string_view name) {
  const std::uint32_t size = static_cast<std::uint32_t>(std::min<std::size_t>(name.size(), 4096));
  const std::uint32_t shown = cut_text(name.data(), size, kShownBytesMax);
  text += '\'';
  for (const char letter : name.substr(0, shown)) {
    const auto byte = static_cast<unsigned char>(letter);
    text += byte < 0x20 || byte == 0x7f ? '?' : letter;
  }
  if (shown < name.size()) text += "…";
  text += '\'';
}

}  // namespace

std::string_view UnmatchedNames::sentence(CallType call, std::string_view name) {
  if (call == CallType::kGroup || call == CallType::kIdentify) name = {};
  const std::uint64_t hash =
      murmur3_128(name.data(), name.size(), static_cast<std::uint32_t>(call)).low;
  std::size_t at = hash % kEntries;
  while (!entries_[at].sentence.empty()) {
    if (entries_[at].hash == hash) return entries_[at].sentence;
    at = (at + 1) % kEntries;
  }
  if (count_ == kNamesMax) return "no event matches, under more names than are listed here";
  ++count_;
  entries_[at].hash = hash;
  entries_[at].sentence = compose(call, name);
  return entries_[at].sentence;
}

std::string UnmatchedNames::compose(CallType call, std::string_view name) const {
  std::string text = "no event matches ";
  text += call_name(call);
  if (call == CallType::kGroup || call == CallType::kIdentify) return text;
  text += ' ';
  append_quoted(text, name);
  const std::optional<std::string_view> nearest = nearest_name(name, recognizer_.names_of(call));
  if (nearest) {
    text += "; nearest declared: ";
    append_quoted(text, *nearest);
  }
  return text;
}

}  // namespace deja
