// Whether a text is JSON that others can read: simdjson is asked. Test code; one thread.
#pragma once

#include <simdjson.h>

#include <string_view>

#include "tools/config/json_value.h"

namespace deja::fuzz {

[[nodiscard]] inline bool is_json(std::string_view text) {
  static simdjson::dom::parser parser;
  const simdjson::error_code error = parser.parse(text).error();
  // Its tree has no room for an integer beyond 64 bits, which JSON does not mind.
  if (error == simdjson::NUMBER_ERROR) {
    return parse_json(text).has_value();
  }
  return error == simdjson::SUCCESS;
}

}  // namespace deja::fuzz
