// What cyclictest (rt-tests) and rtla print, read. Their output is a program's for people: what is
// not understood is left out, never guessed. Any thread.
#pragma once

#include <string_view>
#include <vector>

#include "tuning/measure/measurement.h"

namespace deja::tuning {

/// `cyclictest -q`: "T: 0 ( 123) P:80 I:1000 C: 1000 Min: 9 Act: 20 Avg: 18 Max: 71", in µs. Thread
/// n is on the n-th of `cores`.
[[nodiscard]] std::vector<ToolLine> read_cyclictest(std::string_view output,
                                                    const std::vector<int>& cores);
/// `rtla osnoise top -q`: a row a core, in µs and counts of what interfered.
[[nodiscard]] std::vector<ToolLine> read_osnoise(std::string_view output);
/// `rtla timerlat top -q`: a row a core, the latency of the interrupt and of the thread, in µs.
[[nodiscard]] std::vector<ToolLine> read_timerlat(std::string_view output);

}  // namespace deja::tuning
