// The events of a batch, looked at by the layout that the schema of this version gives them, with
// one check for each pointer: event 2 words and 7 pointers, member 2 words and 2 pointers. Whatever
// is laid out otherwise (by an older or newer writer, or by somebody hostile) is not *usual*, which
// says nothing about whether it is right: shm/capnp_view.h, which knows all rules, looks at it
// then. What both take, they take alike. Any thread; no allocation.
//
// Nothing outside of the message is read, whatever is in there.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "ingest/text_words.h"
#include "ingest/utf8.h"

namespace deja {

class UsualEvents {
 public:
  /// A list of structs: its elements' first word, and how many there are.
  struct Elements {
    std::uint32_t at = 0;
    std::uint32_t count = 0;
  };
  static constexpr std::uint32_t kDataWords = 2;  // of an event, and of a member
  static constexpr std::uint32_t kMemberWords = kDataWords + 2;
  static constexpr std::uint32_t kEventWords = kDataWords + 7;

  UsualEvents() = default;
  /// A StreamMessage that is a batch, its segment table included.
  explicit UsualEvents(std::span<const std::uint8_t> message)
      : segment_(reinterpret_cast<const char*>(message.data()) + 8),
        words_(static_cast<std::uint32_t>(message.size() / 8 - 1)) {
    std::uint32_t root = 0;
    std::uint32_t batch = 0;
    if (words_ == 0 || !struct_at(0, kMessageShape, root) ||
        !struct_at(root + 1, kBatchShape, batch) ||
        !structs_at(batch + 2, kEventShape, kEventWords, events_)) {
      events_ = {};
    }
  }

  /// 0 where the batch itself is not usual.
  [[nodiscard]] std::uint32_t count() const { return events_.count; }
  /// The first word of an event.
  [[nodiscard]] std::uint32_t event(std::uint32_t index) const {
    return events_.at + index * kEventWords;
  }
  template <typename T>
  [[nodiscard]] T get(std::uint32_t struct_at, std::uint32_t byte) const {
    return load_word<T>(segment_ + std::size_t{struct_at} * 8 + byte);
  }
  /// The text, UTF-8, that the pointer at word `at` points to. False: not usual.
  [[nodiscard]] bool text(std::uint32_t at, std::string_view& into) const {
    const std::uint64_t pointer = word(at);
    if (pointer == 0) {
      into = {};
      return true;
    }
    const std::uint32_t target = target_of(at, pointer);
    const auto with_zero = static_cast<std::uint32_t>(pointer >> 35U);
    const std::uint32_t text_words = (with_zero + 7) / 8;
    if ((pointer & kKindMask) != kListOfBytes || with_zero == 0 || target > words_ ||
        text_words > words_ - target) {
      return false;
    }
    const char* bytes = segment_ + std::size_t{target} * 8;
    if (bytes[with_zero - 1] != '\0') return false;
    into = {bytes, with_zero - 1};
    std::uint64_t all = 0;  // what lies behind the zero may be anything: then is_utf8() says
    for (std::uint32_t next = 0; next < text_words; ++next) all |= word(target + next);
    return (all & 0x8080808080808080U) == 0 || is_utf8(into);
  }
  /// The members that the pointer at word `at` points to. False: not usual.
  [[nodiscard]] bool members(std::uint32_t at, Elements& into) const {
    return structs_at(at, kMemberShape, kMemberWords, into);
  }

 private:
  // Upper half of a struct's pointer and of a list's tag: words, and pointers above.
  static constexpr std::uint32_t kMessageShape = 0x0001'0001;
  static constexpr std::uint32_t kBatchShape = 0x0001'0002;
  static constexpr std::uint32_t kEventShape = 0x0007'0002;
  static constexpr std::uint32_t kMemberShape = 0x0002'0002;
  static constexpr std::uint64_t kKindMask = 0x7'0000'0003;
  static constexpr std::uint64_t kListOfBytes = 0x2'0000'0001;
  static constexpr std::uint64_t kListOfStructs = 0x7'0000'0001;

  [[nodiscard]] std::uint64_t word(std::uint32_t at) const {
    return load_word<std::uint64_t>(segment_ + std::size_t{at} * 8);
  }
  /// The word that the pointer at word `at` points to; one behind the message where that is
  /// outside, whichever way.
  [[nodiscard]] std::uint32_t target_of(std::uint32_t at, std::uint64_t pointer) const {
    const auto offset = static_cast<std::int32_t>(static_cast<std::uint32_t>(pointer)) >> 2;
    const std::int64_t target = std::int64_t{at} + 1 + offset;
    return target < 0 || target > words_ ? words_ + 1 : static_cast<std::uint32_t>(target);
  }
  [[nodiscard]] bool struct_at(std::uint32_t at, std::uint32_t shape, std::uint32_t& target) const {
    const std::uint64_t pointer = word(at);
    target = target_of(at, pointer);
    const std::uint32_t struct_words = (shape & 0xffffU) + (shape >> 16U);
    return (pointer & 3U) == 0 && pointer >> 32U == shape && target <= words_ &&
           struct_words <= words_ - target;
  }
  [[nodiscard]] bool structs_at(std::uint32_t at, std::uint32_t shape, std::uint32_t element_words,
                                Elements& into) const {
    const std::uint64_t pointer = word(at);
    into = {};
    if (pointer == 0) return true;
    const std::uint32_t tag_at = target_of(at, pointer);
    const auto list_words = static_cast<std::uint32_t>(pointer >> 35U);
    if ((pointer & kKindMask) != kListOfStructs || tag_at >= words_ ||
        list_words > words_ - tag_at - 1) {
      return false;
    }
    const std::uint64_t tag = word(tag_at);
    const std::uint32_t count = static_cast<std::uint32_t>(tag) >> 2U;
    if (tag >> 32U != shape || (tag & 3U) != 0 ||
        std::uint64_t{count} * element_words > list_words) {
      return false;
    }
    into = {tag_at + 1, count};
    return true;
  }

  const char* segment_ = nullptr;
  std::uint32_t words_ = 0;
  Elements events_;
};

}  // namespace deja
