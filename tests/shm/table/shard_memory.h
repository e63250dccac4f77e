// Memory for a shard and keys for its users, for the tests of the table.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "shm/base/check.h"
#include "shm/shard_reader.h"
#include "shm/shard_writer.h"

namespace deja::table_test {

inline constexpr HashSecret kSecret{{0x0706050403020100U, 0x0f0e0d0c0b0a0908U}};

/// Zeroed memory that a fork shares.
class ShardMemory {
 public:
  explicit ShardMemory(const TableGeometry& geometry) : bytes_(geometry.shard_bytes()) {
    memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory_ != MAP_FAILED);
  }
  ~ShardMemory() { munmap(memory_, bytes_); }
  ShardMemory(const ShardMemory&) = delete;
  ShardMemory& operator=(const ShardMemory&) = delete;

  [[nodiscard]] void* get() const { return memory_; }
  [[nodiscard]] std::uint8_t* bytes() const { return static_cast<std::uint8_t*>(memory_); }
  [[nodiscard]] std::uint64_t size() const { return bytes_; }

 private:
  void* memory_;
  std::uint64_t bytes_;
};

inline TableGeometry geometry_of(std::uint32_t blocks, std::uint32_t main_buckets,
                                 std::uint32_t overflow_buckets, std::uint32_t key_bytes = 16,
                                 std::uint32_t frame_bytes = 64) {
  TableGeometry geometry;
  geometry.shard_count = 1;
  geometry.worker_count = 1;
  geometry.blocks_per_shard = blocks;
  geometry.main_buckets = main_buckets;
  geometry.overflow_buckets = overflow_buckets;
  geometry.key_bytes = key_bytes;
  geometry.frame_bytes = frame_bytes;
  return geometry;
}

inline ShardWriter attach(const ShardMemory& memory, const TableGeometry& geometry,
                          std::uint32_t reuse_blocks = 1) {
  Result<ShardWriter> writer =
      ShardWriter::attach(memory.get(), geometry, 0, kSecret, reuse_blocks);
  if (!writer) {
    std::fprintf(stderr, "%s\n", writer.error().message().c_str());
    std::abort();
  }
  return std::move(*writer);
}

inline Key key_of(const std::string& text, KeyNamespace name_space = KeyNamespace::kUser) {
  return {name_space, text.data(), static_cast<std::uint32_t>(text.size())};
}

/// The word that belongs at place `at` of the frame of `key` in version `sequence`.
inline std::uint64_t expected_word(const Key& key, std::uint64_t sequence, std::uint32_t at) {
  std::uint64_t hash = sequence * 0x9e3779b97f4a7c15U + at;
  for (std::uint32_t byte = 0; byte < key.size; ++byte) {
    hash = (hash ^ static_cast<unsigned char>(key.bytes[byte])) * 0x100000001b3U;
  }
  return hash ^ (hash >> 29U);
}

inline void fill_frame(std::byte* frame, const TableGeometry& geometry, const Key& key,
                       std::uint64_t sequence) {
  for (std::uint32_t at = 0; at < geometry.frame_bytes / 8; ++at) {
    const std::uint64_t word = expected_word(key, sequence, at);
    std::memcpy(frame + std::size_t{at} * 8, &word, 8);
  }
}

/// Whether all of a copy belongs to one version of its own key.
inline bool is_whole(const ProfileCopy& copy) {
  const BlockHeaderLayout header = copy.header();
  if (header.updated_us != static_cast<std::int64_t>(header.sequence * 3)) return false;
  for (std::uint32_t at = 0; at < copy.frame_bytes() / 8; ++at) {
    std::uint64_t word = 0;
    std::memcpy(&word, copy.frame() + std::size_t{at} * 8, 8);
    if (word != expected_word(copy.key(), header.sequence, at)) return false;
  }
  return true;
}

/// Publishes version `sequence` of `key`. False when there is no room.
inline bool put(ShardWriter& writer, const Key& key, std::uint64_t sequence) {
  ShardWriter::Draft draft = writer.begin(key);
  if (draft.room == Room::kFull) return false;
  fill_frame(draft.frame, writer.geometry(), key, sequence);
  draft.sequence = sequence;
  draft.updated_us = static_cast<std::int64_t>(sequence * 3);
  writer.publish(draft);
  return true;
}

/// A copy with memory of its own.
class OwnCopy {
 public:
  explicit OwnCopy(const TableGeometry& geometry)
      : words_(geometry.block_bytes() / 8), copy_(words_.data(), geometry) {}
  OwnCopy(const OwnCopy&) = delete;
  OwnCopy& operator=(const OwnCopy&) = delete;
  ProfileCopy& operator*() { return copy_; }
  ProfileCopy* operator->() { return &copy_; }

 private:
  std::vector<std::uint64_t> words_;
  ProfileCopy copy_;
};

inline std::uint64_t test_seed() {
  const char* text = std::getenv("DEJA_SEED");
  const std::uint64_t seed = text != nullptr ? std::strtoull(text, nullptr, 10) : 20261120;
  std::printf("DEJA_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace deja::table_test
