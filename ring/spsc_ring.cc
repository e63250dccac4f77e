#include "ring/spsc_ring.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "ring/line_hints.h"

namespace deja {
namespace {

constexpr std::uint64_t kCapacityBytesMin = 4096;

/// Whether a ring of `capacity_bytes` can lie in a file of `file_bytes` (which may be rounded up).
bool capacity_fits(std::uint64_t capacity_bytes, std::uint64_t file_bytes) {
  return capacity_bytes >= kCapacityBytesMin && std::has_single_bit(capacity_bytes) &&
         file_bytes >= sizeof(RingHeaderLayout) &&
         capacity_bytes <= file_bytes - sizeof(RingHeaderLayout);
}

std::uint64_t line_of(std::uint64_t position) {
  return position & ~(kCacheLineBytes - 1);
}

}  // namespace

void format_ring(void* file, std::uint64_t capacity_bytes) {
  CHECK(capacity_bytes >= kCapacityBytesMin && std::has_single_bit(capacity_bytes));
  auto* header = static_cast<RingHeaderLayout*>(file);
  header->capacity_bytes = capacity_bytes;
  header->producer_position.store(0, std::memory_order_relaxed);
  header->magic = kRingMagic;
}

// --- producer -----------------------------------------------------------------------------------

RingProducer::RingProducer(void* file, std::uint64_t file_bytes,
                           const std::atomic<std::uint64_t>* consumer_position,
                           const std::atomic<std::uint64_t>* second_consumer_position)
    : header_(static_cast<RingHeaderLayout*>(file)),
      data_(static_cast<std::uint8_t*>(file) + sizeof(RingHeaderLayout)),
      capacity_bytes_(header_->capacity_bytes),
      consumer_position_shared_(consumer_position),
      second_consumer_position_shared_(
          second_consumer_position == nullptr ? consumer_position : second_consumer_position) {
  // The file is the producer's own: nobody else maps it for writing.
  CHECK(header_->magic == kRingMagic && capacity_fits(capacity_bytes_, file_bytes));
  published_position_ = header_->producer_position.load(std::memory_order_relaxed);
  CHECK(published_position_ % 8 == 0);
  committed_position_ = published_position_;
  free_end_ = published_position_;
  for (unsigned place = 0; place < 2; ++place) {
    const PublishedLayout& published = header_->published[place];
    if (published.position.load(std::memory_order_relaxed) != published_position_) continue;
    published_count_ = published.record_count.load(std::memory_order_relaxed);
    published_place_ = 1 - place;
    break;
  }
  refresh_consumer_position();
}

std::uint64_t RingProducer::free_bytes() const {
  return capacity_bytes_ - (committed_position_ - consumer_position_cached_);
}

std::uint64_t RingProducer::bytes_behind(std::uint64_t position) const {
  return position <= committed_position_ ? committed_position_ - position : ~std::uint64_t{0};
}

std::uint64_t RingProducer::consumer_position() const {
  // SYNC(ring.release): the consumer no longer reads what lies before it.
  const std::uint64_t first = consumer_position_shared_->load(std::memory_order_acquire);
  const std::uint64_t second = second_consumer_position_shared_->load(std::memory_order_acquire);
  return bytes_behind(first) >= bytes_behind(second) ? first : second;
}

void RingProducer::refresh_consumer_position() {
  consumer_position_cached_ = consumer_position();
  // A position ahead of ours or too far behind is the consumer's lie: to us the ring is full.
  if (bytes_behind(consumer_position_cached_) > capacity_bytes_) {
    consumer_position_cached_ = committed_position_ - capacity_bytes_;
  }
}

/// Room for a record, behind padding up to the end where it would cross that.
bool RingProducer::find_room(std::uint64_t record_bytes) {
  const std::uint64_t bytes_to_end =
      capacity_bytes_ - (committed_position_ & (capacity_bytes_ - 1));
  const std::uint64_t padding_bytes = record_bytes <= bytes_to_end ? 0 : bytes_to_end;
  if (free_bytes() < padding_bytes + record_bytes) {
    refresh_consumer_position();
    if (free_bytes() < padding_bytes + record_bytes) return false;
  }
  claim_padding_bytes_ = padding_bytes;
  free_end_ = committed_position_ + std::min(free_bytes(), bytes_to_end);
  return true;
}

void RingProducer::commit_padding() {
  write_header(
      at(committed_position_),
      {static_cast<std::uint32_t>(claim_padding_bytes_ - sizeof(RingRecordLayout)), kRingPadding});
  committed_position_ += claim_padding_bytes_;
  free_end_ = committed_position_ + free_bytes();
}

// --- consumer -----------------------------------------------------------------------------------

RingConsumer::RingConsumer(const void* file, std::uint64_t file_bytes,
                           std::atomic<std::uint64_t>* consumer_position)
    : header_(static_cast<const RingHeaderLayout*>(file)),
      data_(static_cast<const std::uint8_t*>(file) + sizeof(RingHeaderLayout)),
      capacity_bytes_(0),
      consumer_position_shared_(consumer_position),
      read_position_(consumer_position->load(std::memory_order_relaxed)),
      known_end_(read_position_),
      given_back_end_(line_of(read_position_)),
      gives_lines_back_(deja::gives_lines_back()) {
  CHECK(file_bytes >= sizeof(RingHeaderLayout));
  // Read once: it is the producer's word.
  const std::uint64_t capacity_bytes = __atomic_load_n(&header_->capacity_bytes, __ATOMIC_RELAXED);
  const std::uint64_t magic = __atomic_load_n(&header_->magic, __ATOMIC_RELAXED);
  if (magic == kRingMagic && capacity_fits(capacity_bytes, file_bytes)) {
    capacity_bytes_ = capacity_bytes;
  } else {
    broken_ = true;
  }
  producer_position_cached_ = read_position_;
}

std::uint64_t RingConsumer::producer_position() const {
  // SYNC(ring.publish): every record before it can be read.
  return header_->producer_position.load(std::memory_order_acquire);
}

RingRecord RingConsumer::broken() {
  broken_ = true;
  known_end_ = read_position_;
  RingRecord record;
  record.outcome = RingRecord::Outcome::kBroken;
  record.position = read_position_;
  record.end_position = read_position_;
  return record;
}

/// Called at the end of what is known. Whatever it answers, nothing was taken yet.
RingRecord::Outcome RingConsumer::look() {
  if (broken_) return RingRecord::Outcome::kBroken;
  if (producer_position_cached_ == read_position_) {
    producer_position_cached_ = producer_position();
    asked_end_ = line_of(read_position_);  // once more: what was asked for early is taken away
    if (producer_position_cached_ == read_position_) {
      // Whoever waits asks for what he waits for: so it comes with the position, not after it.
      for (std::uint64_t byte = 0; byte < kRingAskWaitingBytes; byte += kCacheLineBytes) {
        ask_for_line(data_ + ((asked_end_ + byte) & (capacity_bytes_ - 1)));
      }
      return RingRecord::Outcome::kEmpty;
    }
  }
  const std::uint64_t published_bytes = producer_position_cached_ - read_position_;
  if (published_bytes > capacity_bytes_ || published_bytes % 8 != 0 || read_position_ % 8 != 0) {
    return RingRecord::Outcome::kBroken;
  }
  const std::uint64_t bytes_to_end = capacity_bytes_ - (read_position_ & (capacity_bytes_ - 1));
  known_end_ = read_position_ + std::min(published_bytes, bytes_to_end);
  ask_ahead();
  return RingRecord::Outcome::kRecord;
}

/// Not a record that lies in what is known: padding, or nothing that makes sense.
RingRecord RingConsumer::next_past_padding(RingRecordLayout header) {
  // Padding goes to the end exactly, and never stands alone: it is committed with its record.
  const std::uint64_t padding_bytes = capacity_bytes_ - (read_position_ & (capacity_bytes_ - 1));
  const std::uint64_t published_bytes = producer_position_cached_ - read_position_;
  if (header.type != kRingPadding ||
      sizeof header + std::uint64_t{header.size_bytes} != padding_bytes ||
      published_bytes <= padding_bytes) {
    return broken();
  }
  header = header_at(0);
  if (header.type == kRingPadding ||
      ring_record_bytes(header.size_bytes) > published_bytes - padding_bytes) {
    return broken();
  }
  const RingRecord record = take(0, header, padding_bytes);
  known_end_ = read_position_;  // the next one is looked for
  return record;
}

void RingConsumer::give_lines_back(std::uint64_t position) {
  const std::uint64_t end = line_of(position);
  // After a step back, or further than a ring's length: from here on.
  if (gives_lines_back_ && end - given_back_end_ <= capacity_bytes_) {
    for (std::uint64_t line = given_back_end_; line != end; line += kCacheLineBytes) {
      give_line_back(data_ + (line & (capacity_bytes_ - 1)));
    }
  }
  given_back_end_ = end;
}

void RingConsumer::seek(std::uint64_t position) {
  read_position_ = position;
  known_end_ = position;
  producer_position_cached_ = position;  // loaded anew: it may lie before the new position
}

}  // namespace deja
