// Changes the profiles of one shard. One thread of one process at a time: the shard's owner, which
// holds the worker's lock. Nothing allocates, blocks or throws after attach().
//
//   ShardWriter::Draft draft = shard.begin(key);     // a private copy of the current version
//   if (draft.room == Room::kFull) …                  // decide before the log: can_insert()
//   apply(event, draft.frame);
//   draft.sequence = L; draft.updated_us = event.received_us;
//   shard.publish(draft);                            // one store makes it the current one
//
// At most one draft per shard at a time (they share a buffer); a draft may be dropped.
//
// Invariants: those of shm/table_layout.h, and
//  1. Between begin() and publish() shared memory does not change.
//  2. A block is written only while no entry points to it, stamp zeroed first and stored last.
//
// Crash windows: what the next attach() finds when the owner was killed
//   before table.before_stamp   a block without a stamp and without an entry   → free
//   before table.before_publish a block with a stamp and without an entry      → free
//   after  table.after_link     an empty overflow bucket at a chain's end      → used by the next
//   after  table.after_publish  the new version; the old block has no entry    → free
// In each of them every key has its old or its new version, and readers go on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "shm/base/result.h"
#include "shm/block_pool.h"
#include "shm/keyed_hash.h"
#include "shm/shard_reader.h"
#include "shm/table_layout.h"

namespace deja {

/// What begin() found.
enum class [[nodiscard]] Room : std::uint8_t{
    kKnown,  ///< the key has a profile; the draft holds its current version
    kNew,    ///< it has none, and there is room; the draft is all zero
    kFull,   ///< it has none, and there is no room; the draft can't be published
};

class ShardWriter {
 public:
  struct Draft {
    Room room = Room::kFull;
    std::byte* frame = nullptr;  ///< frame_bytes, 64-byte aligned; the writer's, till publish()
    std::uint64_t sequence = 0;  ///< of the current version; the caller sets the new one
    std::int64_t updated_us = 0;
    std::uint32_t late = 0;
    std::uint16_t flags = 0;

   private:
    friend class ShardWriter;
    std::uint64_t position = 0;  // of the entry, or kNoPosition: a bucket must be linked
    std::uint32_t last_bucket = 0;
    std::uint32_t tag = 0;
    std::uint32_t old_block = kNoBlock;
  };

  /// Takes the shard over: formats it when its memory is zero, else checks that it is the shard
  /// that `geometry` and `shard` say, and sweeps it to find what is free. `shard_memory` is 64-byte
  /// aligned, geometry.shard_bytes() long and outlives the writer. Fails where the memory is not
  /// such a shard or breaks an invariant of shm/table_layout.h; nothing was changed then.
  [[nodiscard]] static Result<ShardWriter> attach(void* shard_memory, const TableGeometry& geometry,
                                                  std::uint32_t shard, const HashSecret& secret,
                                                  std::uint32_t reuse_blocks);

  ShardWriter(ShardWriter&&) noexcept = default;
  ShardWriter& operator=(ShardWriter&&) noexcept = default;

  /// Asks for the bucket of the key with this keyed_hash(); when that has come, for the first line
  /// of its block; and for the block's others, of which no other page has to be found first.
  void prefetch(std::uint64_t hash) const { reader_.prefetch(hash); }
  [[nodiscard]] std::uint32_t prefetch_first_line(std::uint64_t hash) const {
    return reader_.prefetch_first_line(hash);
  }
  void prefetch_other_lines(std::uint32_t block) const { reader_.prefetch_other_lines(block); }

  /// Where in the index the key's entry is; kNowhere: it has no profile. It stays there until it is
  /// cleared. `hash` is keyed_hash() of the key.
  static constexpr std::uint64_t kNowhere = ~std::uint64_t{0};
  [[nodiscard]] std::uint64_t locate(const Key& key, std::uint64_t hash) const {
    return find(key, hash).position;
  }

  [[nodiscard]] bool contains(const Key& key) const;

  /// It has a profile here, and a part of it is still in the store alone.
  [[nodiscard]] bool is_partial(const Key& key) const;

  /// The current version, for whoever is the owner anyway.
  [[nodiscard]] bool read(const Key& key, ProfileCopy& copy) const;

  /// Whether `count` new profiles will find room, whatever their keys are. May say no while there
  /// are still a few places; never says yes without them, but for a chain of kChainBucketsMax full
  /// buckets, which keys not chosen with the secret at hand don't make.
  [[nodiscard]] bool can_insert(std::uint32_t count) const {
    return pool_.spare_count() >= count && free_overflow_.size() >= count;
  }
  /// Exactly, for one key without a profile, when `pending` other new ones may come before it. To
  /// be asked before an event is logged: a refusal is decided before the log says "applied".
  [[nodiscard]] bool can_insert(const Key& key, std::uint32_t pending) const;

  /// Counts a new user that was turned away.
  void count_refused() { add(parts_.header().refused_count, 1); }

  /// `key` has 1..key_bytes bytes and stays valid till publish() only through the writer's copy.
  [[nodiscard]] Draft begin(const Key& key);

  /// The same for the profile whose entry is at `position`, as locate() found it.
  [[nodiscard]] Draft begin_at(std::uint64_t position);

  /// Asks for the lines that begin_at(position) will read and publish() will write.
  void prefetch_version(std::uint64_t position) const;

  /// Makes the draft the current version. The draft came from the last begin() and is not kFull.
  void publish(const Draft& draft);

