// The paths of fields ("properties.products[].price"): which ones there can be, and how they are
// numbered as slots. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/config/config.h"

namespace deja {

/// Empty where ingest can extract `path`, else what would be right.
[[nodiscard]] std::string field_path_fault(std::string_view path);

/// Empty where expressions can name a field so, else what would be right.
[[nodiscard]] std::string field_name_fault(std::string_view name);

/// "properties.products[].price" → "properties.products"; a path without "[]" → nothing.
[[nodiscard]] std::optional<std::string_view> array_of_path(std::string_view path);

/// One slot for each different path, in the order of events and their fields; slots over the same
/// array share a root.
[[nodiscard]] std::vector<SlotConfig> number_slots(const std::vector<EventConfig>& events);

/// The slot of a path; nothing where no field has it.
[[nodiscard]] std::optional<std::uint16_t> find_slot(const std::vector<SlotConfig>& slots,
                                                     std::string_view path);

}  // namespace deja
