// A segment filled with users by the table's own writers, and a renderer's handle on it: the table
// alone, without processes around it. A frame is `frame_bytes` long (counts of eight bytes), a key
// slot 16.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bench/support/redis_peer.h"
#include "bench/support/users.h"
#include "shm/deja.h"
#include "shm/shard_writer.h"
#include "tests/support/segment_fixture.h"

namespace deja::bench {

class FilledTable {
 public:
  FilledTable(std::uint64_t users, std::uint32_t frame_bytes, std::uint32_t shards = 64)
      : fixture_(appliance(users, frame_bytes, shards)) {
    const Segment& segment = fixture_.segment();
    const TableGeometry& geometry = segment.geometry();
    if (geometry.frame_bytes != frame_bytes) give_up("a frame is not as long as it should be");
    const auto& superblock = segment.superblock();
    const HashSecret secret{{superblock.hash_secret[0], superblock.hash_secret[1]}};
    for (std::uint32_t shard = 0; shard < geometry.shard_count; ++shard) {
      Result<ShardWriter> writer =
          ShardWriter::attach(fixture_.file("profiles-0").data() + geometry.shard_offset(shard),
                              geometry, shard, secret, superblock.reuse_blocks);
      if (!writer.ok()) give_up(writer.error().message().c_str());
      writers_.push_back(std::move(*writer));
    }
    for (std::uint64_t number = 0; number < users; ++number) write(user_name(number), number + 1);
    const std::string directory = std::filesystem::path(fixture_.segment_directory()).parent_path();
    if (deja_open("test", directory.c_str(), &handle_) != DEJA_OK) {
      give_up("can't open the appliance");
    }
  }
  ~FilledTable() { deja_close(handle_); }
  FilledTable(const FilledTable&) = delete;
  FilledTable& operator=(const FilledTable&) = delete;

  /// Publishes a next version of one profile, as a worker does: every word built anew.
  void write(const std::string& user, std::uint64_t sequence) {
    const Key key{KeyNamespace::kUser, user.data(), static_cast<std::uint32_t>(user.size())};
    ShardWriter& writer = writers_[shard_of(key, geometry().shard_count)];
    ShardWriter::Draft draft = writer.begin(key);
    if (draft.frame == nullptr) give_up("the table is full");
    draft.sequence = sequence;
    writer.publish(draft);
  }

  [[nodiscard]] const SegmentFixture& fixture() const { return fixture_; }
  [[nodiscard]] const deja_appliance* handle() const { return handle_; }
  [[nodiscard]] const TableGeometry& geometry() const { return fixture_.segment().geometry(); }

 private:
  static TestAppliance appliance(std::uint64_t users, std::uint32_t frame_bytes,
                                 std::uint32_t shards) {
    TestAppliance appliance = TestAppliance::small();
    appliance.profiles_max = users;
    appliance.shard_count = shards;
    appliance.key_bytes = 16;
    appliance.dedup_window = 1;
    appliance.features.clear();
    FeatureSpec count;
    count.type = FeatureType::kCount;
    for (std::uint32_t at = 0; at < frame_bytes / 8; ++at) {
      appliance.features.push_back({"views_" + std::to_string(at), count, {0}, "", ""});
    }
    return appliance;
  }

  SegmentFixture fixture_;
  std::vector<ShardWriter> writers_;
  deja_appliance* handle_ = nullptr;
};

}  // namespace deja::bench
