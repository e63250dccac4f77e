// /metrics: everything that the processes show of themselves, as Prometheus's text format 0.0.4.
// Counters and gauges with a label for their process, histograms as cumulative buckets in seconds.
// Pure; any thread; it allocates.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shm/process_file.h"
#include "shm/superblock.h"
#include "tools/inspect/lags.h"

namespace deja {

/// `state`: the segment's.
[[nodiscard]] std::string prometheus_text(const std::vector<ProcessView>& processes,
                                          const std::vector<Lag>& lags, SegmentState state);

}  // namespace deja
