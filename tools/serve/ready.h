// What `deja serve` says once it serves: a banner for people, a line of JSON for programs. Start-up
// code; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "shm/segment.h"
#include "tools/config/config.h"
#include "tools/serve/start_report.h"

namespace deja {

/// All of the plan's files together.
[[nodiscard]] std::uint64_t plan_bytes(const SegmentPlan& plan);

/// {"name","http","streams":[…],"console","segment","features","pid","notes":[…]} and a line end.
[[nodiscard]] std::string ready_json(const Config& config, const std::string& segment_directory,
                                     const StartReport& report);

void print_banner(const Config& config, const std::string& segment_directory,
                  const StartReport& report, const SegmentPlan& plan);

}  // namespace deja
