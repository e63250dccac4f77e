// JSON as the same plain data that TOML becomes, so that expected and seen values can be compared.
// For our own small output (a finished feature), not for what comes over a network. Any thread.
#pragma once

#include <optional>
#include <string_view>

#include "tools/config/toml_tree.h"

namespace deja {

/// One JSON value and nothing behind it; at most 64 levels. null becomes an empty table, as tests
/// write it; an empty object would as well.
[[nodiscard]] std::optional<TomlValue> parse_json(std::string_view text);

}  // namespace deja
