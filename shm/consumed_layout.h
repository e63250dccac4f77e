// Up to where a worker has consumed its rings: what makes an accepted event visible, and hence what
// a token of read-your-own-click is compared with. Libc alone.
//
// File consumed-<w>: one header line, then one cache line for each ring (= ingest thread) i:
//
//   0        8            12         64               128
//   ┌────────┬────────────┬──────────┬────────────────┬────────────────┬ ...
//   │ magic  │ ring_count │ reserved │ position, ring0│ position, ring1│
//   └────────┴────────────┴──────────┴────────────────┴────────────────┴ ...
//
// Worker w alone writes it; everybody may map it read-only.
//
// Invariants
//  1. magic is stored last (release); ring_count is constant once it is there.
//  2. A position only grows: everything the ring held before it is visible in the profile table.
//     It is stored (release) after the entries it covers, and loaded with acquire.
//     SYNC(consumed.position)
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "shm/base/cache_line.h"

namespace deja {

inline constexpr std::uint64_t kConsumedMagic = 0x31534e4f43414a44;  // "DJACONS1"

struct alignas(kCacheLineBytes) ConsumedLayout {
  std::atomic<std::uint64_t> magic;
  std::uint32_t ring_count;
  std::uint32_t reserved;
};
static_assert(sizeof(ConsumedLayout) == 64);
static_assert(offsetof(ConsumedLayout, ring_count) == 8);

struct alignas(kCacheLineBytes) ConsumedRingLayout {
  std::atomic<std::uint64_t> position;  ///< free-running byte offset in the ring
};
static_assert(sizeof(ConsumedRingLayout) == 64);
static_assert(offsetof(ConsumedRingLayout, position) == 0);

[[nodiscard]] constexpr std::uint64_t consumed_file_bytes(std::uint32_t ring_count) {
  return sizeof(ConsumedLayout) + std::uint64_t{ring_count} * sizeof(ConsumedRingLayout);
}

/// The line of ring `ring` behind `file`; the caller has checked ring < ring_count and the size.
[[nodiscard]] inline ConsumedRingLayout* consumed_ring(ConsumedLayout* file, std::uint32_t ring) {
  return reinterpret_cast<ConsumedRingLayout*>(file + 1) + ring;
}
[[nodiscard]] inline const ConsumedRingLayout* consumed_ring(const ConsumedLayout* file,
                                                             std::uint32_t ring) {
  return reinterpret_cast<const ConsumedRingLayout*>(file + 1) + ring;
}

}  // namespace deja
