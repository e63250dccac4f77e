// A ring of bytes from one producer to one consumer, over shared memory. Each side is a thread of a
// process of its own; the file belongs to the producer, and the consumer's position lies in a file
// of the consumer's, since nobody maps for writing what another one owns.
//
// A record is an 8-byte header and a payload, contiguous and 8-byte aligned; one that would cross
// the end is preceded by padding up to the end. Positions are free-running 64-bit byte offsets,
// never masked; index = position & (capacity - 1). The bytes: ring/ring_layout.h.
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
//
// What every record meets is inline, below; whatever a record meets only now and then (another lap,
// a stale copy of the other side's position, bytes that make no sense) is in spsc_ring.cc.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>

#include "ring/line_hints.h"
#include "ring/ring_layout.h"
#include "shm/base/cache_line.h"
#include "shm/base/check.h"

namespace deja {

/// Bytes ahead of it whose lines a consumer asks for: of what is published, of what it waits for;
/// whose lines a producer asks for to write them; and how many a consumer gives back at once
/// (ring/README.md, "Decisions").
inline constexpr std::uint64_t kRingAskAheadBytes = 1024;
inline constexpr std::uint64_t kRingAskWaitingBytes = 320;
inline constexpr std::uint64_t kRingAskToWriteBytes = 512;
inline constexpr std::uint64_t kRingGiveBackBytes = 1024;

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
  static void write_header(std::uint8_t* at, RingRecordLayout header) {
    std::memcpy(at, &header, sizeof header);
  }
  [[nodiscard]] bool find_room(std::uint64_t record_bytes);
  void commit_padding();
  void ask_ahead();
  [[nodiscard]] std::uint64_t free_bytes() const;
  void refresh_consumer_position();
  /// How far a consumer is behind us; one that claims to be ahead is infinitely so.
  [[nodiscard]] std::uint64_t bytes_behind(std::uint64_t position) const;
  [[nodiscard]] std::uint8_t* at(std::uint64_t position) const {
    return data_ + (position & (capacity_bytes_ - 1));
  }

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
  std::uint64_t free_end_ = 0;               // free up to there, as far as we know, and contiguous
  std::uint64_t asked_end_ = 0;              // lines before it are asked for
  std::uint64_t claim_padding_bytes_ = 0;    // from there to the claimed record
  std::uint64_t claim_room_bytes_ = 0;       // 1 + what was claimed; 0: nothing is
  std::uint32_t usual_type_ = kRingPadding;  // of the record before: mostly the next one's too
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

  /// The bytes before `position` were copied and are not looked at again: their lines need not stay
  /// in this core's caches. For whoever releases seldom; release() does it too.
  void forget(std::uint64_t position);

  /// Gives everything up to `position` back to the producer (release store).
  void release(std::uint64_t position);

  /// Reads again from `position` (recovery); not before the released one.
  void seek(std::uint64_t position);

  [[nodiscard]] std::uint64_t read_position() const { return read_position_; }
  /// As loaded now (acquire).
  [[nodiscard]] std::uint64_t producer_position() const;
  [[nodiscard]] bool empty() const { return producer_position() == read_position_; }

 private:
  [[nodiscard]] RingRecord::Outcome look();
  [[nodiscard]] RingRecord next_past_padding(RingRecordLayout header);
  [[nodiscard]] RingRecord broken();
  [[nodiscard]] RingRecord take(std::uint64_t index, RingRecordLayout header,
                                std::uint64_t padding_bytes);
  [[nodiscard]] RingRecordLayout header_at(std::uint64_t index) const;
  void ask_ahead();
  void give_lines_back(std::uint64_t position);

  const RingHeaderLayout* header_;
  const std::uint8_t* data_;
  std::uint64_t capacity_bytes_;
  std::atomic<std::uint64_t>* consumer_position_shared_;
  std::uint64_t producer_position_cached_ = 0;
  std::uint64_t read_position_;
  std::uint64_t known_end_;  // records are there up to it, contiguous, their lines asked for
  std::uint64_t asked_end_ = 0;
  std::uint64_t given_back_end_;  // lines before it are given back, where that helps
  bool gives_lines_back_;
  bool broken_ = false;
};

// --- the way of every record ---------------------------------------------------------------------

inline std::uint8_t* RingProducer::claim(std::uint32_t size_max) {
  CHECK(size_max <= capacity_bytes_ / 4);
  const std::uint64_t record_bytes = ring_record_bytes(size_max);
  claim_padding_bytes_ = 0;
  if (free_end_ - committed_position_ < record_bytes && !find_room(record_bytes)) [[unlikely]] {
    claim_room_bytes_ = 0;
    return nullptr;
  }
  claim_room_bytes_ = std::uint64_t{size_max} + 1;
  ask_ahead();
  // Mostly what commit() wants there. Written with the payload's first bytes and not after its last
  // ones, when a consumer that waits may have taken the line away.
  std::uint8_t* record = at(committed_position_ + claim_padding_bytes_);
  write_header(record, {size_max, usual_type_});
  return record + sizeof(RingRecordLayout);
}

