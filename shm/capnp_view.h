// Reads an unpacked single-segment Cap'n Proto message out of bytes that may be anybody's: the
// catalog in libdeja, event records in a worker. Libc alone, no allocation, no recursion, no
// alignment asked for. Any number of threads, each with views of its own. Source of the encoding:
// capnproto.org, "Encoding Spec".
//
//   capnp_view::Message message = capnp_view::Message::of_segment(bytes, size);
//   capnp_view::Struct root = message.root();
//   std::int64_t time_us = root.get<std::int64_t>(8);     // offset in the data section, bytes
//   capnp_view::Text key = root.data(0);                  // number of the pointer
//   capnp_view::List values = root.list(1);
//   for (std::uint32_t i = 0; i < values.size(); ++i) values[i].get<double>(0);
//   if (message.damaged()) …                              // something above was not as it must be
//
// Offsets come from `capnp compile -ocapnp FILE`: "bits[a, b)" / 8, "ptr[n]".
//
// Invariants
//  1. Nothing outside of [bytes, bytes + size) is read, whatever is in there.
//  2. What is not there (an older writer's shorter struct, a null pointer) reads as the default:
//     zero, empty. What can't be right (out of bounds, of the wrong kind, a far pointer, a text
//     without its zero) reads as the default too, and the message is damaged from then on.
//  3. A list has no more elements than the segment has words or bytes to hold them: a loop over
//     one ends in time proportional to the message. (Loops in loops: the caller's bound.)
//
// A view points into the message object and the bytes; both must outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace deja::capnp_view {

/// Bytes in the message; of a text without the zero behind it. data is never null.
struct Text {
  const char* data = "";
  std::uint32_t size = 0;
};

class Struct;
class List;

class Message {
 public:
  /// The words of one segment, root pointer first, as event records lie in a ring.
  [[nodiscard]] static Message of_segment(const void* bytes, std::size_t size) {
    return Message(static_cast<const char*>(bytes), size / 8);
  }

  /// A whole flat message: segment table of one segment, then the segment.
  [[nodiscard]] static Message of_message(const void* bytes, std::size_t size) {
    const char* start = static_cast<const char*>(bytes);
    std::uint32_t table[2] = {0, 0};
    if (size >= sizeof table) std::memcpy(table, start, sizeof table);
    if (size < sizeof table || table[0] != 0 || table[1] > (size - sizeof table) / 8) {
      Message message(start, 0);
      message.damaged_ = true;
      return message;
    }
    return Message(start + sizeof table, table[1]);
  }

  [[nodiscard]] inline Struct root();
  [[nodiscard]] bool damaged() const { return damaged_; }

 private:
  friend class Struct;
  friend class List;

  Message(const char* segment, std::size_t words)
      : segment_(segment), words_(words < kWordsMax ? static_cast<std::int64_t>(words) : 0) {
    damaged_ = words >= kWordsMax;
  }

  [[nodiscard]] std::uint64_t word(std::int64_t at) const {
    std::uint64_t value = 0;
    std::memcpy(&value, segment_ + at * 8, 8);
    return value;
  }
  [[nodiscard]] bool holds(std::int64_t at, std::int64_t count) const {
    return at >= 0 && count >= 0 && at <= words_ && count <= words_ - at;
  }
  /// Word that the pointer at word `at` points to.
  [[nodiscard]] static std::int64_t target_of(std::int64_t at, std::uint64_t pointer) {
    return at + 1 + (static_cast<std::int32_t>(static_cast<std::uint32_t>(pointer)) >> 2);
  }

  [[nodiscard]] inline Struct struct_at(std::int64_t at);
  [[nodiscard]] inline List list_at(std::int64_t at);

  static constexpr std::size_t kWordsMax = std::size_t{1} << 29U;
  const char* segment_;
  std::int64_t words_;
  bool damaged_ = false;
};

class Struct {
 public:
  Struct() = default;

  /// The number at `byte_offset` of the data section; `default_value` is the schema's.
  template <typename T>
  [[nodiscard]] T get(std::uint32_t byte_offset, T default_value = T{}) const {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    if (byte_offset + sizeof(T) > data_bytes_) return default_value;
    unsigned char bytes[sizeof(T)];
    unsigned char mask[sizeof(T)];
    std::memcpy(bytes, data_ + byte_offset, sizeof(T));
    std::memcpy(mask, &default_value, sizeof(T));
    for (std::size_t at = 0; at < sizeof(T); ++at)
      bytes[at] ^= mask[at];  // the wire has value^default
    T value;
    std::memcpy(&value, bytes, sizeof(T));
    return value;
  }
  [[nodiscard]] bool get_bool(std::uint32_t bit_offset) const {
    return (get<std::uint8_t>(bit_offset / 8) >> (bit_offset % 8) & 1U) != 0;
  }

  [[nodiscard]] inline Struct structure(std::uint32_t pointer) const;
  [[nodiscard]] inline List list(std::uint32_t pointer) const;
  [[nodiscard]] inline Text text(std::uint32_t pointer) const;
  [[nodiscard]] inline Text data(std::uint32_t pointer) const;

 private:
  friend class Message;
  friend class List;
  Struct(Message* message, std::int64_t at, std::uint32_t data_words, std::uint32_t pointers)
      : message_(message),
        data_(message->segment_ + at * 8),
        data_bytes_(data_words * 8),
        pointers_at_(at + data_words),
        pointer_count_(pointers) {}

