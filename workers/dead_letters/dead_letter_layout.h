// The bytes of <durability>/dead_letters: events that no worker could apply, kept by the keeper for
// a person to look at and to replay.
//
//   DeadLetterHeaderLayout (48 B) │ frame │ frame …
//   frame     DeadLetterFrameLayout (32 B) │ payload │ up to 7 zeros
//   kCatalog  the catalog that the letters behind it were written under
//   kLetter   DeadLetterLayout (64 B) │ the record's bytes
//   kSettled  none: the decision about the letter of that number is in the journal, synced
//
//  1. Only appended to, by one keeper at a time, and synced after every letter. Numbers grow.
//  2. A frame counts only if its checksum is right, which is made under the secret in the header:
//  so
//     no event's bytes can pass for a frame of ours.
//  3. What follows the last good frame is the tail of a write that was never synced. A bad frame
//     with a good one behind it is damage. In the very last frame a flipped bit can't be told from
//     a torn write.
//  4. Nothing in it is believed before it was checked; it may be anybody's.
//
// Little endian, as the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ring/log_record.h"
#include "shm/base/cache_line.h"
#include "shm/keyed_hash.h"

namespace deja {

inline constexpr char kDeadLettersFile[] = "dead_letters";

inline constexpr std::uint64_t kDeadLetterMagic = 0x3152544c'414a4544;  // "DEJALTR1"
inline constexpr std::uint32_t kDeadLetterFrameMagic = 0x52544c44;      // "DLTR"
inline constexpr std::uint32_t kDeadLetterVersion = 1;
/// Of a frame's payload: a catalog is far below it, and of a record's bytes no more is kept.
inline constexpr std::uint32_t kDeadLetterPayloadMax = 1U << 20U;
/// Beyond it no letter is taken any more, until a person has moved the file away.
inline constexpr std::uint64_t kDeadLetterFileMax = 64U << 20U;

struct DeadLetterHeaderLayout {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t reserved;
  std::uint64_t secret[2];
  std::int64_t created_us;
  std::uint64_t checksum;  ///< of what is before it; names the file, too
};
static_assert(sizeof(DeadLetterHeaderLayout) == 48);
static_assert(offsetof(DeadLetterHeaderLayout, checksum) == 40);

enum class DeadLetterFrameKind : std::uint8_t { kCatalog = 1, kLetter = 2, kSettled = 3 };

struct DeadLetterFrameLayout {
  std::uint32_t magic;
  DeadLetterFrameKind kind;
  std::uint8_t reserved[3];
  std::uint64_t number;  ///< of the letter, from 1; of a catalog 0
  std::uint32_t payload_bytes;
  std::uint32_t reserved_too;
  std::uint64_t checksum;  ///< of what is before it, and of the payload
};
static_assert(sizeof(DeadLetterFrameLayout) == 32);
static_assert(offsetof(DeadLetterFrameLayout, checksum) == 24);

struct DeadLetterLayout {
  std::int64_t consumed_us;     ///< wall clock when a worker took it, or decided
  std::uint64_t incarnation;    ///< of the segment; with worker and log_position it is unique
  std::uint64_t log_position;   ///< where its record began in the worker's log
  std::uint64_t ring_position;  ///< and in its ring
  std::uint64_t ring_end;
  std::uint64_t sequence;  ///< 0: it never had one; else that of its shard which stays empty
  std::uint32_t worker;
  std::uint32_t shard;         ///< only with a sequence
  std::uint32_t record_bytes;  ///< as logged; more than there are here: it was cut
  std::uint16_t ring;
  RefusalReason reason;
  std::uint8_t reserved;
};
static_assert(sizeof(DeadLetterLayout) == 64);
static_assert(offsetof(DeadLetterLayout, worker) == 48);

[[nodiscard]] constexpr std::uint64_t dead_letter_frame_bytes(std::uint64_t payload_bytes) {
  return sizeof(DeadLetterFrameLayout) + round_up(payload_bytes, 8);
}

[[nodiscard]] inline std::uint64_t dead_letter_checksum(const HashSecret& secret, const void* bytes,
                                                        std::uint64_t size) {
  return sip_hash<1, 3>(secret, static_cast<const char*>(bytes), static_cast<std::uint32_t>(size),
                        static_cast<std::uint8_t>(size));
}
[[nodiscard]] inline std::uint64_t dead_letter_header_checksum(
    const DeadLetterHeaderLayout& header) {
  constexpr HashSecret kConstant{{0x64656a612d646c71U, 0x6c65747465727331U}};
  return dead_letter_checksum(kConstant, &header, offsetof(DeadLetterHeaderLayout, checksum));
}
[[nodiscard]] inline std::uint64_t dead_letter_frame_checksum(
    const DeadLetterHeaderLayout& header, const DeadLetterFrameLayout& frame,
    std::span<const std::uint8_t> payload) {
  const std::uint64_t head = dead_letter_checksum({{header.secret[0], header.secret[1]}}, &frame,
                                                  offsetof(DeadLetterFrameLayout, checksum));
  return dead_letter_checksum({{header.secret[0] ^ head, header.secret[1]}}, payload.data(),
                              payload.size());
}

}  // namespace deja
