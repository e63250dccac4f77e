// A value as an item of recent, top and distinct: items are texts, whatever the shop sent. Any
// thread; no allocation.
#pragma once

#include <cstdint>

#include "shm/number_text.h"
#include "shm/value.h"

namespace deja::features {

/// The bytes of an item; a view of the value's text or into this object, hence not copied.
class ItemText {
 public:
  /// A number becomes its shortest text ("12", "0.5"), a truth value "true" or "false"; null and
  /// absent are no item.
  explicit ItemText(const Value& value) {
    switch (value.kind) {
      case ValueKind::kText:
        there_ = true;
        text_ = value.text;
        bytes_ = value.text_bytes;
        break;
      case ValueKind::kNumber:
        there_ = true;
        text_ = number_;
        bytes_ = write_number(number_, value.number);
        break;
      case ValueKind::kBool:
        there_ = true;
        text_ = value.number != 0 ? "true" : "false";
        bytes_ = value.number != 0 ? 4 : 5;
        break;
      default:
        break;
    }
  }
  ItemText(const ItemText&) = delete;
  ItemText& operator=(const ItemText&) = delete;

  [[nodiscard]] bool there() const { return there_; }
  [[nodiscard]] const char* text() const { return text_; }
  [[nodiscard]] std::uint32_t bytes() const { return bytes_; }
  /// bytes(), cut at a character's border.
  [[nodiscard]] std::uint32_t bytes_within(std::uint32_t bytes_max) const {
    return cut_text(text_, bytes_, bytes_max);
  }

 private:
  bool there_ = false;
  const char* text_ = nullptr;
  std::uint32_t bytes_ = 0;
  char number_[kNumberTextBytesMax];
};

}  // namespace deja::features
