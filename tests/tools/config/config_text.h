// Configs in tests: short texts, loaded on a host with four cores and one variable set.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "tools/config/load_config.h"

namespace deja {

/// The two lines without which no config is right.
inline const std::string kNamed = "[appliance]\nname = 'shop'\n";

inline LoadOptions test_options() {
  LoadOptions options;
  options.cpus = {0, 1, 2, 3};
  options.environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "DEJA_WRITE_KEY") return "secret";
    return std::nullopt;
  };
  return options;
}

/// The messages of all mistakes; none where the config is right.
inline std::vector<std::string> mistakes(const std::string& text) {
  const auto result = load_config_text(text, "t.toml", test_options());
  std::vector<std::string> messages;
  if (const auto* errors = std::get_if<1>(&result)) {
    for (const ConfigError& error : *errors) messages.push_back(error.message());
  }
  return messages;
}

/// A config that has to be right.
inline Config loaded(const std::string& text) {
  const auto result = load_config_text(text, "t.toml", test_options());
  if (const auto* config = std::get_if<0>(&result)) return *config;
  for (const std::string& message : mistakes(text)) ADD_FAILURE() << message;
  return {};
}

}  // namespace deja
