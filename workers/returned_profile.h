// A profile as the return ring carries it (ring/return_record.h), checked: kReturnProfile,
// kReturnNeeded, kReturnStored and kReturnNothing. The keeper's bytes are not ours, so whoever
// reads one takes nothing for granted; what passes here names a profile of this table and has a
// frame that fits. Pure; no allocation.
#pragma once

#include <array>
#include <cstdint>

#include "ring/return_record.h"
#include "shm/key.h"
#include "shm/table_geometry.h"

namespace deja {

struct ReturnedProfile {
  ReturnProfileLayout facts{};
  std::array<char, kKeyBytesMax> key_bytes{};
  const std::uint8_t* frame = nullptr;  ///< facts.frame_bytes of the record; null where it has none

  [[nodiscard]] Key key() const {
    return {static_cast<KeyNamespace>(facts.key_namespace), key_bytes.data(), facts.key_size};
  }
};

/// A billion events a second for three centuries: a sequence above it is no sequence.
inline constexpr std::uint64_t kSequenceMax = std::uint64_t{1} << 63U;

enum class WithFrame : std::uint8_t { kAlways, kNever, kEither };

/// False when the bytes are no such record. Whether this worker owns the shard is left to ask.
[[nodiscard]] bool parse_returned(const std::uint8_t* bytes, std::uint32_t size, WithFrame frame,
                                  const TableGeometry& geometry, ReturnedProfile& into);

}  // namespace deja
