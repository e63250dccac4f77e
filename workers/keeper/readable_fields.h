// The fields of a profile's hash in Redis that a person reads: one for each feature, finished at an
// instant, in the JSON of interface.md; a value that is a text is written plain. A feature whose
// name is one of the keeper's own fields gets "feature:" before it. The keeper's thread alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "workers/keeper/stored_catalog.h"

namespace deja {

class ReadableFields {
 public:
  explicit ReadableFields(const StoredCatalog& catalog);

  /// Finishes all features of a private copy of a frame.
  void finish(const std::uint8_t* frame, std::int64_t at_us);

  [[nodiscard]] std::size_t count() const { return names_.size(); }
  [[nodiscard]] const std::string& name(std::size_t at) const { return names_[at]; }
  [[nodiscard]] const std::string& value(std::size_t at) const { return values_[at]; }

 private:
  std::vector<FeatureSpec> specs_;
  std::vector<std::string> names_;
  std::vector<std::string> values_;
};

}  // namespace deja
