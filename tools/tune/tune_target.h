// What a config, and the appliance that runs by it, ask of the host. One thread.
#pragma once

#include <optional>
#include <string>

#include "tuning/host.h"

namespace deja {

/// The target of the config in that file; of none where `config` is empty. Mistakes in it are
/// printed to stderr: nullopt.
[[nodiscard]] std::optional<tuning::Target> read_tune_target(const std::string& config,
                                                             const tuning::Tree& tree);

}  // namespace deja
