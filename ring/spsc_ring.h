// A ring of bytes from one producer to one consumer, over shared memory. Each side is a thread of a
// process of its own; the file belongs to the producer, and the consumer's position lies in a file
// of the consumer's, since nobody maps for writing what another one owns.
//
// A record is an 8-byte header and a payload, contiguous and 8-byte aligned; one that would cross
// the end is preceded by padding up to the end. Positions are free-running 64-bit byte offsets,
// never masked; index = position & (capacity - 1).
//
//   file: RingHeaderLayout (128 B) │ data (capacity bytes, a power of two)
//   record: size:u32 type:u32 │ payload (size bytes) │ up to 7 bytes of padding
//
// Invariants
//  1. consumer_position <= producer_position <= consumer_position + capacity.
//  2. Bytes between the two were written before producer_position was stored (SYNC(ring.publish)),
//     and are not written again before consumer_position has passed them (SYNC(ring.release)).
//  3. A batch of commits becomes visible by one release store: a producer that dies before it
//     leaves nothing, and the next one attached goes on at the published position.
//  4. How many records were published up to a position, but for those that its producer does not
//     count, is stored beside it before the position is, in two places by turns: so the next
//     producer finds the count of what was published, whenever the one before died.
//  5. The consumer trusts no byte: a record that does not fit between the positions is reported as
//     broken; it copies a record, checks the copy, and uses the copy only.
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

/// Whether a record is one of those that published_count() tells of.
enum class Counted : bool { kNo = false, kYes = true };

/// The producer's side. One thread. Allocates nothing, never blocks.
class RingProducer {
 public:
  /// Attaches to a ring file mapped for writing (made by format_ring) and to where the consumer
  /// keeps its position, mapped read-only. Goes on where the last producer had published.
  /// With a second position space is free only behind both. A position that makes no sense (ahead
  /// of the producer's, or too far behind) makes the ring full, and nothing worse.
  RingProducer(void* file, std::uint64_t file_bytes,
               const std::atomic<std::uint64_t>* consumer_position,
               const std::atomic<std::uint64_t>* second_consumer_position = nullptr);

  /// Reserves room for a payload of up to `size_max` bytes: 8-byte aligned, contiguous, valid until
  /// commit or the next claim. nullptr: the ring is full (back-pressure; the caller counts it).
  /// `size_max` is at most capacity/4. A claim that is not committed costs nothing.
  [[nodiscard]] std::uint8_t* claim(std::uint32_t size_max);

  /// Ends the claimed record at `size` bytes (<= size_max). Visible only after publish().
  /// Returns the position behind the record: the consumer has it when its position is >= that.
  std::uint64_t commit(std::uint32_t size, std::uint32_t type, Counted counted = Counted::kYes);

  /// Makes all commits visible with one release store. False when there were none.
  bool publish();

  /// Behind the last published record.
  [[nodiscard]] std::uint64_t published_position() const { return published_position_; }
  /// Counted records of all producers there were; 0 where the ring does not say.
  [[nodiscard]] std::uint64_t published_count() const { return published_count_; }
  /// Behind the last committed record.
  [[nodiscard]] std::uint64_t committed_position() const { return committed_position_; }
  /// As loaded now (acquire); of two the one further behind.
  [[nodiscard]] std::uint64_t consumer_position() const;
  [[nodiscard]] std::uint64_t capacity_bytes() const { return capacity_bytes_; }

 private:
  void refresh_consumer_position();
  /// How far a consumer is behind us; one that claims to be ahead is infinitely so.
  [[nodiscard]] std::uint64_t bytes_behind(std::uint64_t position) const;

  RingHeaderLayout* header_;
  std::uint8_t* data_;
  std::uint64_t capacity_bytes_;
  const std::atomic<std::uint64_t>* consumer_position_shared_;
  const std::atomic<std::uint64_t>* second_consumer_position_shared_;
  std::uint64_t consumer_position_cached_ = 0;
  std::uint64_t published_position_ = 0;
  std::uint64_t published_count_ = 0;
  std::uint64_t committed_count_ = 0;  // since then
  unsigned published_place_ = 0;       // the next
  std::uint64_t committed_position_ = 0;
  std::uint64_t claim_position_ = 0;
  std::uint32_t claim_size_ = 0;
  bool claim_open_ = false;
};

/// One record as the consumer meets it. `payload` is still the ring's memory: copy, then check.
struct RingRecord {
  enum class Outcome { kRecord, kEmpty, kBroken };
  Outcome outcome = Outcome::kEmpty;
  std::uint32_t type = 0;
  const std::uint8_t* payload = nullptr;
  std::uint32_t size_bytes = 0;
  std::uint64_t position = 0;      ///< where the record begins (padding before it included)
  std::uint64_t end_position = 0;  ///< behind it
};

/// The consumer's side. One thread. Allocates nothing, never blocks.
class RingConsumer {
 public:
  /// Attaches to a ring file mapped read-only and to the consumer's own position, mapped for
  /// writing; goes on from that position. A position outside of the ring's is reported as broken by
  /// the first next().
  RingConsumer(const void* file, std::uint64_t file_bytes,
               std::atomic<std::uint64_t>* consumer_position);

  /// The record behind the last one taken, without giving its space back. kBroken is final: what
  /// the producer wrote makes no sense, and nothing behind it can be read.
  [[nodiscard]] RingRecord next();

  /// Gives everything up to `position` back to the producer (release store).
  void release(std::uint64_t position);

  /// Reads again from `position` (recovery); not before the released one.
  void seek(std::uint64_t position);

  [[nodiscard]] std::uint64_t read_position() const { return read_position_; }
  /// As loaded now (acquire).
  [[nodiscard]] std::uint64_t producer_position() const;
  [[nodiscard]] bool empty() const { return producer_position() == read_position_; }

 private:
  [[nodiscard]] RingRecord broken();

  const RingHeaderLayout* header_;
  const std::uint8_t* data_;
  std::uint64_t capacity_bytes_;
  std::atomic<std::uint64_t>* consumer_position_shared_;
  std::uint64_t producer_position_cached_ = 0;
  std::uint64_t read_position_;
  bool broken_ = false;
};

/// Makes an empty ring of `capacity_bytes` (a power of two, >= 4096) in zeroed memory of
/// ring_file_bytes(capacity_bytes).
void format_ring(void* file, std::uint64_t capacity_bytes);

}  // namespace deja
