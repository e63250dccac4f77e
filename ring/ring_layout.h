// The bytes of a ring's file (what they mean: ring/spsc_ring.h).
//
//   file: RingHeaderLayout (128 B) │ data (capacity bytes, a power of two)
//   record: size:u32 type:u32 │ payload (size bytes) │ up to 7 bytes of padding
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "shm/base/cache_line.h"

namespace deja {

inline constexpr std::uint64_t kRingMagic = 0x3147'4e49'524a'4544;  // "DEJRING1"

struct PublishedLayout {
  std::atomic<std::uint64_t> position;
  std::atomic<std::uint64_t> record_count;  // up to there, of those that count
};

struct RingHeaderLayout {
  std::uint64_t magic;
  std::uint64_t capacity_bytes;
  std::uint8_t padding_[48];
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> producer_position;
  PublishedLayout published[2];  // the producer's alone
};
static_assert(sizeof(RingHeaderLayout) == 128);
static_assert(offsetof(RingHeaderLayout, producer_position) == 64);

struct RingRecordLayout {
  std::uint32_t size_bytes;  // of the payload, without header and padding
  std::uint32_t type;        // kRingPadding or the user's, not 0
};
static_assert(sizeof(RingRecordLayout) == 8);

inline constexpr std::uint32_t kRingPadding = 0;

/// Bytes of a ring's file.
[[nodiscard]] constexpr std::uint64_t ring_file_bytes(std::uint64_t capacity_bytes) {
  return sizeof(RingHeaderLayout) + capacity_bytes;
}
/// What a payload takes in the ring, its header included.
[[nodiscard]] constexpr std::uint64_t ring_record_bytes(std::uint32_t payload_bytes) {
  return sizeof(RingRecordLayout) + round_up(payload_bytes, 8);
}

/// Makes an empty ring of `capacity_bytes` (a power of two, >= 4096) in zeroed memory of
/// ring_file_bytes(capacity_bytes).
void format_ring(void* file, std::uint64_t capacity_bytes);

}  // namespace deja
