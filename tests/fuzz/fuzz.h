// What the fuzzers of this folder share (README.md). A fuzzer is LLVMFuzzerTestOneInput() and
// nothing else: libFuzzer calls it with bytes of its own, feed_corpus.cc with those of the tree.
// What it does follows from those bytes alone (no clock, no random, nothing of the input before),
// so that what is found once is found again, and it says what must be true with CHECK. Test code;
// one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "shm/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace deja::fuzz {

/// Takes an input apart from its front. At its end it gives zeros, so that every input means
/// something.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : left_(data, size) {}

  [[nodiscard]] bool empty() const { return left_.empty(); }
  [[nodiscard]] std::size_t size() const { return left_.size(); }

  template <typename T>
  [[nodiscard]] T take() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    const auto bytes = take_bytes(sizeof(T));
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  /// One below `end`, which is not 0.
  [[nodiscard]] std::uint32_t take_below(std::uint32_t end) { return take<std::uint16_t>() % end; }
  [[nodiscard]] std::span<const std::uint8_t> take_bytes(std::size_t count) {
    const auto taken = left_.first(std::min(count, left_.size()));
    left_ = left_.subspan(taken.size());
    return taken;
  }
  [[nodiscard]] std::span<const std::uint8_t> rest() { return take_bytes(left_.size()); }
  [[nodiscard]] std::string_view rest_as_text() {
    const auto bytes = rest();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

 private:
  std::span<const std::uint8_t> left_;
};

/// Numbers that follow from an input's bytes without being some of them: where to cut it, say. So
/// a seed can be a plain file, with no bytes for the fuzzer's own use in front.
class Dice {
 public:
  explicit Dice(std::span<const std::uint8_t> bytes) {
    for (const std::uint8_t byte : bytes) state_ = (state_ ^ byte) * 0x100000001b3U;
  }
  /// One below `end`, which is not 0.
  [[nodiscard]] std::uint32_t below(std::uint32_t end) {
    state_ += 0x9e3779b97f4a7c15U;  // splitmix64
    std::uint64_t word = state_;
    word = (word ^ (word >> 30U)) * 0xbf58476d1ce4e5b9U;
    word = (word ^ (word >> 27U)) * 0x94d049bb133111ebU;
    return static_cast<std::uint32_t>((word ^ (word >> 31U)) % end);
  }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325U;
};

}  // namespace deja::fuzz
