// An empty ring in private memory, with the consumer's position beside it, as the two files would
// lie in a segment.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "ring/spsc_ring.h"

namespace deja {

class RingMemory {
 public:
  explicit RingMemory(std::uint64_t capacity_bytes)
      : bytes_(ring_file_bytes(capacity_bytes)),
        memory_(static_cast<std::uint8_t*>(
            ::operator new (bytes_, std::align_val_t{kCacheLineBytes}))) {
    for (std::uint64_t at = 0; at < bytes_; ++at) memory_[at] = 0;
    format_ring(memory_, capacity_bytes);
  }
  ~RingMemory() { ::operator delete (memory_, std::align_val_t{kCacheLineBytes}); }
  RingMemory(const RingMemory&) = delete;
  RingMemory& operator=(const RingMemory&) = delete;

  [[nodiscard]] RingProducer producer() { return {memory_, bytes_, &consumer_position}; }
  [[nodiscard]] RingConsumer consumer() { return {memory_, bytes_, &consumer_position}; }
  [[nodiscard]] RingHeaderLayout& header() { return *reinterpret_cast<RingHeaderLayout*>(memory_); }
  [[nodiscard]] std::uint8_t* data() { return memory_ + sizeof(RingHeaderLayout); }
  [[nodiscard]] std::uint8_t* file() { return memory_; }
  [[nodiscard]] std::uint64_t file_bytes() const { return bytes_; }

  std::atomic<std::uint64_t> consumer_position{0};

 private:
  std::uint64_t bytes_;
  std::uint8_t* memory_;
};

}  // namespace deja
