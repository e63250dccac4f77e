// What a keeper and its store would do for a worker whose profiles come and go: stores whole
// profiles, confirms, answers for partial ones. Test code; header only; one thread.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/worker_world.h"

namespace deja {

class TestStore {
 public:
  explicit TestStore(WorkerWorld& world) : world_(world) {}

  /// Stores every profile of the shard that is whole, and confirms all that it had then.
  void flush(std::uint32_t shard) {
    const ShardReader<> reader = world_.fixture.reader(shard);
    const std::uint64_t sequence = reader.sequence();
    for_each(shard, [&](const std::string& user, const ProfileCopy& copy,
                        const std::vector<std::uint64_t>& block) {
      if (!copy.partial()) stored_[user] = block;
    });
    world_.keeper.confirm(shard, sequence);
  }

  /// Answers for every partial profile, `times` times each, as far as the ring takes it.
  std::uint64_t answer(std::uint32_t shard, int times = 1) {
    std::uint64_t count = 0;
    for_each(shard, [&](const std::string& user, const ProfileCopy& copy,
                        const std::vector<std::uint64_t>&) {
      if (!copy.partial()) return;
      for (int time = 0; time < times; ++time) {
        const auto known = stored_.find(user);
        const bool given = known == stored_.end()
                               ? world_.keeper.give_nothing(copy.key())
                               : world_.keeper.give_stored(
                                     shard, ProfileCopy(known->second.data(),
                                                        world_.fixture.segment().geometry()));
        count += given ? 1 : 0;
      }
    });
    return count;
  }

  [[nodiscard]] std::map<std::string, std::vector<std::uint64_t>>& stored() { return stored_; }

 private:
  template <typename Visit>
  void for_each(std::uint32_t shard, Visit&& visit) {
    const TableGeometry& geometry = world_.fixture.segment().geometry();
    std::vector<std::uint64_t> block(geometry.block_bytes() / 8);
    ProfileCopy copy(block.data(), geometry);
    world_.fixture.reader(shard).for_each(copy, [&](ProfileCopy& found) {
      visit(std::string(found.key().bytes, found.key().size), found, block);
    });
  }

  WorkerWorld& world_;
  std::map<std::string, std::vector<std::uint64_t>> stored_;
};

}  // namespace deja
