// Whether a segment that lies there is the one that a config would make: then a start goes on with
// it, and nobody who has it mapped notices. Start-up code; one thread.
//
// Everything that a process of the appliance reads from the segment must be as planned: the catalog
// and the settings byte for byte, the counts, the files and their sizes, the readers' group. That
// includes the addresses listened on, which only the supervisor uses: one rule without exceptions
// is worth the drain that a changed port costs.
#pragma once

#include <string>

#include "shm/segment.h"

namespace deja {

/// What is different, for a sentence ("the count of workers"); empty: nothing is.
[[nodiscard]] std::string what_differs(const SegmentPlan& plan, const Segment& segment);

}  // namespace deja
