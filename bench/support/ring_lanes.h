// Three ways from one process to another behind one face, for bench/ring_main.cc: our ring,
// rigtorp's design, boost's. A lane lies in memory that both processes map at one address (made
// before a fork). Its sender puts a record in as cheaply as the queue allows, its receiver copies
// it out: what a worker does, since from then on a ring's bytes may change no more.
//
//   lane.map_all_pages()         in the child, before it is measured
//   sender.put(number, source)   false: full, and whatever was put is visible
//   sender.flush()               all that was put is visible: nothing more is at hand
//   receiver.take(record)        false: empty, and the space of all that was taken is given back
#pragma once

#include <sys/mman.h>

#include <array>
#include <boost/lockfree/spsc_queue.hpp>
#include <cstdint>
#include <cstring>
#include <new>

#include "bench/support/cached_position_queue.h"
#include "bench/support/servers.h"
#include "ring/positions.h"
#include "ring/spsc_ring.h"

namespace deja::bench {

/// What is sent: a number that the receiver checks, and bytes of somebody's.
template <std::size_t kBytes>
struct Record {
  Record() = default;
  Record(std::uint64_t its_number, const Record& source) : number(its_number) {
    std::memcpy(rest, source.rest, sizeof rest);
  }
  std::uint64_t number;
  std::uint8_t rest[kBytes - sizeof(std::uint64_t)];
};
static_assert(sizeof(Record<64>) == 64 && sizeof(Record<200>) == 200);

/// Memory that a child shares.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes)
      : bytes_(bytes),
        data_(mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)) {
    if (data_ == MAP_FAILED) give_up("no memory to share");
  }
  ~SharedMemory() { munmap(data_, bytes_); }
  /// A child finds nothing of what its parent has mapped in its own page table: not while it is
  /// measured.
  void map_all_pages() const { (void)madvise(data_, bytes_, MADV_POPULATE_WRITE); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  [[nodiscard]] std::uint8_t* at(std::size_t offset) const {
    return static_cast<std::uint8_t*>(data_) + offset;
  }

 private:
  std::size_t bytes_;
  void* data_;
};

/// Ours: built in place, published with every `batch`-th record and whenever nothing more is at
/// hand; its space is given back as a worker does, for what was found at once (256 at most).
template <typename T, std::uint64_t kCapacityBytes>
class OurLane {
 public:
  static constexpr const char* kName = "ours";
  OurLane() { format_ring(ring(), kCapacityBytes); }
  void map_all_pages() const { memory_.map_all_pages(); }

  class Sender {
   public:
    Sender(OurLane& lane, std::uint32_t batch)
        : ring_(lane.ring(), ring_file_bytes(kCapacityBytes), lane.position()), batch_(batch) {}
    bool put(std::uint64_t number, const T& source) {
      std::uint8_t* claimed = ring_.claim(sizeof(T));
      if (claimed == nullptr) {
        flush();
        return false;
      }
      new (claimed) T(number, source);
      ring_.commit(sizeof(T), 1);
      if (++unpublished_ == batch_) flush();
      return true;
    }
    void flush() {
      ring_.publish();
      unpublished_ = 0;
    }

   private:
    RingProducer ring_;
    std::uint32_t batch_;
    std::uint32_t unpublished_ = 0;
  };

  class Receiver {
   public:
    Receiver(OurLane& lane, std::uint32_t)
        : ring_(lane.ring(), ring_file_bytes(kCapacityBytes), lane.position()) {}
    ~Receiver() { release(); }
    Receiver(const Receiver&) = delete;
    Receiver& operator=(const Receiver&) = delete;
    bool take(T& record) {
      const RingRecord found = ring_.next();
      if (found.outcome != RingRecord::Outcome::kRecord || found.size_bytes != sizeof(T)) {
        if (unreleased_ != 0) release();
        return false;
      }
      std::memcpy(static_cast<void*>(&record), found.payload, sizeof(T));
      ring_.forget(found.end_position);
      if (++unreleased_ == kReleaseRecords) release();
      return true;
    }

   private:
    static constexpr std::uint32_t kReleaseRecords = 256;
    void release() {
      ring_.release(ring_.read_position());
      unreleased_ = 0;
    }
    RingConsumer ring_;
    std::uint32_t unreleased_ = 0;
  };

