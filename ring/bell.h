// How an idle process sleeps and how a peer wakes it. One bell per sleeping thread: a small file
// bell-<name> with a flag that only the sleeper writes, and a FIFO that peers write one byte to. A
// FIFO, since a byte in it stays until it is read (a futex wake between the last look and the sleep
// is lost, and peers can't change the sleeper's word), and since io_uring can poll it; the futex
// operation of io_uring is younger than Debian 12's kernel.
//
//   sleeper: sleeping = 1 │ seq_cst fence │ look at all inputs once more │ sleep (bounded, 10 ms)
//   waker:   publish      │ seq_cst fence │ sleeping? → write one byte     SYNC(bell.dekker)
//
// With release/acquire in place of the fences both can miss each other, about once in 60,000. Every
// sleep is bounded all the same: a waker can die between publish and ring.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "shm/base/cache_line.h"
#include "shm/segment.h"

namespace deja {

inline constexpr std::int64_t kSleepBoundNs = 10'000'000;

struct BellLayout {
  alignas(kCacheLineBytes) std::atomic<std::uint32_t> sleeping;
};
static_assert(sizeof(BellLayout) == kCacheLineBytes);

/// The sleeper's end. One thread.
class Bell {
 public:
  /// Opens bell-<name> for writing and its FIFO for reading (made by create_segment).
  [[nodiscard]] static Result<Bell> open(const Segment& segment, const std::string& name);

  /// Says that a sleep is coming; then look at every input once more, and either sleep or cancel.
  void announce_sleep();
  void cancel_sleep();
  /// Sleeps until rung, `bound_ns` at most; ends the announcement. What rang stays in the FIFO
  /// until the next announcement: whatever it was about is waited for, and reading costs a system
  /// call.
  void sleep(std::int64_t bound_ns = kSleepBoundNs);
  /// Whatever can be read from this descriptor too ends a sleep; -1: nothing. Not closed here.
  void wake_on(int descriptor) { other_ = descriptor; }
  /// For a loop that polls the FIFO itself (io_uring): its descriptor, and what to call on waking.
  [[nodiscard]] int descriptor() const { return descriptor_; }
  void awake();

  Bell(Bell&&) noexcept;
  Bell& operator=(Bell&&) = delete;
  ~Bell();

 private:
  Bell(MappedFile file, int descriptor);
  void empty();
  MappedFile file_;
  BellLayout* layout_;
  int descriptor_;
  int other_ = -1;
  bool rung_ = false;  // the FIFO may hold bytes
};

/// A waker's end. One thread; one per peer.
class BellRope {
 public:
  [[nodiscard]] static Result<BellRope> open(const Segment& segment, const std::string& name);

  /// Call after publishing. Fences, looks, and writes a byte only to a sleeper: a system call only
  /// then. True when it rang.
  bool ring_if_asleep();

  BellRope(BellRope&&) noexcept;
  BellRope& operator=(BellRope&&) = delete;
  ~BellRope();

 private:
  BellRope(MappedFile file, int descriptor);
  MappedFile file_;
  const BellLayout* layout_;
  int descriptor_;
};

}  // namespace deja