  /// Takes the key's profile away with one store. False when there is none.
  bool clear(const Key& key);

  // For whoever looks for a profile that may go: places in the index, and who is at one.
  struct Resident {
    std::uint64_t position = 0;
    BlockHeaderLayout header{};
    std::array<char, kKeyBytesMax> key_bytes{};
    [[nodiscard]] Key key() const {
      return {static_cast<KeyNamespace>(header.key_namespace), key_bytes.data(), header.key_size};
    }
  };
  [[nodiscard]] std::uint64_t position_count() const {
    return std::uint64_t{geometry_.bucket_count()} * kEntriesPerBucket;
  }
  /// False where the place is empty.
  [[nodiscard]] bool resident_at(std::uint64_t position, Resident& resident) const;
  /// Calls `visit(position)` for each place at which the key could be.
  template <typename Visit>
  void for_each_place(const Key& key, Visit&& visit) const {
    std::uint32_t bucket = main_bucket_of(keyed_hash(secret_, key), geometry_.main_buckets);
    for (;;) {
      for (std::uint32_t at = 0; at < kEntriesPerBucket; ++at) {
        visit(std::uint64_t{bucket} * kEntriesPerBucket + at);
      }
      const std::uint32_t link = parts_.link(bucket).load(std::memory_order_relaxed);
      if (link == 0) return;
      bucket = geometry_.main_buckets + link - 1;
    }
  }
  /// Takes the profile at a place away with one store. There is one.
  void clear_at(std::uint64_t position);

  /// Applied events, step 6 of a worker: stored after the entries it covers.
  [[nodiscard]] std::uint64_t sequence() const {
    return parts_.header().sequence.load(std::memory_order_relaxed);
  }
  void set_sequence(std::uint64_t sequence) {
    // SYNC(table.sequence): whoever loads it sees the entries published before.
    parts_.header().sequence.store(sequence, std::memory_order_release);
  }

  /// Whether the store may have profiles of this shard that are not here. Stored before the first
  /// of them is missing; never taken back.
  [[nodiscard]] bool has_absent() const {
    return parts_.header().has_absent.load(std::memory_order_relaxed) != 0;
  }
  void set_has_absent() { parts_.header().has_absent.store(1, std::memory_order_release); }

  [[nodiscard]] std::uint64_t used_count() const {
    return parts_.header().used_count.load(std::memory_order_relaxed);
  }
  /// Profiles of which a part is still in the store alone.
  [[nodiscard]] std::uint64_t partial_count() const { return partial_count_; }
  /// Blocks that new profiles may take.
  [[nodiscard]] std::uint32_t spare_block_count() const { return pool_.spare_count(); }
  [[nodiscard]] std::uint32_t free_block_count() const { return pool_.free_count(); }
  [[nodiscard]] std::uint32_t free_overflow_count() const {
    return static_cast<std::uint32_t>(free_overflow_.size());
  }
  [[nodiscard]] std::uint64_t next_stamp() const { return next_stamp_; }
  [[nodiscard]] const TableGeometry& geometry() const { return geometry_; }
  /// Reads like everybody else, for sweeps over all profiles of the shard.
  [[nodiscard]] const ShardReader<>& reader() const { return reader_; }

 private:
  static constexpr std::uint64_t kNoPosition = kNowhere;

  /// Where a key is, or where it could go.
  struct Place {
    std::uint64_t position = kNoPosition;        // of its entry
    std::uint64_t empty_position = kNoPosition;  // of the first empty entry in its chain
    std::uint32_t empty_count = 0;
    std::uint32_t last_bucket = 0;
    std::uint32_t chain_buckets = 0;
    std::uint32_t tag = 0;
  };
  struct FreeBuffer {
    void operator()(std::byte* buffer) const;
  };

  ShardWriter(void* shard_memory, const TableGeometry& geometry, const HashSecret& secret,
              std::uint32_t reuse_blocks);
  Status check_header(std::uint32_t shard) const;
  Status sweep();
  Status sweep_index(std::vector<std::uint64_t>& claims);
  Status sweep_blocks(const std::vector<std::uint64_t>& claims);
  void format(std::uint32_t shard);

  [[nodiscard]] Place find(const Key& key) const { return find(key, keyed_hash(secret_, key)); }
  [[nodiscard]] Place find(const Key& key, std::uint64_t hash) const;
  [[nodiscard]] std::byte* frame() const {
    return block_ + TableGeometry::kBlockHeaderBytes + geometry_.key_bytes;
  }
  [[nodiscard]] std::uint16_t flags_of(std::uint32_t block) const;
  [[nodiscard]] bool block_holds(std::uint32_t block, const Key& key) const;
  [[nodiscard]] bool has_room(const Place& place, std::uint32_t pending) const;
  [[nodiscard]] std::uint64_t link_bucket(std::uint32_t last_bucket);

  /// Only the owner stores counters: a load and a store are enough.
  static void add(std::atomic<std::uint64_t>& counter, std::uint64_t amount) {
    counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }

  ShardParts<std::byte> parts_;
  ShardReader<> reader_;
  TableGeometry geometry_;
  HashSecret secret_;
  std::uint64_t next_stamp_ = 1;
  std::uint64_t partial_count_ = 0;
  BlockPool pool_;
  std::vector<std::uint32_t> free_overflow_;
  std::unique_ptr<std::byte, FreeBuffer> buffer_;  // one block, its frame 64-byte aligned
  std::byte* block_ = nullptr;                     // where in buffer_ the block begins
};

}  // namespace deja
