// What a request to the console asks for, taken apart: pure, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deja {

/// "%41b" → "Ab"; nothing for a broken escape. "+" stays: it is no form that is decoded here, and
/// an instant may hold one.
[[nodiscard]] std::optional<std::string> percent_decoded(std::string_view text);

/// The decoded value of `name` in "a=1&b=2"; nothing where it is not there or broken.
[[nodiscard]] std::optional<std::string> query_value(std::string_view query, std::string_view name);

/// "a,b" → {"a", "b"}; empty parts are left out.
[[nodiscard]] std::vector<std::string> comma_separated(std::string_view text);

/// "Bearer KEY" → "KEY"; empty for another scheme.
[[nodiscard]] std::string_view bearer_key(std::string_view authorization);

}  // namespace deja
