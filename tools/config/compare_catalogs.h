// What becomes of the features when a config changes: the ones whose definition is the same keep
// their values, others start empty. `deja serve` says both. Start-up and tools; any thread.
#pragma once

#include <string>
#include <vector>

#include "shm/catalog.capnp.h"

namespace deja {

enum class FeatureFate {
  kKept,     ///< same definition: its column is carried over
  kNew,      ///< was not there
  kChanged,  ///< was there with another definition: starts empty
  kDropped,  ///< is not there any more
};

struct ConfigChange {
  std::string feature;
  FeatureFate fate = FeatureFate::kKept;
};

/// The new catalog's features in its order, then the dropped ones in the old one's.
[[nodiscard]] std::vector<ConfigChange> compare_catalogs(schema::Catalog::Reader before,
                                                         schema::Catalog::Reader after);

/// "keeps views_1h, recent; starts empty: taste (changed), plan (new); drops visits".
[[nodiscard]] std::string changes_text(const std::vector<ConfigChange>& changes);

}  // namespace deja
