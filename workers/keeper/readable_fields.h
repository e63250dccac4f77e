// The fields of a profile's hash in Redis that a person reads: one for each feature, finished at an
// instant, in the JSON of interface.md; a value that is a text is written plain. A feature whose
// name is one of the keeper's own fields gets "feature:" before it. The keeper's thread alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "workers/keeper/stored_catalog.h"
#include "workers/redis/resp_buffer.h"

namespace deja {

class ReadableFields {
 public:
  explicit ReadableFields(const StoredCatalog& catalog);

  [[nodiscard]] std::size_t count() const { return names_.size(); }
  /// Adds name and value of each feature to a command, finished, from a private copy of a frame.
  void add_to(RespBuffer& command, const std::uint8_t* frame, std::int64_t at_us);

 private:
  std::vector<FeatureSpec> specs_;
  std::vector<std::string> names_;  // as pieces of a command
  std::string value_;               // kept for its memory
};

}  // namespace deja
