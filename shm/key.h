// A profile's key: a namespace and up to 64 bytes. And the public function from a key to its shard.
// A view: the bytes belong to whoever made it. Any thread; no allocation.
#pragma once

#include <cstdint>
#include <cstring>

#include "shm/base/text_words.h"

namespace deja {

inline constexpr std::uint32_t kKeyBytesMax = 64;

/// A person who is known, or a device that is not (yet): the same text names different profiles.
enum class KeyNamespace : std::uint8_t { kUser = 0, kAnonymous = 1 };

struct Key {
  KeyNamespace name_space = KeyNamespace::kUser;
  const char* bytes = nullptr;
  std::uint32_t size = 0;

  [[nodiscard]] bool operator==(const Key& other) const {
    return name_space == other.name_space && size == other.size &&
           same_bytes(bytes, other.bytes, size);
  }
};

/// MurmurHash2 as Kafka's default partitioner computes it (seed 0x9747b28c, little endian), so that
/// a shard can be a Kafka partition of the same key. Source: org.apache.kafka.common.utils.Utils.
[[nodiscard]] inline std::uint32_t murmur2(const char* data, std::uint32_t size) {
  constexpr std::uint32_t kMultiplier = 0x5bd1e995;
  std::uint32_t hash = 0x9747b28cU ^ size;
  std::uint32_t left = size;
  while (left >= 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, data, 4);
    word *= kMultiplier;
    word ^= word >> 24U;
    word *= kMultiplier;
    hash *= kMultiplier;
    hash ^= word;
    data += 4;
    left -= 4;
  }
  const auto byte = [&](std::uint32_t at) {
    return std::uint32_t{static_cast<unsigned char>(data[at])};
  };
  if (left == 3) hash ^= byte(2) << 16U;
  if (left >= 2) hash ^= byte(1) << 8U;
  if (left >= 1) {
    hash ^= byte(0);
    hash *= kMultiplier;
  }
  hash ^= hash >> 13U;
  hash *= kMultiplier;
  hash ^= hash >> 15U;
  return hash;
}

/// The shard of a key of which only the murmur2() is known.
[[nodiscard]] inline std::uint32_t shard_of_hash(std::uint32_t key_hash,
                                                 std::uint32_t shard_count) {
  return (key_hash & 0x7fffffffU) % shard_count;
}

/// The shard of a key, the same in every process, incarnation and node with as many shards. The
/// namespace has no part in it: an anonymous profile that turns out to be a user's moves anyway.
[[nodiscard]] inline std::uint32_t shard_of(const Key& key, std::uint32_t shard_count) {
  return shard_of_hash(murmur2(key.bytes, key.size), shard_count);
}

}  // namespace deja
