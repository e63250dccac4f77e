// The design of rigtorp's SPSCQueue, written anew as a peer: slots of T in a circle, one of them
// always empty; each side's position on a line of its own, and on another one its copy of the other
// side's, which it loads anew only when the copy says full or empty. One thread on either side; the
// slots and the queue may lie in memory that two processes map at one address.
#pragma once

#include <atomic>
#include <cstddef>
#include <new>
#include <utility>

#include "shm/base/cache_line.h"

namespace deja::bench {

template <typename T>
class CachedPositionQueue {
 public:
  CachedPositionQueue(T* slots, std::size_t slot_count) : slots_(slots), slot_count_(slot_count) {}

  /// Builds a T in the next slot; false: full.
  template <typename... Arguments>
  [[nodiscard]] bool try_emplace(Arguments&&... arguments) {
    const std::size_t at = write_.load(std::memory_order_relaxed);
    const std::size_t next = after(at);
    if (next == read_copy_) {
      read_copy_ = read_.load(std::memory_order_acquire);
      if (next == read_copy_) return false;
    }
    new (&slots_[at]) T(std::forward<Arguments>(arguments)...);
    write_.store(next, std::memory_order_release);
    return true;
  }

  /// The oldest, in its slot; nullptr: empty.
  [[nodiscard]] T* front() {
    const std::size_t at = read_.load(std::memory_order_relaxed);
    if (at == write_copy_) {
      write_copy_ = write_.load(std::memory_order_acquire);
      if (at == write_copy_) return nullptr;
    }
    return &slots_[at];
  }

  /// After front() gave one.
  void pop() {
    const std::size_t at = read_.load(std::memory_order_relaxed);
    slots_[at].~T();
    read_.store(after(at), std::memory_order_release);
  }

 private:
  [[nodiscard]] std::size_t after(std::size_t at) const {
    return at + 1 == slot_count_ ? 0 : at + 1;
  }

  T* slots_;
  std::size_t slot_count_;
  alignas(kCacheLineBytes) std::atomic<std::size_t> write_{0};
  alignas(kCacheLineBytes) std::size_t read_copy_ = 0;  // the writer's
  alignas(kCacheLineBytes) std::atomic<std::size_t> read_{0};
  alignas(kCacheLineBytes) std::size_t write_copy_ = 0;  // the reader's
};

}  // namespace deja::bench
