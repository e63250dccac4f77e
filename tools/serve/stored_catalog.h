// The catalog that an appliance last served, kept as <durability directory>/catalog: what a changed
// config is compared with, so that a start can say which features keep their values. Start-up code;
// one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shm/base/result.h"
#include "tools/config/compare_catalogs.h"

namespace deja {

/// Nothing when there is none yet, or when it can't be read (it only serves a sentence).
[[nodiscard]] std::vector<ConfigChange> changes_since(const std::string& path,
                                                      const std::vector<std::uint8_t>& catalog);

/// Replaces the stored one, whole or not at all.
Status store_catalog(const std::string& path, const std::vector<std::uint8_t>& catalog);

}  // namespace deja
