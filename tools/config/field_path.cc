#include "tools/config/field_path.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "shm/nearest_name.h"
#include "tools/config/table_reader.h"

namespace deja {
namespace {

constexpr std::size_t kPathBytes = 200;
constexpr std::size_t kPathDepth = 16;
constexpr std::array<std::string_view, 3> kObjects = {"properties", "traits", "context"};
constexpr std::array<std::string_view, 6> kTexts = {"userId", "anonymousId", "event",
                                                    "name",   "messageId",   "groupId"};

}  // namespace

std::string field_path_fault(std::string_view path) {
  if (path.size() > kPathBytes) return "a path has at most 200 bytes";
  if (std::find(kTexts.begin(), kTexts.end(), path) != kTexts.end()) return {};
  std::size_t arrays = 0;
  std::size_t depth = 0;
  std::string_view rest = path;
  while (true) {
    const std::size_t dot = rest.find('.');
    std::string_view part = rest.substr(0, dot);
    if (part.ends_with("[]")) {
      part.remove_suffix(2);
      ++arrays;
    }
    if (!is_plain_name(part, "_-$", kPathBytes)) {
      return "write names of letters, digits, _ - $ with dots between them, such as "
             "\"properties.price\" or \"properties.products[].price\"";
    }
    const bool is_object = std::find(kObjects.begin(), kObjects.end(), part) != kObjects.end();
    if (depth == 0 && (!is_object || arrays != 0 || dot == std::string_view::npos)) {
      std::string right =
          "a path begins with properties., traits. or context., or is one of userId, anonymousId, "
          "event, name, messageId, groupId";
      if (dot == std::string_view::npos) return right + did_you_mean(part, kTexts);
      return right + did_you_mean(part, kObjects);
    }
    if (++depth > kPathDepth) return "a path has at most 16 names";
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (arrays > 1) return "a path goes over one array (\"[]\") at most";
  return {};
}

std::string field_name_fault(std::string_view name) {
  const bool is_word = name == "and" || name == "or" || name == "not";
  const bool is_number = !name.empty() && ((name[0] >= '0' && name[0] <= '9') || name[0] == '.');
  if (!is_word && !is_number && is_plain_name(name, "_.", 64)) return {};
  return "a field's name is 1 to 64 letters, digits, _ and ., begins with a letter or _, and is "
         "not "
         "and, or, not";
}

std::optional<std::string_view> array_of_path(std::string_view path) {
  const std::size_t at = path.find("[]");
  if (at == std::string_view::npos) return std::nullopt;
  return path.substr(0, at);
}

std::vector<SlotConfig> number_slots(const std::vector<EventConfig>& events) {
  std::vector<SlotConfig> slots;
  std::vector<std::string_view> arrays;
  for (const EventConfig& event : events) {
    for (const FieldConfig& field : event.fields) {
      if (find_slot(slots, field.path)) continue;
      std::size_t root = 0;
      if (const auto array = array_of_path(field.path)) {
        const auto known = std::find(arrays.begin(), arrays.end(), *array);
        root = static_cast<std::size_t>(known - arrays.begin()) + 1;
        if (known == arrays.end()) arrays.push_back(*array);
      }
      slots.push_back({field.path, static_cast<std::uint16_t>(root)});
    }
  }
  return slots;
}

std::optional<std::uint16_t> find_slot(const std::vector<SlotConfig>& slots,
                                       std::string_view path) {
  for (std::size_t at = 0; at < slots.size(); ++at) {
    if (slots[at].path == path) return static_cast<std::uint16_t>(at);
  }
  return std::nullopt;
}

}  // namespace deja
