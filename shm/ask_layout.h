// What a renderer sends to the keeper about users whom it misses: one datagram to the socket
// asked.<incarnation> in the segment's directory. Libc alone.
//
//   AskLayout │ count × (namespace: 1 byte │ size: 1 byte │ the key's bytes)
//
// Nobody answers: the profile is there some milliseconds later, or it is not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "shm/key.h"

namespace deja {

inline constexpr const char* kAskedFile = "asked";
inline constexpr std::uint64_t kAskMagic = 0x314b5341414a4544;  // "DEJAASK1"
inline constexpr std::size_t kAskBytesMax = 4096;

struct AskLayout {
  std::uint64_t magic;
  std::uint64_t incarnation;
  std::uint32_t count;
  std::uint32_t reserved;
};
static_assert(sizeof(AskLayout) == 24);
static_assert(std::is_trivially_copyable_v<AskLayout>);

/// Builds a datagram. Pure.
class AskWriter {
 public:
  explicit AskWriter(std::uint64_t incarnation) : head_{kAskMagic, incarnation, 0, 0} {}

  /// False: it is full.
  [[nodiscard]] bool add(const Key& key) {
    if (size_ + 2 + key.size > sizeof bytes_) return false;
    bytes_[size_] = static_cast<std::uint8_t>(key.name_space);
    bytes_[size_ + 1] = static_cast<std::uint8_t>(key.size);
    std::memcpy(bytes_ + size_ + 2, key.bytes, key.size);
    size_ += 2 + key.size;
    ++head_.count;
    return true;
  }
  [[nodiscard]] std::uint32_t count() const { return head_.count; }
  [[nodiscard]] const std::uint8_t* bytes() {
    std::memcpy(bytes_, &head_, sizeof head_);
    return bytes_;
  }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  AskLayout head_;
  std::size_t size_ = sizeof(AskLayout);
  std::uint8_t bytes_[kAskBytesMax];
};

/// Calls `visit(const Key&)` for each key of a datagram for this incarnation, whose bytes are
/// anybody's. False where it is none, or not a whole one: the keys before that were visited.
template <typename Visit>
[[nodiscard]] bool read_ask(const std::uint8_t* bytes, std::size_t size, std::uint64_t incarnation,
                            std::uint32_t key_bytes_max, Visit&& visit) {
  AskLayout head;
  if (size < sizeof head) return false;
  std::memcpy(&head, bytes, sizeof head);
  if (head.magic != kAskMagic || head.incarnation != incarnation || head.reserved != 0) {
    return false;
  }
  std::size_t at = sizeof head;
  for (std::uint32_t number = 0; number < head.count; ++number) {
    if (size - at < 2) return false;
    const std::uint8_t name_space = bytes[at];
    const std::uint8_t key_size = bytes[at + 1];
    at += 2;
    if (name_space > static_cast<std::uint8_t>(KeyNamespace::kAnonymous) || key_size == 0 ||
        key_size > key_bytes_max || key_size > size - at) {
      return false;
    }
    visit(Key{static_cast<KeyNamespace>(name_space), reinterpret_cast<const char*>(bytes + at),
              key_size});
    at += key_size;
  }
  return at == size;
}

}  // namespace deja
