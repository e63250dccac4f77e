// The owner's private account of a shard's free blocks: a stack of blocks at rest, and a FIFO of
// the ones just freed, which wait there so that a slow reader seldom meets a reuse. Nothing of it
// lies in shared memory; a sweep at attach fills it again. One thread; allocates at construction
// only.
//
// Invariants
//  1. A block is taken from the FIFO's front as soon as `reuse_count` blocks wait there, so that
//     updates go round among few blocks, which stay in the cache; else from the stack.
//  2. reuse_count ≥ 1, and new profiles leave that many blocks free: an update always finds one.
#pragma once

#include <cstdint>
#include <vector>

#include "shm/base/check.h"

namespace deja {

class BlockPool {
 public:
  BlockPool() = default;
  BlockPool(std::uint32_t block_count, std::uint32_t reuse_count)
      : reuse_count_(reuse_count == 0 ? 1 : reuse_count), waiting_(reuse_count_) {
    resting_.reserve(block_count);
  }

  /// A block that nobody has read for long. Used by the sweep.
  void rest(std::uint32_t block) { resting_.push_back(block); }

  /// A block that readers may still be copying.
  void give(std::uint32_t block) {
    if (waiting_count_ == reuse_count_) resting_.push_back(take_waiting());
    waiting_[(waiting_front_ + waiting_count_) % reuse_count_] = block;
    ++waiting_count_;
  }

  /// What the next take() will give. There is one.
  [[nodiscard]] std::uint32_t next() const {
    if (waiting_count_ == reuse_count_ || resting_.empty()) return waiting_[waiting_front_];
    return resting_.back();
  }

  [[nodiscard]] std::uint32_t take() {
    if (waiting_count_ == reuse_count_ || resting_.empty()) return take_waiting();
    const std::uint32_t block = resting_.back();
    resting_.pop_back();
    return block;
  }

  [[nodiscard]] std::uint32_t free_count() const {
    return static_cast<std::uint32_t>(resting_.size()) + waiting_count_;
  }
  /// How many blocks new profiles may take.
  [[nodiscard]] std::uint32_t spare_count() const {
    return free_count() > reuse_count_ ? free_count() - reuse_count_ : 0;
  }

 private:
  std::uint32_t take_waiting() {
    CHECK(waiting_count_ != 0);
    const std::uint32_t block = waiting_[waiting_front_];
    waiting_front_ = (waiting_front_ + 1) % reuse_count_;
    --waiting_count_;
    return block;
  }

  std::uint32_t reuse_count_ = 1;
  std::uint32_t waiting_front_ = 0;
  std::uint32_t waiting_count_ = 0;
  std::vector<std::uint32_t> waiting_;
  std::vector<std::uint32_t> resting_;
};

}  // namespace deja
