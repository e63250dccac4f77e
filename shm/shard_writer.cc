#include "shm/shard_writer.h"

#include <cstring>
#include <new>
#include <string>

#include "shm/base/crash_point.h"

namespace deja {

void ShardWriter::FreeBuffer::operator()(std::byte* buffer) const {
  ::operator delete (buffer, std::align_val_t{kCacheLineBytes});
}

ShardWriter::ShardWriter(void* shard_memory, const TableGeometry& geometry,
                         const HashSecret& secret, std::uint32_t reuse_blocks)
    : parts_(static_cast<std::byte*>(shard_memory), geometry),
      reader_(shard_memory, geometry, secret),
      geometry_(geometry),
      secret_(secret),
      pool_(geometry.blocks_per_shard, reuse_blocks) {
  // Header and key end where a cache line does, so that the frame begins on one.
  const std::size_t head = TableGeometry::kBlockHeaderBytes + geometry.key_bytes;
  const std::size_t head_space = round_up(head, kCacheLineBytes);
  buffer_.reset(static_cast<std::byte*>(
      ::operator new (head_space + geometry.frame_bytes, std::align_val_t{kCacheLineBytes})));
  block_ = buffer_.get() + (head_space - head);
  free_overflow_.reserve(geometry.overflow_buckets);
}

ShardWriter::Place ShardWriter::find(const Key& key, std::uint64_t hash) const {
  Place place;
  place.tag = tag_of(hash);
  std::uint32_t bucket = main_bucket_of(hash, geometry_.main_buckets);
  for (;;) {
    ++place.chain_buckets;
    place.last_bucket = bucket;
    for (std::uint32_t at = 0; at < kEntriesPerBucket; ++at) {
      const std::uint64_t entry = parts_.bucket(bucket).entries[at].load(std::memory_order_relaxed);
      const std::uint64_t position = std::uint64_t{bucket} * kEntriesPerBucket + at;
      if (entry == 0) {
        if (place.empty_count++ == 0) place.empty_position = position;
      } else if (tag_of_entry(entry) == place.tag && block_holds(block_of(entry), key)) {
        place.position = position;
        return place;
      }
    }
    const std::uint32_t link = parts_.link(bucket).load(std::memory_order_relaxed);
    if (link == 0) return place;
    bucket = geometry_.main_buckets + link - 1;
  }
}

bool ShardWriter::block_holds(std::uint32_t block, const Key& key) const {
  const BlockWord* words = parts_.block(block);
  const std::uint64_t facts = words[3].load(std::memory_order_relaxed);
  if (static_cast<std::uint8_t>(facts >> 48U) != key.size ||
      static_cast<std::uint8_t>(facts >> 56U) != static_cast<std::uint8_t>(key.name_space)) {
    return false;
  }
  // The owner's own words: nobody else stores them, so they may be read as bytes.
  const auto* bytes = reinterpret_cast<const char*>(words) + TableGeometry::kBlockHeaderBytes;
  return same_bytes(bytes, key.bytes, key.size);
}

bool ShardWriter::has_room(const Place& place, std::uint32_t pending) const {
  if (pool_.spare_count() <= pending) return false;
  if (place.empty_count > pending) return true;
  return place.chain_buckets < kChainBucketsMax && free_overflow_.size() > pending;
}

bool ShardWriter::contains(const Key& key) const {
  return find(key).position != kNoPosition;
}

bool ShardWriter::is_partial(const Key& key) const {
  const Place place = find(key);
  if (place.position == kNoPosition) return false;
  const std::uint64_t entry = parts_.entry(place.position).load(std::memory_order_relaxed);
  return (flags_of(block_of(entry)) & kFlagPartial) != 0;
}

std::uint16_t ShardWriter::flags_of(std::uint32_t block) const {
  const std::uint64_t facts = parts_.block(block)[3].load(std::memory_order_relaxed);
  return static_cast<std::uint16_t>(facts >> 32U);
}

bool ShardWriter::can_insert(const Key& key, std::uint32_t pending) const {
  return has_room(find(key), pending);
}

bool ShardWriter::read(const Key& key, ProfileCopy& copy) const {
  const Place place = find(key);
  if (place.position == kNoPosition) return false;
  const std::uint32_t block =
      block_of(parts_.entry(place.position).load(std::memory_order_relaxed));
  load_words(parts_.block(block), copy.memory(), geometry_.block_bytes() / 8);
  return true;
}

ShardWriter::Draft ShardWriter::begin(const Key& key) {
  CHECK(key.size != 0 && key.size <= geometry_.key_bytes);
  const Place place = find(key);
  if (place.position != kNoPosition) return begin_at(place.position);
  Draft draft;
  draft.tag = place.tag;
  draft.last_bucket = place.last_bucket;
  draft.frame = frame();
  if (!has_room(place, 0)) return draft;
  draft.room = Room::kNew;
  draft.position = place.empty_position;
  std::memset(block_, 0, geometry_.block_bytes());
  BlockHeaderLayout header{};
  header.key_size = static_cast<std::uint8_t>(key.size);
  header.key_namespace = static_cast<std::uint8_t>(key.name_space);
  std::memcpy(block_, &header, sizeof header);
  std::memcpy(block_ + sizeof header, key.bytes, key.size);
  return draft;
}

ShardWriter::Draft ShardWriter::begin_at(std::uint64_t position) {
  const std::uint64_t entry = parts_.entry(position).load(std::memory_order_relaxed);
  CHECK(entry != 0);
  Draft draft;
  draft.frame = frame();
  draft.room = Room::kKnown;
  draft.tag = tag_of_entry(entry);
  draft.position = position;
  draft.old_block = block_of(entry);
  load_words(parts_.block(draft.old_block), block_, geometry_.block_bytes() / 8);
  BlockHeaderLayout header;
  std::memcpy(&header, block_, sizeof header);
  draft.sequence = header.sequence;
  draft.updated_us = header.updated_us;
  draft.late = header.late;
  draft.flags = header.flags;
  return draft;
}

void ShardWriter::prefetch_version(std::uint64_t position) const {
  const std::uint64_t entry = parts_.entry(position).load(std::memory_order_relaxed);
  if (entry == 0) return;
  const auto* now = reinterpret_cast<const std::byte*>(parts_.block(block_of(entry)));
  const auto* next = reinterpret_cast<const std::byte*>(parts_.block(pool_.next()));
  for (std::uint32_t at = 0; at < geometry_.block_bytes(); at += kCacheLineBytes) {
    ask_for_line(now + at);
    ask_for_line(next + at);
  }
}

void ShardWriter::publish(const Draft& draft) {
  CHECK(draft.room != Room::kFull);
  ShardLayout& shard = parts_.header();
  const std::uint32_t block = pool_.take();
  const std::uint64_t stamp = next_stamp_++;
  // Before the stamp itself, so that an owner who dies with it never has it given out again.
  shard.next_stamp.store(next_stamp_, std::memory_order_relaxed);

  BlockHeaderLayout header;
  std::memcpy(&header, block_, sizeof header);
  partial_count_ += (draft.flags & kFlagPartial) != 0 ? 1 : 0;
  partial_count_ -= (header.flags & kFlagPartial) != 0 ? 1 : 0;  // as begin() found it
  header.sequence = draft.sequence;
  header.updated_us = draft.updated_us;
  header.late = draft.late;
  header.flags = draft.flags;
  std::memcpy(block_, &header, sizeof header);

  BlockWord* words = parts_.block(block);
  words[0].store(0, std::memory_order_relaxed);
  // SYNC(table.rebuild): a reader that copies one of the words below sees the stamp gone.
  fence_release();
  store_words(block_ + 8, words + 1, geometry_.block_bytes() / 8 - 1);
  CRASH_POINT("table.before_stamp");
  // SYNC(table.stamp): a reader that sees this stamp copies the words of this build, or newer.
  words[0].store(stamp, std::memory_order_release);

  std::uint64_t position = draft.position;
  if (position == kNoPosition) position = link_bucket(draft.last_bucket);
  CRASH_POINT("table.before_publish");
  // SYNC(table.publish): the block behind the entry is whole and has its stamp.
  parts_.entry(position).store(make_entry(draft.tag, block), std::memory_order_release);
  CRASH_POINT("table.after_publish");
  if (draft.old_block != kNoBlock) {
    pool_.give(draft.old_block);
  } else {
    add(shard.used_count, 1);
  }
}

std::uint64_t ShardWriter::link_bucket(std::uint32_t last_bucket) {
  CHECK(!free_overflow_.empty());
  const std::uint32_t overflow = free_overflow_.back();
  free_overflow_.pop_back();
  // SYNC(table.link): the bucket is empty (it was never in a chain), so it can be shown at once.
  parts_.link(last_bucket).store(overflow + 1, std::memory_order_release);
  add(parts_.header().overflow_count, 1);
  CRASH_POINT("table.after_link");
  return std::uint64_t{geometry_.main_buckets + overflow} * kEntriesPerBucket;
}

bool ShardWriter::clear(const Key& key) {
  const Place place = find(key);
  if (place.position == kNoPosition) return false;
  clear_at(place.position);
  return true;
}

bool ShardWriter::resident_at(std::uint64_t position, Resident& resident) const {
  const std::uint64_t entry = parts_.entry(position).load(std::memory_order_relaxed);
  if (entry == 0) return false;
  const BlockWord* words = parts_.block(block_of(entry));
  constexpr std::uint32_t kHeaderWords = TableGeometry::kBlockHeaderBytes / 8;
  resident.position = position;
  load_words(words, &resident.header, kHeaderWords);
  load_words(words + kHeaderWords, resident.key_bytes.data(), geometry_.key_bytes / 8);
  return true;
}

void ShardWriter::clear_at(std::uint64_t position) {
  IndexEntry& slot = parts_.entry(position);
  const std::uint64_t entry = slot.load(std::memory_order_relaxed);
  CHECK(entry != 0);
  const std::uint32_t block = block_of(entry);
  partial_count_ -= (flags_of(block) & kFlagPartial) != 0 ? 1 : 0;
  // SYNC(table.publish): the counterpart of nothing but the readers' second look at the entry.
  slot.store(0, std::memory_order_release);
  pool_.give(block);
  add(parts_.header().used_count, ~std::uint64_t{0});
  add(parts_.header().cleared_count, 1);
}

}  // namespace deja
