// Single members of a JSON object that may be anything. Any thread; it allocates.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace deja {

/// For each name the outermost member, where it is a text or a whole number; else, and where `text`
/// is no JSON object, an empty one.
[[nodiscard]] std::vector<std::string> json_members(std::string_view text,
                                                    std::initializer_list<std::string_view> names);

}  // namespace deja
