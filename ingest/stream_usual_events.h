// The events of a batch, looked at by the layout that the schema of this version gives them, with
// one check for each pointer: event 2 words and 7 pointers, member 2 words and 2 pointers. Whatever
// is laid out otherwise (by an older or newer writer, or by somebody hostile) is not *usual*, which
// says nothing about whether it is right: shm/capnp_view.h, which knows all rules, looks at it
// then. What both take, they take alike. Any thread; no allocation.
//
// Nothing outside of the message is read, whatever is in there.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "ingest/utf8.h"
#include "shm/base/text_words.h"
#include "shm/capnp_words.h"

namespace deja {

class UsualEvents {
 public:
  using Elements = capnp_words::Elements;
  static constexpr std::uint32_t kDataWords = 2;  // of an event, and of a member
  static constexpr std::uint32_t kMemberWords = kDataWords + 2;

  /// A StreamMessage that is a batch, its segment table included.
  explicit UsualEvents(std::span<const std::uint8_t> message)
      : words_(reinterpret_cast<const char*>(message.data()) + 8,
               static_cast<std::uint32_t>(message.size() / 8 - 1)) {
    std::uint32_t root = 0;
    std::uint32_t batch = 0;
    if (words_.count() == 0 || !words_.struct_at(0, kMessageShape, root) ||
        !words_.struct_at(root + 1, kBatchShape, batch) ||
        !words_.structs_at(batch + 2, kEventShape, events_)) {
      events_ = {};
    }
  }

  /// 0 where the batch itself is not usual.
  [[nodiscard]] std::uint32_t count() const { return events_.count; }
  /// The first word of an event.
  [[nodiscard]] std::uint32_t event(std::uint32_t index) const {
    return events_.at + index * capnp_words::words_of(kEventShape);
  }
  template <typename T>
  [[nodiscard]] T get(std::uint32_t struct_at, std::uint32_t byte) const {
    return words_.get<T>(struct_at, byte);
  }
  /// The text, UTF-8, that the pointer at word `at` points to. False: not usual.
  [[nodiscard]] bool text(std::uint32_t at, std::string_view& into) const {
    into = {};
    if (words_.word(at) == 0) return true;
    capnp_view::Text with_zero;
    if (!words_.bytes_at(at, with_zero) || with_zero.size == 0 ||
        with_zero.data[with_zero.size - 1] != '\0') {
      return false;
    }
    into = {with_zero.data, with_zero.size - 1};
    std::uint64_t all = 0;  // what lies behind the zero may be anything: then is_utf8() says
    for (std::uint32_t byte = 0; byte < with_zero.size; byte += 8) {
      all |= load_word<std::uint64_t>(with_zero.data + byte);
    }
    return (all & 0x8080808080808080U) == 0 || is_utf8(into);
  }
  /// The members that the pointer at word `at` points to. False: not usual.
  [[nodiscard]] bool members(std::uint32_t at, Elements& into) const {
    return words_.structs_at(at, kMemberShape, into);
  }

 private:
  static constexpr capnp_words::Shape kMessageShape = 0x0001'0001;
  static constexpr capnp_words::Shape kBatchShape = 0x0001'0002;
  static constexpr capnp_words::Shape kEventShape = 0x0007'0002;
  static constexpr capnp_words::Shape kMemberShape = 0x0002'0002;
  static_assert(capnp_words::words_of(kMemberShape) == kMemberWords);

  capnp_words::Words words_;
  Elements events_;
};

}  // namespace deja
