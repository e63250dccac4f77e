// Measurements kept in a directory, one file a label. One thread.
#pragma once

#include <string>

#include "shm/base/result.h"
#include "tuning/measure/measurement.h"

namespace deja {

/// Writes `text` to that file as a whole.
[[nodiscard]] Status write_whole(const std::string& path, const std::string& text);
/// What measurement_json() wrote, as far as a comparison needs it: label, cores, histograms,
/// causes. The file may be anybody's.
[[nodiscard]] Result<tuning::Measurement> read_measurement(const std::string& path);

}  // namespace deja
