#include "tools/replay/json_members.h"

#include <simdjson.h>

#include <cstdint>

namespace deja {

namespace dom = simdjson::dom;

std::vector<std::string> json_members(std::string_view text,
                                      std::initializer_list<std::string_view> names) {
  std::vector<std::string> members(names.size());
  dom::parser parser;
  dom::object object;
  if (parser.parse(text).get(object) != simdjson::SUCCESS) return members;
  auto member = members.begin();
  for (const std::string_view name : names) {
    dom::element value;
    std::string_view as_text;
    std::int64_t as_number = 0;
    if (object.at_key(name).get(value) == simdjson::SUCCESS) {
      if (value.get(as_text) == simdjson::SUCCESS) {
        *member = as_text;
      } else if (value.get(as_number) == simdjson::SUCCESS) {
        *member = std::to_string(as_number);
      }
    }
    ++member;
  }
  return members;
}

}  // namespace deja
