// Two ways to look at the bytes of an event record (ring/event_record.capnp), which may be
// anybody's: by the layout that our own builder gives it, with one check for each part, and by
// Cap'n Proto's rules for whatever else is right. Both say the same of the same bytes, or the first
// says that it does not know. Any thread; no allocation.
//
// Places are those of the schema; tests/workers/worker/event_decoder_test.cc holds them against it.
#pragma once

#include <cstdint>

#include "shm/capnp_view.h"
#include "shm/capnp_words.h"

namespace deja::event_record {

// In the record's data, bytes.
inline constexpr std::uint32_t kReceivedUs = 0;
inline constexpr std::uint32_t kTimeUs = 8;
inline constexpr std::uint32_t kIdLow = 16;
inline constexpr std::uint32_t kIdHigh = 24;
inline constexpr std::uint32_t kKinds = 32;
inline constexpr std::uint32_t kShard = 40;
inline constexpr std::uint32_t kKeyNamespace = 44;
// Among its pointers; in a value, its text's.
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
      : words_(static_cast<const char*>(bytes), size / 8),
        usual_(size % 8 == 0 && words_.count() >= kFixedWords && words_.word(0) == kRootPointer &&
               words_.bytes_at(kKeyWord, key_) &&
               words_.structs_at(kValuesWord, kValueShape, values_)) {}

  /// False: not of this layout, which says nothing about whether it is one at all.
  [[nodiscard]] bool usual() const { return usual_; }

  template <typename T>
  [[nodiscard]] T get(std::uint32_t offset) const {
    return words_.get<T>(1, offset);
  }
  [[nodiscard]] capnp_view::Text key() const { return key_; }
  [[nodiscard]] std::uint32_t value_count() const { return values_.count; }
  template <typename T>
  [[nodiscard]] T value(std::uint32_t at, std::uint32_t offset) const {
    return words_.get<T>(value_at(at), offset);
  }
  [[nodiscard]] capnp_view::Text text(std::uint32_t at) {
    capnp_view::Text text;
    damaged_ = !words_.bytes_at(value_at(at) + kValueDataWords, text) || damaged_;
    return text;
  }
  [[nodiscard]] bool damaged() const { return damaged_; }

 private:
  static constexpr std::uint32_t kFixedWords = 9;
  static constexpr std::uint32_t kKeyWord = 7;
  static constexpr std::uint32_t kValuesWord = 8;
  static constexpr std::uint32_t kValueDataWords = 2;
  static constexpr std::uint64_t kRootPointer = 0x0002'0006'0000'0000;
  static constexpr capnp_words::Shape kValueShape = 0x0001'0002;

  [[nodiscard]] std::uint32_t value_at(std::uint32_t at) const {
    return values_.at + at * capnp_words::words_of(kValueShape);
  }

  capnp_words::Words words_;
  capnp_view::Text key_;
  capnp_words::Elements values_;
  bool usual_;
  bool damaged_ = false;
};

}  // namespace deja::event_record
