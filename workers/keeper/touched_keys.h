// The keys that were touched in one shard: each once, with the sequence of its newest event, in the
// order in which they came. Touched once for every event, so: two cache lines a look, no allocation
// but when it grows. Nothing is taken out but all. One thread.
//
//   slots   a power of two; hash's upper half │ entry's first word + 1, or 0: free; linear probing
//   words   entry after entry: sequence │ text's size │ namespace's digit, key, to a whole word
//
//  1. At most half of the slots are taken, so a look ends.
//  2. Who chooses keys doesn't know the secret, so he can't choose them to meet in one place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shm/key.h"
#include "shm/keyed_hash.h"

namespace deja {

/// A key that owns its bytes: the namespace's digit, then the bytes.
[[nodiscard]] inline std::string owned_key(const Key& key) {
  std::string owned(1, static_cast<char>('0' + static_cast<int>(key.name_space)));
  return owned.append(key.bytes, key.size);
}
[[nodiscard]] inline Key key_of(std::string_view owned) {
  return {static_cast<KeyNamespace>(owned[0] - '0'), owned.data() + 1,
          static_cast<std::uint32_t>(owned.size() - 1)};
}

class TouchedKeys {
 public:
  /// As in owned_key(); views the set's memory.
  using Entry = std::pair<std::string_view, std::uint64_t>;

  class Iterator {
   public:
    explicit Iterator(const std::uint64_t* at) : at_(at) {}
    [[nodiscard]] Entry operator*() const { return {text_at(at_), *at_}; }
    Iterator& operator++() {
      at_ += words_for(text_at(at_).size());
      return *this;
    }
    [[nodiscard]] bool operator==(const Iterator& other) const { return at_ == other.at_; }

   private:
    const std::uint64_t* at_;
  };

  [[nodiscard]] Iterator begin() const { return Iterator(words_.data()); }
  [[nodiscard]] Iterator end() const { return Iterator(words_.data() + words_.size()); }
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] bool empty() const { return count_ == 0; }

  /// True: it is new. `secret`: the same for all of a set's calls.
  bool touch(const HashSecret& secret, const Key& key, std::uint64_t sequence) {
    if (2 * (count_ + 1) > slots_.size()) grow();
    const std::uint64_t tag = keyed_hash(secret, key) >> 32U;
    std::size_t at = first_place(tag);
    for (; slots_[at] != 0; at = next_place(at)) {
      if (slots_[at] >> 32U != tag) continue;
      std::uint64_t* entry = words_.data() + (static_cast<std::uint32_t>(slots_[at]) - 1);
      if (!holds(entry, key)) continue;
      if (sequence > *entry) *entry = sequence;
      return false;
    }
    slots_[at] = tag << 32U | (words_.size() + 1);
    append(key, sequence);
    ++count_;
    return true;
  }

  /// Gives its memory back too.
  void clear() {
    if (count_ != 0) *this = TouchedKeys();
  }

 private:
  static constexpr std::size_t kFirstSlots = 64;
  static constexpr std::size_t kTextAt = 9;  // behind the sequence and the size

  [[nodiscard]] static std::size_t words_for(std::size_t text_bytes) {
    return (kTextAt + text_bytes + 7) / 8;
  }
  [[nodiscard]] static std::string_view text_at(const std::uint64_t* entry) {
    const auto* bytes = reinterpret_cast<const char*>(entry);
    return {bytes + kTextAt, static_cast<unsigned char>(bytes[kTextAt - 1])};
  }
  [[nodiscard]] static bool holds(const std::uint64_t* entry, const Key& key) {
    return key_of(text_at(entry)) == key;
  }

  [[nodiscard]] std::size_t first_place(std::uint64_t tag) const { return tag >> shift_; }
  [[nodiscard]] std::size_t next_place(std::size_t at) const {
    return (at + 1) & (slots_.size() - 1);
  }

  void append(const Key& key, std::uint64_t sequence) {
    const std::size_t at = words_.size();
    words_.resize(at + words_for(key.size + std::size_t{1}));
    words_[at] = sequence;
    auto* bytes = reinterpret_cast<char*>(words_.data() + at);
    bytes[kTextAt - 1] = static_cast<char>(key.size + 1);
    bytes[kTextAt] = static_cast<char>('0' + static_cast<int>(key.name_space));
    std::memcpy(bytes + kTextAt + 1, key.bytes, key.size);
  }

  void grow() {
    const std::vector<std::uint64_t> before = std::move(slots_);
    slots_.assign(before.empty() ? kFirstSlots : 2 * before.size(), 0);
    shift_ = 32;
    for (std::size_t slots = slots_.size(); slots > 1; slots /= 2) --shift_;
    for (const std::uint64_t slot : before) {
      if (slot == 0) continue;
      std::size_t at = first_place(slot >> 32U);
      while (slots_[at] != 0) at = next_place(at);
      slots_[at] = slot;
    }
  }

  std::vector<std::uint64_t> slots_;
  std::vector<std::uint64_t> words_;
  std::size_t count_ = 0;
  unsigned shift_ = 32;
};

}  // namespace deja
