// A block: one immutable version of one profile, and a reader's private copy of it. Libc alone.
//
//   0       8          16           24      28       30         31              32
//   ┌───────┬──────────┬────────────┬───────┬────────┬──────────┬───────────────┬──────┬───────┐
//   │ stamp │ sequence │ updated_us │ late  │ flags  │ key_size │ key_namespace │ key  │ frame │
//   └───────┴──────────┴────────────┴───────┴────────┴──────────┴───────────────┴──────┴───────┘
//   u64     u64        i64          u32     u16      u8         u8              key_bytes,
//   frame_bytes
//
// Key and frame are zero-padded to the geometry's key_bytes and frame_bytes, multiples of 8. In
// shared memory a block is an array of atomic 64-bit words and nothing else: the owner stores them,
// readers load them, and what a reader got is a profile only after the two second looks of
// shm/shard_reader.h. The structs here describe the bytes of a private copy.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "shm/key.h"
#include "shm/table_geometry.h"

namespace deja {

/// Part of the profile is still on its way from the store (BlockHeaderLayout::flags).
inline constexpr std::uint16_t kFlagPartial = 1;

struct BlockHeaderLayout {
  std::uint64_t stamp;      ///< per-shard number of this build, never reused; 0: being built
  std::uint64_t sequence;   ///< of the shard, after the last event in this version
  std::int64_t updated_us;  ///< receipt time of that event, wall clock
  std::uint32_t late;       ///< events left out of a feature because they were older than its panes
  std::uint16_t flags;
  std::uint8_t key_size;  ///< bytes of the key that count
  std::uint8_t key_namespace;
};
static_assert(sizeof(BlockHeaderLayout) == TableGeometry::kBlockHeaderBytes);
static_assert(offsetof(BlockHeaderLayout, sequence) == 8);
static_assert(offsetof(BlockHeaderLayout, updated_us) == 16);
static_assert(offsetof(BlockHeaderLayout, late) == 24);
static_assert(offsetof(BlockHeaderLayout, flags) == 28);
static_assert(offsetof(BlockHeaderLayout, key_size) == 30);
static_assert(offsetof(BlockHeaderLayout, key_namespace) == 31);

/// One word of a block in shared memory.
using BlockWord = std::atomic<std::uint64_t>;
static_assert(sizeof(BlockWord) == 8 && BlockWord::is_always_lock_free);

#ifdef DEJA_THREAD_SANITIZER
// ThreadSanitizer does not know stand-alone fences: there every word carries its own order.
inline constexpr std::memory_order kWordLoad = std::memory_order_acquire;
inline constexpr std::memory_order kWordStore = std::memory_order_release;
inline void fence_acquire() {}
inline void fence_release() {}
#else
inline constexpr std::memory_order kWordLoad = std::memory_order_relaxed;
inline constexpr std::memory_order kWordStore = std::memory_order_relaxed;
inline void fence_acquire() {
  std::atomic_thread_fence(std::memory_order_acquire);
}
inline void fence_release() {
  std::atomic_thread_fence(std::memory_order_release);
}
#endif

// clang-tidy's analyzer does not follow assembler: to it, what this copies stays unwritten.
#if defined(__x86_64__) && !defined(DEJA_THREAD_SANITIZER) && !defined(__clang_analyzer__)
#define DEJA_WORDS_BY_SSE 1
/// Copies `count` words, 64 bytes at a time. In assembler, because a compiler copies atomics one by
/// one, which takes three times as long, and may not be told to do otherwise. What the words need
/// is there: x86 keeps the order of loads and that of stores, and the compiler none across it. That
/// a word is whole is not asked of it: whoever copies beside a writer looks at the stamp again.
inline void copy_words(const void* from, void* into, std::uint32_t count) {
  const auto* source = static_cast<const char*>(from);
  auto* target = static_cast<char*>(into);
  for (; count >= 8; count -= 8, source += 64, target += 64) {
    asm volatile(
        "movdqu (%0), %%xmm0\n\t"
        "movdqu 16(%0), %%xmm1\n\t"
        "movdqu 32(%0), %%xmm2\n\t"
        "movdqu 48(%0), %%xmm3\n\t"
        "movdqu %%xmm0, (%1)\n\t"
        "movdqu %%xmm1, 16(%1)\n\t"
        "movdqu %%xmm2, 32(%1)\n\t"
        "movdqu %%xmm3, 48(%1)"
        :
        : "r"(source), "r"(target)
        : "xmm0", "xmm1", "xmm2", "xmm3", "memory");
  }
  for (; count >= 2; count -= 2, source += 16, target += 16) {
    asm volatile(
        "movdqu (%0), %%xmm0\n\t"
        "movdqu %%xmm0, (%1)"
        :
        : "r"(source), "r"(target)
        : "xmm0", "memory");
  }
  if (count > 0) {
    std::uint64_t word = 0;
    asm volatile("movq (%1), %0\n\tmovq %0, (%2)"
                 : "=&r"(word)
                 : "r"(source), "r"(target)
                 : "memory");
  }
}
#endif

/// Copies `count` words out of shared memory. No order of its own outside of ThreadSanitizer.
inline void load_words(const BlockWord* from, void* into, std::uint32_t count) {
#ifdef DEJA_WORDS_BY_SSE
  copy_words(from, into, count);
#else
  auto* bytes = static_cast<char*>(into);
  for (std::uint32_t word = 0; word < count; ++word) {
    const std::uint64_t value = from[word].load(kWordLoad);
    std::memcpy(bytes + std::size_t{word} * 8, &value, 8);
  }
#endif
}

/// Copies `count` words into shared memory, likewise.
inline void store_words(const void* from, BlockWord* into, std::uint32_t count) {
#ifdef DEJA_WORDS_BY_SSE
  copy_words(from, into, count);
#else
  const auto* bytes = static_cast<const char*>(from);
  for (std::uint32_t word = 0; word < count; ++word) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes + std::size_t{word} * 8, 8);
    into[word].store(value, kWordStore);
  }
