// Looking for a text among the places of recent and top: each place's last word first, in one
// comparison without a call; the rest only where that agrees. Any thread.
#pragma once

#include <cstdint>

#include "shm/base/text_words.h"
#include "shm/columns/bytes.h"

namespace deja::features {

class TextProbe {
 public:
  /// Places have room for `room` bytes; `bytes` <= room.
  TextProbe(const char* text, std::uint32_t bytes, std::uint32_t room)
      : text_(text), bytes_(bytes), room_(room) {
    if (bytes >= 8) {
      word_ = load_word<std::uint64_t>(text + bytes - 8);
      mask_ = ~std::uint64_t{0};
    } else if (bytes > 0) {
      word_ = first_word(text, bytes) << (8 * (8 - bytes));
      mask_ = ~std::uint64_t{0} << (8 * (8 - bytes));
    }
  }

  /// The first of `count` places, beginning at `texts`, that has this text or ends the search;
  /// `count` when there is none. `ends(place)`: it does, whatever its text is. `length(place)`:
  /// more than there is room for means all, kFree that nothing is there. Looks at the 8 bytes
  /// before a text's end, so up to 8 before the place: a column has them, since its texts come
  /// last.
  template <typename Ends, typename Length>
  [[nodiscard, gnu::always_inline]] inline std::uint32_t find(const std::uint8_t* texts,
                                                              std::uint32_t count, const Ends& ends,
                                                              const Length& length) const {
    const std::uint8_t* last_word = texts + bytes_ - 8;
    for (std::uint32_t place = 0; place < count; ++place, last_word += room_) {
      if (ends(place)) return place;
      if (((columns::load<std::uint64_t>(last_word) ^ word_) & mask_) != 0) continue;
      if (is(last_word + 8 - bytes_, length(place))) return place;
    }
    return count;
  }
  static constexpr std::uint32_t kFree = 0xffff'ffff;

 private:
  [[nodiscard]] bool is(const std::uint8_t* place, std::uint32_t length) const {
    return length != kFree && (length < room_ ? length : room_) == bytes_ &&
           same_bytes(reinterpret_cast<const char*>(place), text_, bytes_);
  }

  const char* text_;
  std::uint32_t bytes_;
  std::uint32_t room_;
  std::uint64_t word_ = 0;
  std::uint64_t mask_ = 0;  ///< of the word's bytes that are the text's
};

}  // namespace deja::features
