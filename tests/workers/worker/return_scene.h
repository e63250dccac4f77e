// What tests of answers from the store begin with. Test code; header only.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/support/test_store.h"
#include "tests/support/worker_world.h"

namespace deja {

/// A worker all of whose shards have profiles in the store alone, and somebody's stored profile:
/// three views, an order, two late ones.
class ReturnScene : public testing::Test {
 protected:
  ReturnScene() {
    WorkerWorld before;
    before.start_fresh();
    for (int view = 0; view < 3; ++view) before.ingest.send(view_of("ann"));
    before.ingest.send(order_of("ann", 10));
    before.run_dry();
    stored_ = before.profile("ann").block;
    BlockHeaderLayout header;
    std::memcpy(&header, stored_.data(), sizeof header);
    header.late = 2;
    header.updated_us += 5;
    std::memcpy(stored_.data(), &header, sizeof header);
    for (std::uint32_t shard = 0; shard < 4; ++shard) {
      CHECK(world_.keeper.give_shard(shard, 100, kReturnShardHasAbsent));
    }
    worker_ = &world_.start_fresh();
  }
  [[nodiscard]] ProfileCopy stored() {
    return {stored_.data(), world_.fixture.segment().geometry()};
  }
  /// Of somebody else from now on, of whom the store has what it has of ann.
  void rename_stored(const std::string& user) {
    BlockHeaderLayout header;
    std::memcpy(&header, stored_.data(), sizeof header);
    header.key_size = static_cast<std::uint8_t>(user.size());
    std::memcpy(stored_.data(), &header, sizeof header);
    std::memcpy(stored_.data() + sizeof header / 8, user.data(), user.size());
  }
  [[nodiscard]] std::uint64_t returned_position() {
    return world_.fixture.file("worker-0").at<WorkerLayout>()->returned_position.value;
  }

  WorkerWorld world_;
  Worker* worker_ = nullptr;
  std::vector<std::uint64_t> stored_;
};

}  // namespace deja
