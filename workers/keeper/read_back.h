// At start, before anything is served: every profile that Redis has goes back to its worker, byte
// for byte; or, where the config has changed since, feature by feature. The keeper's thread alone.
//
//  1. A stored image is handed over only when its sizes, its checksum, its key and its shard are
//     right. What is not is skipped, counted by reason and named without its key.
//  2. A shard's sequence starts at the highest of its watermark and its profiles'.
//  3. An image in another catalog's form is handed over only with that catalog at hand.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "workers/keeper/image.h"
#include "workers/keeper/keeper_counters.h"
#include "workers/keeper/redis_store.h"
#include "workers/keeper/return_rings.h"
#include "workers/keeper/stored_catalog.h"
#include "workers/keeper/stored_profile.h"

namespace deja {

class ReadBack {
 public:
  /// All outlive it; the store is open.
  struct Parts {
    RedisStore& store;
    ReturnRings& rings;
    const StoredCatalog& catalog;
    const TableGeometry& geometry;
    KeeperCounters& counters;
    ProcessFile& process;
  };
  explicit ReadBack(Parts parts) : parts_(parts) {}

  enum class [[nodiscard]] Outcome : std::uint8_t{kDone, kStopped, kLostRedis};

  /// Hands everything over. `watermarks`: as Redis has them. kLostRedis: `problem()` says why;
  /// begin again with a new ReadBack, since a worker takes the same profile twice without harm.
  Outcome run(const std::vector<std::uint64_t>& watermarks);

  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] std::uint64_t restored_count() const { return restored_count_; }
  [[nodiscard]] std::uint64_t translated_count() const { return translated_count_; }
  [[nodiscard]] std::uint64_t refused_count() const { return refused_count_; }

 private:
  Outcome take_page(const RedisReply& page);
  Outcome take(const std::string& name, const RedisReply& reply);
  /// nullptr: there is no way from that catalog to ours. kLostRedis sets problem_.
  const FrameTranslation* translation(std::uint64_t catalog_hash);
  void refuse(const char* reason);

  Parts parts_;
  std::vector<std::uint64_t> sequences_;
  std::map<std::uint64_t, std::optional<FrameTranslation>> translations_;
  std::string problem_;
  std::string frame_;
  std::uint64_t restored_count_ = 0;
  std::uint64_t translated_count_ = 0;
  std::uint64_t refused_count_ = 0;
};

}  // namespace deja
