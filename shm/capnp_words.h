// The words of one Cap'n Proto segment that may be anybody's, followed by the layout that a schema
// of ours gives them: one check for each pointer, where shm/capnp_view.h has all of Cap'n Proto's
// rules. What is laid out otherwise is *unusual*, which says nothing about whether it is right.
// What both take, they take alike. Any thread; no allocation; libc alone. Source of the encoding:
// capnproto.org, "Encoding Spec".
//
// Nothing outside of the segment is read, whatever is in there: a word number that a function here
// has given out may be read with what its shape says behind it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shm/base/text_words.h"
#include "shm/capnp_view.h"

namespace deja::capnp_words {

/// The upper half of a struct's pointer and of a list's tag: words of data, and pointers above.
using Shape = std::uint32_t;

[[nodiscard]] constexpr std::uint32_t words_of(Shape shape) {
  return (shape & 0xffffU) + (shape >> 16U);
}

/// A list of structs: its first element's first word, and how many there are.
struct Elements {
  std::uint32_t at = 0;
  std::uint32_t count = 0;
};

class Words {
 public:
  Words() = default;
  Words(const char* segment, std::uint32_t count) : segment_(segment), count_(count) {}

  [[nodiscard]] std::uint32_t count() const { return count_; }
  /// The number at a byte of the struct whose first word is `at`.
  template <typename T>
  [[nodiscard]] T get(std::uint32_t at, std::uint32_t byte) const {
    return load_word<T>(segment_ + std::size_t{at} * 8 + byte);
  }
  [[nodiscard]] std::uint64_t word(std::uint32_t at) const { return get<std::uint64_t>(at, 0); }

  // What the pointer at word `at` points to. False: unusual; `into` then holds anything.

  /// A struct's first word. A null is unusual.
  [[nodiscard]] bool struct_at(std::uint32_t at, Shape shape, std::uint32_t& into) const {
    const std::uint64_t pointer = word(at);
    into = target_of(at, pointer);
    return (pointer & 3U) == 0 && pointer >> 32U == shape && into <= count_ &&
           words_of(shape) <= count_ - into;
  }
  /// Bytes; of a null `into` stays as it is.
  [[nodiscard]] bool bytes_at(std::uint32_t at, capnp_view::Text& into) const {
    const std::uint64_t pointer = word(at);
    if (pointer == 0) return true;
    const std::uint32_t target = target_of(at, pointer);
    const auto size = static_cast<std::uint32_t>(pointer >> 35U);
    if ((pointer & kKindMask) != kListOfBytes || target > count_ ||
        (size + 7) / 8 > count_ - target) {
      return false;
    }
    into = {segment_ + std::size_t{target} * 8, size};
    return true;
  }
  /// Structs; none where it is a null.
  [[nodiscard]] bool structs_at(std::uint32_t at, Shape shape, Elements& into) const {
    const std::uint64_t pointer = word(at);
    into = {};
    if (pointer == 0) return true;
    const std::uint32_t tag_at = target_of(at, pointer);
    const auto list_words = static_cast<std::uint32_t>(pointer >> 35U);
    if ((pointer & kKindMask) != kListOfStructs || tag_at >= count_ ||
        list_words > count_ - tag_at - 1) {
      return false;
    }
    const std::uint64_t tag = word(tag_at);
    const std::uint32_t elements = static_cast<std::uint32_t>(tag) >> 2U;
    if (tag >> 32U != shape || (tag & 3U) != 0 ||
        std::uint64_t{elements} * words_of(shape) > list_words) {
      return false;
    }
    into = {tag_at + 1, elements};
    return true;
  }

 private:
  static constexpr std::uint64_t kKindMask = 0x7'0000'0003;
  static constexpr std::uint64_t kListOfBytes = 0x2'0000'0001;
  static constexpr std::uint64_t kListOfStructs = 0x7'0000'0001;

  /// The word that the pointer at word `at` points to; one behind the end where that is outside,
  /// whichever way.
  [[nodiscard]] std::uint32_t target_of(std::uint32_t at, std::uint64_t pointer) const {
    const auto offset = static_cast<std::int32_t>(static_cast<std::uint32_t>(pointer)) >> 2;
    const std::int64_t target = std::int64_t{at} + 1 + offset;
    return target < 0 || target > count_ ? count_ + 1 : static_cast<std::uint32_t>(target);
  }

  const char* segment_ = nullptr;
  std::uint32_t count_ = 0;
};

}  // namespace deja::capnp_words
