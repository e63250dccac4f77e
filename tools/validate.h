// `deja validate`: checks a config, says what memory it will take, runs its [[test]]s. Starts
// nothing and opens nothing but the config. One thread.
#pragma once

#include <iosfwd>
#include <string>

#include "tools/config/load_config.h"

namespace deja {

struct ValidateOptions {
  std::string config;  ///< path of the TOML file
  bool json = false;   ///< one JSON object on `out` instead of text, mistakes included
  LoadOptions load;
};

/// 0: the config is right and its tests pass; 1: it is not, or a test fails; 2: it can't be read.
/// Mistakes and warnings go to `err`, the rest to `out`.
[[nodiscard]] int run_validate(const ValidateOptions& options, std::ostream& out,
                               std::ostream& err);

}  // namespace deja