 private:
  [[nodiscard]] std::uint8_t* ring() { return memory_.at(sizeof(PositionLayout)); }
  [[nodiscard]] std::atomic<std::uint64_t>* position() {
    return &reinterpret_cast<PositionLayout*>(memory_.at(0))->value;
  }
  SharedMemory memory_{sizeof(PositionLayout) + ring_file_bytes(kCapacityBytes)};
};

/// rigtorp's design: built in its slot, visible with each record. It knows no batch.
template <typename T, std::uint64_t kCapacityBytes>
class CachedPositionLane {
 public:
  static constexpr const char* kName = "rigtorp's design";
  using Queue = CachedPositionQueue<T>;
  CachedPositionLane()
      : queue_(new (memory_.at(0)) Queue(reinterpret_cast<T*>(memory_.at(sizeof(Queue))),
                                         kCapacityBytes / sizeof(T))) {}
  void map_all_pages() const { memory_.map_all_pages(); }

  class Sender {
   public:
    Sender(CachedPositionLane& lane, std::uint32_t) : queue_(*lane.queue_) {}
    bool put(std::uint64_t number, const T& source) { return queue_.try_emplace(number, source); }
    void flush() {}

   private:
    Queue& queue_;
  };
  class Receiver {
   public:
    Receiver(CachedPositionLane& lane, std::uint32_t) : queue_(*lane.queue_) {}
    bool take(T& record) {
      const T* front = queue_.front();
      if (front == nullptr) return false;
      record = *front;
      queue_.pop();
      return true;
    }

   private:
    Queue& queue_;
  };

 private:
  SharedMemory memory_{sizeof(Queue) + kCapacityBytes};
  Queue* queue_;
};

/// boost's: by push and pop, or, where a batch is asked for, by its push and pop of several.
template <typename T, std::uint64_t kCapacityBytes>
class BoostLane {
 public:
  static constexpr const char* kName = "boost";
  static constexpr std::uint32_t kBatchMax = 256;
  using Queue =
      boost::lockfree::spsc_queue<T, boost::lockfree::capacity<kCapacityBytes / sizeof(T)>>;
  BoostLane() : queue_(new (memory_.at(0)) Queue) {}
  void map_all_pages() const { memory_.map_all_pages(); }

  class Sender {
   public:
    Sender(BoostLane& lane, std::uint32_t batch) : queue_(*lane.queue_), batch_(batch) {}
    bool put(std::uint64_t number, const T& source) {
      if (batch_ == 1) return queue_.push(T(number, source));
      if (held_count_ == batch_ && !push_held()) return false;
      new (&held_[held_count_++]) T(number, source);
      if (held_count_ == batch_) (void)push_held();
      return true;
    }
    void flush() {
      while (held_count_ != 0 && !push_held()) {
      }
    }

   private:
    bool push_held() {
      const std::size_t pushed = queue_.push(held_.data() + held_begin_, held_count_ - held_begin_);
      held_begin_ += static_cast<std::uint32_t>(pushed);
      if (held_begin_ != held_count_) return false;
      held_begin_ = held_count_ = 0;
      return true;
    }
    Queue& queue_;
    std::uint32_t batch_;
    std::uint32_t held_begin_ = 0;
    std::uint32_t held_count_ = 0;
    std::array<T, kBatchMax> held_;
  };
  class Receiver {
   public:
    Receiver(BoostLane& lane, std::uint32_t batch) : queue_(*lane.queue_), batch_(batch) {}
    bool take(T& record) {
      if (batch_ == 1) return queue_.pop(record);
      if (taken_ == held_count_) {
        taken_ = 0;
        held_count_ = static_cast<std::uint32_t>(queue_.pop(held_.data(), batch_));
        if (held_count_ == 0) return false;
      }
      record = held_[taken_++];
      return true;
    }

   private:
    Queue& queue_;
    std::uint32_t batch_;
    std::uint32_t taken_ = 0;
    std::uint32_t held_count_ = 0;
    std::array<T, kBatchMax> held_;
  };

 private:
  SharedMemory memory_{sizeof(Queue)};
  Queue* queue_;
};

}  // namespace deja::bench