  Message* message_ = nullptr;
  const char* data_ = nullptr;
  std::uint32_t data_bytes_ = 0;
  std::int64_t pointers_at_ = 0;
  std::uint32_t pointer_count_ = 0;
};

class List {
 public:
  List() = default;

  [[nodiscard]] std::uint32_t size() const { return count_; }

  /// Element of a list of structs; the default struct where it is none or out of range.
  [[nodiscard]] Struct operator[](std::uint32_t index) const {
    if (index >= count_ || kind_ != kComposite) return {};
    const std::int64_t stride = std::int64_t{data_words_} + pointer_words_;
    return Struct(message_, at_ + index * stride, data_words_, pointer_words_);
  }

  /// Element of a list of numbers; 0 where it is a list of something else or out of range.
  template <typename T>
  [[nodiscard]] T number(std::uint32_t index) const {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    T value{};
    if (index < count_ && kind_ >= 2 && kind_ <= 5 && sizeof(T) == std::size_t{1} << (kind_ - 2U)) {
      std::memcpy(&value, message_->segment_ + at_ * 8 + std::size_t{index} * sizeof(T), sizeof(T));
    }
    return value;
  }

  /// Element of a list of texts.
  [[nodiscard]] Text text(std::uint32_t index) const {
    if (index >= count_ || kind_ != kPointers) return {};
    return Struct(message_, at_ + index, 0, 1).text(0);
  }

 private:
  friend class Message;
  friend class Struct;
  static constexpr std::uint32_t kBytes = 2;
  static constexpr std::uint32_t kPointers = 6;
  static constexpr std::uint32_t kComposite = 7;

  Message* message_ = nullptr;
  std::int64_t at_ = 0;  // word of the first element
  std::uint32_t kind_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t data_words_ = 0;
  std::uint32_t pointer_words_ = 0;
};

inline Struct Message::root() {
  if (words_ == 0) {
    damaged_ = true;
    return {};
  }
  return struct_at(0);
}

inline Struct Message::struct_at(std::int64_t at) {
  const std::uint64_t pointer = word(at);
  if (pointer == 0) return {};
  const std::int64_t target = target_of(at, pointer);
  const auto data_words = static_cast<std::uint32_t>(pointer >> 32U & 0xffffU);
  const auto pointers = static_cast<std::uint32_t>(pointer >> 48U);
  if ((pointer & 3U) != 0 || !holds(target, std::int64_t{data_words} + pointers)) {
    damaged_ = true;
    return {};
  }
  return Struct(this, target, data_words, pointers);
}

inline List Message::list_at(std::int64_t at) {
  const std::uint64_t pointer = word(at);
  List list;
  if (pointer == 0) return list;
  damaged_ = damaged_ || (pointer & 3U) != 1;
  if ((pointer & 3U) != 1) return list;
  constexpr std::uint32_t kBitsOfKind[] = {0, 1, 8, 16, 32, 64, 64};
  const auto kind = static_cast<std::uint32_t>(pointer >> 32U & 7U);
  const auto count = static_cast<std::uint32_t>(pointer >> 35U);
  std::int64_t target = target_of(at, pointer);
  if (kind != List::kComposite) {
    const std::int64_t bits = std::int64_t{count} * kBitsOfKind[kind];
    // Elements of no size could be half a billion in an empty message.
    if (!holds(target, (bits + 63) / 64) || (kind == 0 && count > words_)) {
      damaged_ = true;
      return list;
    }
    list.count_ = count;
  } else {
    // `count` is in words here; a tag word ahead of the elements says what they are.
    if (!holds(target, std::int64_t{count} + 1)) {
      damaged_ = true;
      return list;
    }
    const std::uint64_t tag = word(target++);
    const auto elements = static_cast<std::uint32_t>(tag) >> 2U;
    list.data_words_ = static_cast<std::uint32_t>(tag >> 32U & 0xffffU);
    list.pointer_words_ = static_cast<std::uint32_t>(tag >> 48U);
    const std::int64_t stride = std::int64_t{list.data_words_} + list.pointer_words_;
    if ((tag & 3U) != 0 || stride * elements > count || (stride == 0 && elements > words_)) {
      damaged_ = true;
      return List{};
    }
    list.count_ = elements;
  }
  list.message_ = this;
  list.at_ = target;
  list.kind_ = kind;
  return list;
}

inline Struct Struct::structure(std::uint32_t pointer) const {
  return pointer < pointer_count_ ? message_->struct_at(pointers_at_ + pointer) : Struct{};
}

inline List Struct::list(std::uint32_t pointer) const {
  return pointer < pointer_count_ ? message_->list_at(pointers_at_ + pointer) : List{};
}

inline Text Struct::data(std::uint32_t pointer) const {
  const List bytes = list(pointer);
  if (bytes.message_ == nullptr) return {};
  if (bytes.kind_ != List::kBytes) {
    message_->damaged_ = true;
    return {};
  }
  return {message_->segment_ + bytes.at_ * 8, bytes.count_};
}

inline Text Struct::text(std::uint32_t pointer) const {
  const List bytes = list(pointer);
  if (bytes.message_ == nullptr) return {};
  const Text with_zero = data(pointer);
  if (with_zero.size == 0 || with_zero.data[with_zero.size - 1] != '\0') {
    message_->damaged_ = true;
    return {};
  }
  return {with_zero.data, with_zero.size - 1};
}

}  // namespace deja::capnp_view
