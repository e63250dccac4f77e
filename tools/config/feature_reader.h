// Reads one feature of [features]. Called by read_features() alone; one thread.
#pragma once

#include <optional>
#include <string>

#include "tools/config/config.h"
#include "tools/config/table_reader.h"

namespace deja {

/// Nothing where it is wrong: what is wrong has been noted. Its column is not placed yet. Makes the
/// event "$identify", the last one of `config`, where a trait needs it.
[[nodiscard]] std::optional<FeatureConfig> read_feature(const TomlEntry& entry,
                                                        const std::string& where, Config& config,
                                                        Mistakes& mistakes);

}  // namespace deja
