// Measurements told: as text for a person, as JSON for programs and for a later comparison. Any
// thread.
#pragma once

#include <string>
#include <vector>

#include "tuning/measure/measurement.h"

namespace deja::tuning {

/// A table with a line for each label and core, ratios of the last label to the first, and what the
/// outliers are laid to.
[[nodiscard]] std::string report_text(const std::vector<Measurement>& measurements);
/// Everything, the histograms as [lower bound in ns, count].
[[nodiscard]] std::string measurement_json(const Measurement& measurement);

}  // namespace deja::tuning
