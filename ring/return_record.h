// What the keeper hands back to a worker: ring return-<w>. At start every profile that Redis has,
// then one kRecovered; the worker puts them into its shards as they were stored.
//
//   kReturnProfile: ReturnProfileLayout (48 B) │ key, padded to 8 │ frame
//   kReturnShard:   ReturnShardLayout: the shard's sequence starts at least there
//   kReturnEnd:     no payload beyond 8 zero bytes: everything stored has been handed over
#pragma once

#include <cstddef>
#include <cstdint>

namespace deja {

inline constexpr std::uint32_t kReturnProfile = 1;
inline constexpr std::uint32_t kReturnShard = 2;
inline constexpr std::uint32_t kReturnEnd = 3;

struct ReturnProfileLayout {
  std::uint64_t sequence;
  std::int64_t updated_us;
  std::uint32_t late;
  std::uint32_t shard;
  std::uint32_t frame_bytes;  // Catalog.frameBytes
  std::uint16_t flags;
  std::uint8_t key_size;
  std::uint8_t key_namespace;
  std::uint64_t reserved[2];
};
static_assert(sizeof(ReturnProfileLayout) == 48);

struct ReturnShardLayout {
  std::uint64_t sequence;
  std::uint32_t shard;
  std::uint32_t reserved;
};
static_assert(sizeof(ReturnShardLayout) == 16);

}  // namespace deja
