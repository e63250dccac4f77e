// Which files a segment has beyond superblock, catalog, settings and profiles, and how each begins:
// the one list that shm/segment_names.h describes. Used by the supervisor and by tests that build a
// segment of their own; pure.
#pragma once

#include "shm/segment.h"

namespace deja {

/// Fills `plan.files` and `plan.fifos` from its counts and sizes.
void add_service_files(SegmentPlan& plan);

/// Names of bells, as ring/bell.h opens them.
[[nodiscard]] std::string ingest_bell(std::uint32_t thread);
[[nodiscard]] std::string worker_bell(std::uint32_t worker);
inline constexpr const char* kKeeperBell = "keeper";

}  // namespace deja
