// The profile table as the keeper reads it: mapped read-only, one ShardReader for each shard, one
// buffer for copies. The keeper's thread alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shm/segment.h"
#include "shm/shard_reader.h"

namespace deja {

class TableView {
 public:
  [[nodiscard]] static Result<TableView> open(const Segment& segment) {
    TableView view(segment.geometry());
    const SuperblockLayout& superblock = segment.superblock();
    const HashSecret secret{{superblock.hash_secret[0], superblock.hash_secret[1]}};
    const TableGeometry& geometry = view.geometry_;
    for (std::uint32_t worker = 0; worker < geometry.worker_count; ++worker) {
      Result<MappedFile> file =
          segment.map("profiles-" + std::to_string(worker), MappedFile::Mode::kReadOnly);
      if (!file) return file.error();
      if (file->bytes() < geometry.file_bytes(worker)) {
        return Error{"profiles-" + std::to_string(worker) + " is shorter than its superblock says",
                     0, "Stop the appliance and start it again"};
      }
      view.files_.push_back(std::move(*file));
    }
    for (std::uint32_t shard = 0; shard < geometry.shard_count; ++shard) {
      const std::uint8_t* memory =
          view.files_[geometry.owner_of(shard)].data() + geometry.shard_offset(shard);
      view.shards_.emplace_back(memory, geometry, secret);
    }
    return view;
  }

  [[nodiscard]] const ShardReader<>& shard(std::uint32_t number) const { return shards_[number]; }
  [[nodiscard]] const TableGeometry& geometry() const { return geometry_; }
  /// The one buffer for copies: what it held is gone after the next read.
  [[nodiscard]] ProfileCopy copy() { return {buffer_.data(), geometry_}; }

 private:
  explicit TableView(const TableGeometry& geometry)
      : geometry_(geometry), buffer_(geometry.block_bytes() / 8) {}

  TableGeometry geometry_;
  std::vector<MappedFile> files_;
  std::vector<ShardReader<>> shards_;
  std::vector<std::uint64_t> buffer_;
};

}  // namespace deja