#endif
}

/// A view of block_bytes of the caller's memory (8-byte aligned, so that the frame is too) that
/// holds one version of a profile. Whoever filled it may read it, in one thread, without a lock.
class ProfileCopy {
 public:
  ProfileCopy(void* memory, const TableGeometry& geometry)
      : memory_(static_cast<char*>(memory)),
        key_bytes_(geometry.key_bytes),
        frame_bytes_(geometry.frame_bytes) {}

  [[nodiscard]] BlockHeaderLayout header() const {
    BlockHeaderLayout header;
    std::memcpy(&header, memory_, sizeof header);
    return header;
  }
  [[nodiscard]] std::uint64_t sequence() const { return header().sequence; }
  [[nodiscard]] bool partial() const { return (header().flags & kFlagPartial) != 0; }

  /// The key, never longer than the space it has: a copy may come from a hostile file.
  [[nodiscard]] Key key() const {
    const BlockHeaderLayout head = header();
    const std::uint32_t size = head.key_size <= key_bytes_ ? head.key_size : key_bytes_;
    return {static_cast<KeyNamespace>(head.key_namespace), memory_ + sizeof(BlockHeaderLayout),
            size};
  }
  [[nodiscard]] bool holds(const Key& key_wanted) const {
    return header().key_size == key_wanted.size && key() == key_wanted;
  }

  [[nodiscard]] const std::byte* frame() const {
    return reinterpret_cast<const std::byte*>(memory_) + sizeof(BlockHeaderLayout) + key_bytes_;
  }
  [[nodiscard]] std::uint32_t frame_bytes() const { return frame_bytes_; }
  [[nodiscard]] void* memory() const { return memory_; }

 private:
  char* memory_;
  std::uint32_t key_bytes_;
  std::uint32_t frame_bytes_;
};

}  // namespace deja
