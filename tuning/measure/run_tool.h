// Runs cyclictest or rtla beside our own probes, where they are installed and the kernel has what
// they need. One thread.
#pragma once

#include <string>
#include <vector>

#include "tuning/measure/measurement.h"

namespace deja::tuning {

/// What a program said on stdout and stderr, at most 1 MiB. An error where it can't be started,
/// ends with another status than 0, or is killed after `seconds_max`.
[[nodiscard]] Result<std::string> run_program(const std::vector<std::string>& arguments,
                                              double seconds_max);

/// `which`: "auto" (rtla where the kernel has its tracers, else cyclictest where it is installed),
/// "rtla", "cyclictest" or "none". What could not be had is a note.
void measure_with_tools(const Tree& tree, const std::string& which, const std::vector<int>& cores,
                        double seconds, Measurement& measurement);

}  // namespace deja::tuning
