// The journal's bytes on disk. A directory of segments, each written by one life of a keeper, from
// its start to its end, and never again afterwards:
//
//   <epoch, 16 hex digits>-<number, 8 hex digits>.journal
//
//   block 0…            header (4096 B) │ the catalog that the records were written under
//   then, group after   JournalGroupLayout (48 B) │ records │ zeros up to the next block
//   group
//   record              JournalRecordLayout (32 B) │ payload │ up to 7 zeros
//
// A group is what one write and one sync took. It begins on a block of its own, so that no block is
// written again once it was synced: a torn write can only hurt what was not acknowledged.
//
//  1. A group counts only if its checksum, its place, its segment and its epoch are right.
//  2. What follows the last good group and is no good group itself is the tail of a write that was
//     never acknowledged, unless a good group of this segment follows: then it is damage.
//     In the very last group of a segment a flipped bit can't be told from a torn write.
//  3. Nothing in a file is believed before it was checked; it may be anybody's.
//
//  4. Records belong to the shards of their segment's header, which may count others than today's.
//
// Little endian, as the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "shm/base/cache_line.h"
#include "shm/keyed_hash.h"

namespace deja {

inline constexpr std::uint64_t kJournalMagic = 0x314e524a414a4544;        // "DEJAJRN1"
inline constexpr std::uint64_t kJournalGroupMagic = 0x31475250'4a4a4544;  // "DEJJPRG1"
inline constexpr std::uint32_t kJournalVersion = 1;
/// Pages, blocks of file systems and sectors of disks are this long or divide it.
inline constexpr std::uint64_t kJournalBlockBytes = 4096;
/// More shards than any appliance has.
inline constexpr std::uint32_t kJournalShardsMax = 1U << 16U;

struct JournalHeaderLayout {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t shard_count;
  std::uint64_t epoch;
  std::uint32_t number;
  std::uint32_t condensed;  ///< 1: of a pruned segment, whose events' ids alone are kept
  std::uint64_t catalog_bytes;
  std::int64_t created_us;
  std::uint64_t secret[2];  ///< drawn for each segment: see "Checksums"
  char appliance[40];
  std::uint64_t checksum;  ///< of what is before it, and of the catalog
};
static_assert(sizeof(JournalHeaderLayout) == 112);
static_assert(offsetof(JournalHeaderLayout, checksum) == 104);

struct JournalGroupLayout {
  std::uint64_t magic;
  std::uint64_t epoch;
  std::uint32_t number;
  std::uint32_t record_count;
  std::uint64_t position;       ///< where in the file this group begins
  std::uint64_t records_bytes;  ///< of the records, paddings included
  std::uint64_t checksum;       ///< of what is before it, and of the records
};
static_assert(sizeof(JournalGroupLayout) == 48);
static_assert(offsetof(JournalGroupLayout, checksum) == 40);

enum class JournalKind : std::uint8_t {
  kEvent = 1,   ///< an applied event: its words
  kMerged = 2,  ///< a stored part came in with this sequence; replay finds it in the store
  kDead = 3,    ///< the event of this sequence has no effect (a decision)
  kNone = 4,    ///< there is no record for the sequences from `first` (the payload) to this one:
                ///< they were known from profiles in the store alone
  kIds = 6,     ///< condensed: ids of events up to this sequence; payload JournalIdLayout × n
                ///< (5 were ids without what another count of shards has to know of them)
};

struct JournalIdLayout {
  std::uint64_t sequence;
  std::uint64_t low;
  std::uint64_t high;
  std::int64_t consumed_us;
  std::uint32_t key_hash;  ///< murmur2() of the user's key
  std::uint32_t reserved;
};
static_assert(sizeof(JournalIdLayout) == 40);
static_assert(offsetof(JournalIdLayout, key_hash) == 32);

struct JournalRecordLayout {
  std::uint64_t sequence;
  std::int64_t consumed_us;
  std::uint32_t shard;
  std::uint32_t payload_bytes;
  JournalKind kind;
  std::uint8_t reserved[7];
};
static_assert(sizeof(JournalRecordLayout) == 32);
static_assert(offsetof(JournalRecordLayout, kind) == 24);

[[nodiscard]] constexpr std::uint64_t journal_record_bytes(std::uint64_t payload_bytes) {
  return sizeof(JournalRecordLayout) + round_up(payload_bytes, 8);
}
/// Where the first group begins.
[[nodiscard]] constexpr std::uint64_t journal_groups_begin(std::uint64_t catalog_bytes) {
  return kJournalBlockBytes + round_up(catalog_bytes, kJournalBlockBytes);
}

// Checksums: SipHash-1-3. A header's is under a constant; a group's is under the secret in its
// segment's header, so that nobody can send an event whose bytes, found behind a torn group, pass
// for a group of ours.

[[nodiscard]] inline std::uint64_t journal_checksum(const HashSecret& secret, const void* bytes,
                                                    std::uint64_t size) {
  return sip_hash<1, 3>(secret, static_cast<const char*>(bytes), static_cast<std::uint32_t>(size),
                        static_cast<std::uint8_t>(size));
}
[[nodiscard]] inline std::uint64_t journal_header_checksum(const JournalHeaderLayout& header,
                                                           std::string_view catalog) {
  constexpr HashSecret kConstant{{0x64656a612d6a726eU, 0x6a6f75726e616c31U}};
  const std::uint64_t head =
      journal_checksum(kConstant, &header, offsetof(JournalHeaderLayout, checksum));
  return journal_checksum({{head, kConstant.words[1]}}, catalog.data(), catalog.size());
}
[[nodiscard]] inline std::uint64_t journal_group_checksum(const std::uint64_t (&secret)[2],
                                                          const JournalGroupLayout& group,
                                                          std::span<const std::uint8_t> records) {
  const std::uint64_t head =
      journal_checksum({{secret[0], secret[1]}}, &group, offsetof(JournalGroupLayout, checksum));
  return journal_checksum({{secret[0] ^ head, secret[1]}}, records.data(), records.size());
}

/// A segment's place in the order of writing.
struct JournalSegmentName {
  std::uint64_t epoch = 0;
  std::uint32_t number = 0;

  friend bool operator==(const JournalSegmentName&, const JournalSegmentName&) = default;
  friend auto operator<=>(const JournalSegmentName&, const JournalSegmentName&) = default;

  [[nodiscard]] std::string text() const {
    char name[64];
    std::snprintf(name, sizeof name, "%016llx-%08x.journal", static_cast<unsigned long long>(epoch),
                  number);
    return name;
  }
  [[nodiscard]] static std::optional<JournalSegmentName> parse(const std::string& text) {
    unsigned long long epoch = 0;
    unsigned number = 0;
    if (std::sscanf(text.c_str(), "%16llx-%8x.journal", &epoch, &number) != 2) return std::nullopt;
    const JournalSegmentName name{epoch, number};
    return name.text() == text ? std::optional(name) : std::nullopt;
  }
};

}  // namespace deja
