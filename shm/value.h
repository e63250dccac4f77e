// One value of an event or of a feature: nothing, null, a truth value, a number or a text. A view:
// the text belongs to whoever made the value. Any thread; no allocation.
//
// Values are ordered so that ties have one answer everywhere: null < bool < number < text; numbers
// by value, text by bytes.
#pragma once

#include <cstdint>
#include <cstring>

namespace deja {

enum class ValueKind : std::uint8_t { kAbsent = 0, kNull = 1, kBool = 2, kNumber = 3, kText = 4 };

struct Value {
  ValueKind kind = ValueKind::kAbsent;
  double number = 0;           ///< kNumber (never NaN or infinite), kBool as 0 or 1
  const char* text = nullptr;  ///< kText: UTF-8, not terminated
  std::uint32_t text_bytes = 0;

  [[nodiscard]] static constexpr Value of(double value) {
    return {ValueKind::kNumber, value, nullptr, 0};
  }
  [[nodiscard]] static constexpr Value of(const char* text, std::uint32_t bytes) {
    return {ValueKind::kText, 0, text, bytes};
  }
  [[nodiscard]] bool absent() const { return kind == ValueKind::kAbsent; }
};

/// <0, 0, >0 as a sorts before, with, after b.
[[nodiscard]] inline int compare(const Value& a, const Value& b) {
  if (a.kind != b.kind) return a.kind < b.kind ? -1 : 1;
  if (a.kind == ValueKind::kText) {
    const std::uint32_t common = a.text_bytes < b.text_bytes ? a.text_bytes : b.text_bytes;
    const int order = common == 0 ? 0 : std::memcmp(a.text, b.text, common);
    if (order != 0) return order;
    return a.text_bytes < b.text_bytes ? -1 : (a.text_bytes > b.text_bytes ? 1 : 0);
  }
  return a.number < b.number ? -1 : (a.number > b.number ? 1 : 0);
}

/// Bytes of `text` that fit into `max_bytes` without splitting a UTF-8 character.
[[nodiscard]] inline std::uint32_t cut_text(const char* text, std::uint32_t bytes,
                                            std::uint32_t max_bytes) {
  if (bytes <= max_bytes) return bytes;
  std::uint32_t end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return end;
}

}  // namespace deja
