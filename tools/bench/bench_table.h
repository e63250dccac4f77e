// The two halves of the way of an event that one core does alone: a worker's applying, and a
// renderer's reading. One thread.
#pragma once

#include "shm/base/result.h"
#include "tools/bench/measured.h"
#include "tools/bench/scratch_appliance.h"

namespace deja {

/// Gives every user a profile, by events.
[[nodiscard]] Status fill_table(ScratchAppliance& appliance);

/// Events of users each equally likely, through ring, log, id set and table.
[[nodiscard]] Status measure_worker(ScratchAppliance& appliance, bool quick, BenchFindings& into);

/// Reads of users each equally likely: one by one, each after the one before, a page at once.
[[nodiscard]] Status measure_reads(const ScratchAppliance& appliance, bool quick,
                                   BenchFindings& into);

}  // namespace deja
