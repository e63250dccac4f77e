// From what Redis answers for a profile to what a worker can take: checked, and in this config's
// form, feature by feature where it was stored under another. The keeper's thread alone.
//
//  1. An image is handed out only when its sizes, its checksum, its key and its shard are right.
//     What is not is refused, counted by reason and named without its key.
//  2. An image in another catalog's form is handed out only with that catalog at hand.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "ring/return_record.h"
#include "shm/process_file.h"
#include "shm/table_geometry.h"
#include "workers/keeper/redis_store.h"
#include "workers/keeper/stored_catalog.h"
#include "workers/keeper/stored_profile.h"

namespace deja {

class StoredImages {
 public:
  /// All outlive it.
  StoredImages(RedisStore& store, const StoredCatalog& catalog, const TableGeometry& geometry,
               ProcessFile& process)
      : store_(store), catalog_(catalog), geometry_(geometry), process_(process) {}

  enum class [[nodiscard]] Outcome : std::uint8_t{kGood, kRefused, kLostRedis};

  struct Profile {
    ReturnProfileLayout record{};
    std::string_view key;    ///< of the name
    std::string_view frame;  ///< valid until the next read()
    bool translated = false;
  };

  /// `reply` is that of HGET `stored` image, while the store is connected and nothing is awaited
  /// from it (a former catalog may have to be asked for). kLostRedis: problem() says why.
  Outcome read(const ProfileName& stored, const RedisReply& reply, Profile& profile);

  void refuse(const char* reason);
  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] std::uint64_t refused_count() const { return refused_count_; }

 private:
  /// nullptr: there is no way from that catalog to ours, or Redis is lost.
  const FrameTranslation* translation(std::uint64_t catalog_hash);

  RedisStore& store_;
  const StoredCatalog& catalog_;
  const TableGeometry& geometry_;
  ProcessFile& process_;
  std::map<std::uint64_t, std::optional<FrameTranslation>> translations_;
  std::string problem_;
  std::string frame_;
  std::uint64_t refused_count_ = 0;
};

}  // namespace deja
