// Two ways to look at the bytes of an event record (ring/event_record.capnp), which may be
// anybody's: by the layout that our own builder gives it, with one check for each part, and by
// Cap'n Proto's rules for whatever else is right. Both say the same of the same bytes, or the first
// says that it does not know. Any thread; no allocation.
//
// Places are those of the schema; tests/workers/worker/event_decoder_test.cc holds them against it.
#pragma once

#include <cstdint>
#include <cstring>

#include "shm/capnp_view.h"

namespace deja::event_record {

inline constexpr std::uint32_t kKeyPointer = 0;
inline constexpr std::uint32_t kValuesPointer = 1;
inline constexpr std::uint32_t kTextPointer = 0;

/// By Cap'n Proto's rules: any layout that an older or newer writer may give it.
class AnyLayout {
 public:
  AnyLayout(const void* bytes, std::uint32_t size)
      : message_(capnp_view::Message::of_segment(bytes, size)),
        root_(message_.root()),
        key_(root_.data(kKeyPointer)),
        values_(root_.list(kValuesPointer)),
        whole_words_(size % 8 == 0) {}
  AnyLayout(const AnyLayout&) = delete;  // the views point into it
  AnyLayout& operator=(const AnyLayout&) = delete;

  template <typename T>
  [[nodiscard]] T get(std::uint32_t offset) const {
    return root_.get<T>(offset);
  }
  [[nodiscard]] capnp_view::Text key() const { return key_; }
  [[nodiscard]] std::uint32_t value_count() const { return values_.size(); }
  template <typename T>
  [[nodiscard]] T value(std::uint32_t at, std::uint32_t offset) const {
    return values_[at].get<T>(offset);
  }
  [[nodiscard]] capnp_view::Text text(std::uint32_t at) const {
    return values_[at].data(kTextPointer);
  }
  /// Asked after the last look.
  [[nodiscard]] bool damaged() const { return message_.damaged() || !whole_words_; }

 private:
  capnp_view::Message message_;
  capnp_view::Struct root_;
  capnp_view::Text key_;
  capnp_view::List values_;
  bool whole_words_;
};

/// By the layout of our own builder (ingest/record_builder.h): root pointer, six words, two
/// pointers; the elements of the list two words and a pointer each.
class UsualLayout {
 public:
  UsualLayout(const void* bytes, std::uint32_t size)
      : bytes_(static_cast<const char*>(bytes)), words_(size / 8) {
    if (size % 8 != 0 || words_ < kFixedWords || word(0) != kRootPointer || !read_key() ||
        !read_values()) {
      words_ = 0;
    }
  }

  /// False: not of this layout, which says nothing about whether it is one at all.
  [[nodiscard]] bool usual() const { return words_ != 0; }

  template <typename T>
  [[nodiscard]] T get(std::uint32_t offset) const {
    return load<T>(8 + offset);
  }
  [[nodiscard]] capnp_view::Text key() const { return key_; }
  [[nodiscard]] std::uint32_t value_count() const { return value_count_; }
  template <typename T>
  [[nodiscard]] T value(std::uint32_t at, std::uint32_t offset) const {
    return load<T>((first_value_ + at * kValueWords) * 8 + offset);
  }
  [[nodiscard]] capnp_view::Text text(std::uint32_t at) {
    capnp_view::Text text;
    damaged_ = !bytes_at(first_value_ + at * kValueWords + kValueWords - 1, text) || damaged_;
    return text;
  }
  [[nodiscard]] bool damaged() const { return damaged_; }

 private:
  static constexpr std::uint32_t kFixedWords = 9;
  static constexpr std::uint32_t kKeyWord = 7;
  static constexpr std::uint32_t kValuesWord = 8;
  static constexpr std::uint32_t kValueWords = 3;
  static constexpr std::uint64_t kRootPointer = 0x0002'0006'0000'0000;
  static constexpr std::uint32_t kElementShape = 0x0001'0002;  // upper half of the list's tag

  template <typename T>
  [[nodiscard]] T load(std::uint32_t at) const {
    T value;
    std::memcpy(&value, bytes_ + at, sizeof value);
    return value;
  }
  [[nodiscard]] std::uint64_t word(std::uint32_t at) const { return load<std::uint64_t>(at * 8); }

  /// The word behind the pointer `pointer` at word `at`; no word of the record where it points
  /// outside, whichever way.
  [[nodiscard]] std::uint32_t target_of(std::uint32_t at, std::uint64_t pointer) const {
    const auto offset = static_cast<std::int32_t>(static_cast<std::uint32_t>(pointer)) >> 2;
    const std::int64_t target = std::int64_t{at} + 1 + offset;
    return target < 0 || target > words_ ? words_ + 1 : static_cast<std::uint32_t>(target);
  }
  /// The bytes that the pointer at word `at` points to; none for a null.
  [[nodiscard]] bool bytes_at(std::uint32_t at, capnp_view::Text& into) const {
    const std::uint64_t pointer = word(at);
    if (pointer == 0) return true;
    const std::uint32_t target = target_of(at, pointer);
    const auto size = static_cast<std::uint32_t>(pointer >> 35U);
    constexpr std::uint64_t kKindMask = 0x7'0000'0003;
    constexpr std::uint64_t kListOfBytes = 0x2'0000'0001;
    if ((pointer & kKindMask) != kListOfBytes || target > words_ ||
        (std::uint64_t{size} + 7) / 8 > words_ - target) {
      return false;
    }
    into = {bytes_ + std::size_t{target} * 8, size};
    return true;
  }
  [[nodiscard]] bool read_key() { return bytes_at(kKeyWord, key_); }
  [[nodiscard]] bool read_values() {
    const std::uint64_t pointer = word(kValuesWord);
    if (pointer == 0) return true;
    const std::uint32_t tag_at = target_of(kValuesWord, pointer);
    const auto list_words = static_cast<std::uint32_t>(pointer >> 35U);
    constexpr std::uint64_t kKindMask = 0x7'0000'0003;
    constexpr std::uint64_t kListOfStructs = 0x7'0000'0001;
    if ((pointer & kKindMask) != kListOfStructs || tag_at >= words_ ||
        list_words > words_ - tag_at - 1) {
      return false;
    }
    const std::uint64_t tag = word(tag_at);
    const std::uint32_t count = static_cast<std::uint32_t>(tag) >> 2U;
    if (tag >> 32U != kElementShape || (tag & 3U) != 0 ||
        std::uint64_t{count} * kValueWords > list_words) {
      return false;
    }
    first_value_ = tag_at + 1;
    value_count_ = count;
    return true;
  }

  const char* bytes_;
  std::uint32_t words_;
  capnp_view::Text key_;
  std::uint32_t first_value_ = 0;
  std::uint32_t value_count_ = 0;
  bool damaged_ = false;
};

}  // namespace deja::event_record
