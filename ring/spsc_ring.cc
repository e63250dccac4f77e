#include "ring/spsc_ring.h"

#include <bit>
#include <cstring>

#include "shm/base/check.h"

namespace deja {
namespace {

constexpr std::uint64_t kCapacityBytesMin = 4096;

/// Whether a ring of `capacity_bytes` can lie in a file of `file_bytes` (which may be rounded up).
bool capacity_fits(std::uint64_t capacity_bytes, std::uint64_t file_bytes) {
  return capacity_bytes >= kCapacityBytesMin && std::has_single_bit(capacity_bytes) &&
         file_bytes >= sizeof(RingHeaderLayout) &&
         capacity_bytes <= file_bytes - sizeof(RingHeaderLayout);
}

void write_header(std::uint8_t* at, std::uint32_t size_bytes, std::uint32_t type) {
  const RingRecordLayout header{size_bytes, type};
  std::memcpy(at, &header, sizeof header);
}

/// One load, so that what was checked is what is used: the writer may be hostile.
RingRecordLayout read_header(const std::uint8_t* at) {
  const std::uint64_t word =
      __atomic_load_n(reinterpret_cast<const std::uint64_t*>(at), __ATOMIC_RELAXED);
  return std::bit_cast<RingRecordLayout>(word);
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
  claim_position_ = published_position_;
  for (unsigned place = 0; place < 2; ++place) {
    const PublishedLayout& published = header_->published[place];
    if (published.position.load(std::memory_order_relaxed) != published_position_) continue;
    published_count_ = published.record_count.load(std::memory_order_relaxed);
    published_place_ = 1 - place;
    break;
  }
  refresh_consumer_position();
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

std::uint8_t* RingProducer::claim(std::uint32_t size_max) {
  CHECK(size_max <= capacity_bytes_ / 4);
  const std::uint64_t record_bytes = ring_record_bytes(size_max);
  const std::uint64_t index = committed_position_ & (capacity_bytes_ - 1);
  const std::uint64_t bytes_to_end = capacity_bytes_ - index;
  const std::uint64_t padding_bytes = record_bytes <= bytes_to_end ? 0 : bytes_to_end;
  const std::uint64_t end = committed_position_ + padding_bytes + record_bytes;
  if (end - consumer_position_cached_ > capacity_bytes_) {
    refresh_consumer_position();
    if (end - consumer_position_cached_ > capacity_bytes_) {
      claim_open_ = false;
      return nullptr;
    }
  }
  claim_position_ = committed_position_ + padding_bytes;
  claim_size_ = size_max;
  claim_open_ = true;
  return data_ + (claim_position_ & (capacity_bytes_ - 1)) + sizeof(RingRecordLayout);
}

std::uint64_t RingProducer::commit(std::uint32_t size, std::uint32_t type, Counted counted) {
  CHECK(claim_open_ && size <= claim_size_ && type != kRingPadding);
  claim_open_ = false;
  if (claim_position_ != committed_position_) {
    const std::uint64_t padding_bytes = claim_position_ - committed_position_;
    write_header(data_ + (committed_position_ & (capacity_bytes_ - 1)),
                 static_cast<std::uint32_t>(padding_bytes - sizeof(RingRecordLayout)),
                 kRingPadding);
  }
  std::uint8_t* record = data_ + (claim_position_ & (capacity_bytes_ - 1));
  const std::uint64_t record_bytes = ring_record_bytes(size);
  write_header(record, size, type);
  std::memset(record + sizeof(RingRecordLayout) + size, 0,
              record_bytes - sizeof(RingRecordLayout) - size);
  committed_position_ = claim_position_ + record_bytes;
  if (counted == Counted::kYes) ++committed_count_;
  return committed_position_;
}

bool RingProducer::publish() {
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

// --- consumer -----------------------------------------------------------------------------------

RingConsumer::RingConsumer(const void* file, std::uint64_t file_bytes,
                           std::atomic<std::uint64_t>* consumer_position)
    : header_(static_cast<const RingHeaderLayout*>(file)),
      data_(static_cast<const std::uint8_t*>(file) + sizeof(RingHeaderLayout)),
      capacity_bytes_(0),
      consumer_position_shared_(consumer_position),
      read_position_(consumer_position->load(std::memory_order_relaxed)) {
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
  RingRecord record;
  record.outcome = RingRecord::Outcome::kBroken;
  record.position = read_position_;
  record.end_position = read_position_;
  return record;
}

RingRecord RingConsumer::next() {
  if (broken_) return broken();
  if (producer_position_cached_ == read_position_) {
    producer_position_cached_ = producer_position();
    if (producer_position_cached_ == read_position_) return {};
  }
  std::uint64_t available_bytes = producer_position_cached_ - read_position_;
  if (available_bytes > capacity_bytes_ || available_bytes % 8 != 0 || read_position_ % 8 != 0) {
    return broken();
  }
  std::uint64_t index = read_position_ & (capacity_bytes_ - 1);
  RingRecordLayout header = read_header(data_ + index);
  std::uint64_t padding_bytes = 0;
  if (header.type == kRingPadding) {
    // Padding goes to the end exactly, and never stands alone: it is committed with its record.
    padding_bytes = capacity_bytes_ - index;
    if (sizeof(RingRecordLayout) + std::uint64_t{header.size_bytes} != padding_bytes ||
        available_bytes <= padding_bytes) {
      return broken();
    }
    index = 0;
    available_bytes -= padding_bytes;
    header = read_header(data_);
    if (header.type == kRingPadding) return broken();
  }
  const std::uint64_t record_bytes = ring_record_bytes(header.size_bytes);
  if (record_bytes > available_bytes || record_bytes > capacity_bytes_ - index) return broken();

  RingRecord record;
  record.outcome = RingRecord::Outcome::kRecord;
  record.type = header.type;
  record.payload = data_ + index + sizeof(RingRecordLayout);
  record.size_bytes = header.size_bytes;
  record.position = read_position_;
  record.end_position = read_position_ + padding_bytes + record_bytes;
  read_position_ = record.end_position;
  return record;
}

void RingConsumer::seek(std::uint64_t position) {
  read_position_ = position;
  producer_position_cached_ = position;  // loaded anew: it may lie before the new position
}

void RingConsumer::release(std::uint64_t position) {
  // SYNC(ring.release): nothing before it is read any more.
  consumer_position_shared_->store(position, std::memory_order_release);
}

}  // namespace deja
