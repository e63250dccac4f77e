// Measurements drawn: for each probe, how much of all was longer than x, both axes logarithmic, a
// line a label. An SVG by itself, without a program to draw it. Any thread.
#pragma once

#include <string>
#include <vector>

#include "tuning/measure/measurement.h"

namespace deja::tuning {

/// All cores of a measurement together.
[[nodiscard]] HistogramCopy all_cores(const Measurement& measurement,
                                      Probe CoreMeasurement::*probe);
/// One panel for wake-ups, one for interruptions.
[[nodiscard]] std::string plot_svg(const std::vector<Measurement>& measurements);

}  // namespace deja::tuning
