// What makes a value right, for the kinds of knob that are a row of a table: a number with a bound,
// one word of several, a set of cores that leaves some alone. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tuning/parts.h"

namespace deja::tuning {

/// A whole number and nothing else.
[[nodiscard]] std::optional<std::int64_t> number_in(const std::string& text);

/// A part that is right while its number is within [least, most]; `right` is written else.
[[nodiscard]] Part number_part(std::string label, std::string path, std::int64_t least,
                               std::int64_t most, std::int64_t right);
/// A part that is right while it is one of `fine`; the first of them is written else.
[[nodiscard]] Part word_part(std::string label, Place place, std::vector<std::string> fine);
/// A part that is right while it names none of the cores in `off` (the appliance's, perhaps with
/// their siblings): what it names without them is written else, or, where nothing would be left,
/// the housekeeping cores.
[[nodiscard]] Part cores_part(const Host& host, const CpuSet& off, std::string label, Place place);

/// "0-1, not 2-5".
[[nodiscard]] std::string without(const Host& host, const CpuSet& off);

}  // namespace deja::tuning
