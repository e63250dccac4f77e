// What it costs to get from one core to another: a cache line, the ring, a wake-up. Starts a second
// thread, and pins both to the first two cores that this process may use; the caller's thread may
// run where it could before, afterwards.
#pragma once

#include "tools/bench/measured.h"
#include "tools/bench/scratch_appliance.h"

namespace deja {

/// With one core only it says so in `into.not_measured`.
void measure_cores(ScratchAppliance& appliance, bool quick, BenchFindings& into);

}  // namespace deja
