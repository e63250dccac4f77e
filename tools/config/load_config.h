// From a TOML file to a checked Config, or to all the mistakes in it at once. Start-up and tools;
// it allocates and reads files and the environment. Any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tools/config/config.h"
#include "tools/config/config_error.h"

namespace deja {

/// What a config's meaning depends on beside its text. The defaults look at this host.
struct LoadOptions {
  /// Cores that this process may run on; empty: ask the system.
  std::vector<int> cpus;
  /// Looks up "env:NAME"; empty: getenv.
  std::function<std::optional<std::string>(const std::string&)> environment;
};

/// `file` is what mistakes are reported with.
[[nodiscard]] std::variant<Config, std::vector<ConfigError>> load_config_text(
    std::string_view document, const std::string& file, const LoadOptions& options = {});

[[nodiscard]] std::variant<Config, std::vector<ConfigError>> load_config(
    const std::string& path, const LoadOptions& options = {});

}  // namespace deja