/// The consumer's core has copies of what it read a lap ago: unasked for, each line would be taken
/// from there only when it is written. Of free lines alone: the others the consumer still needs.
inline void RingProducer::ask_ahead() {
  const std::uint64_t wanted_end = committed_position_ + kRingAskToWriteBytes;
  const std::uint64_t end = wanted_end < free_end_ ? wanted_end : free_end_;
  if (asked_end_ < committed_position_) asked_end_ = committed_position_;
  for (; asked_end_ < end; asked_end_ += kCacheLineBytes) ask_for_line_to_write(at(asked_end_));
}

inline std::uint64_t RingProducer::commit(std::uint32_t size, std::uint32_t type, Counted counted) {
  CHECK(size < claim_room_bytes_ && type != kRingPadding);
  if (claim_padding_bytes_ != 0) [[unlikely]] {
    commit_padding();
  }
  std::uint8_t* record = at(committed_position_);
  if (size + std::uint64_t{1} != claim_room_bytes_ || type != usual_type_) {
    usual_type_ = type;
    write_header(record, {size, type});
  }
  claim_room_bytes_ = 0;
  const std::uint64_t record_bytes = ring_record_bytes(size);
  for (std::uint64_t byte = sizeof(RingRecordLayout) + size; byte != record_bytes; ++byte) {
    record[byte] = 0;
  }
  committed_position_ += record_bytes;
  if (counted == Counted::kYes) ++committed_count_;
  return committed_position_;
}

inline bool RingProducer::publish() {
  if (committed_position_ == published_position_) return false;
  published_count_ += committed_count_;
  committed_count_ = 0;
  PublishedLayout& published = header_->published[published_place_];
  published.position.store(committed_position_, std::memory_order_relaxed);
  published.record_count.store(published_count_, std::memory_order_relaxed);
  published_place_ = 1 - published_place_;
  // SYNC(ring.publish): every record before it is written.
  header_->producer_position.store(committed_position_, std::memory_order_release);
  published_position_ = committed_position_;
  return true;
}

/// One load, so that what was checked is what is used: the writer may be hostile.
inline RingRecordLayout RingConsumer::header_at(std::uint64_t index) const {
  return std::bit_cast<RingRecordLayout>(
      __atomic_load_n(reinterpret_cast<const std::uint64_t*>(data_ + index), __ATOMIC_RELAXED));
}

inline RingRecord RingConsumer::next() {
  if (known_end_ == read_position_) {
    const RingRecord::Outcome outcome = look();
    if (outcome == RingRecord::Outcome::kEmpty) return {};
    if (outcome == RingRecord::Outcome::kBroken) return broken();
  }
  const std::uint64_t index = read_position_ & (capacity_bytes_ - 1);
  const RingRecordLayout header = header_at(index);
  if (header.type == kRingPadding ||
      ring_record_bytes(header.size_bytes) > known_end_ - read_position_) [[unlikely]] {
    return next_past_padding(header);
  }
  return take(index, header, 0);
}

inline RingRecord RingConsumer::take(std::uint64_t index, RingRecordLayout header,
                                     std::uint64_t padding_bytes) {
  RingRecord record;
  record.outcome = RingRecord::Outcome::kRecord;
  record.type = header.type;
  record.payload = data_ + index + sizeof header;
  record.size_bytes = header.size_bytes;
  record.position = read_position_;
  record.end_position = read_position_ + padding_bytes + ring_record_bytes(header.size_bytes);
  read_position_ = record.end_position;
  ask_ahead();
  return record;
}

/// Where a record begins is known only from the one before it: unasked for, their lines would come
/// one after the other.
inline void RingConsumer::ask_ahead() {
  const std::uint64_t published_bytes = producer_position_cached_ - read_position_;
  const std::uint64_t end =
      read_position_ +
      (published_bytes < kRingAskAheadBytes ? published_bytes : kRingAskAheadBytes);
  for (; static_cast<std::int64_t>(end - asked_end_) > 0; asked_end_ += kCacheLineBytes) {
    ask_for_line(data_ + (asked_end_ & (capacity_bytes_ - 1)));
  }
}

inline void RingConsumer::forget(std::uint64_t position) {
  if (position - given_back_end_ >= kRingGiveBackBytes) give_lines_back(position);
}

inline void RingConsumer::release(std::uint64_t position) {
  forget(position);
  // SYNC(ring.release): nothing before it is read any more.
  consumer_position_shared_->store(position, std::memory_order_release);
}

}  // namespace deja
