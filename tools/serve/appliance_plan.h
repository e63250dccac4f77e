// From a config to the segment that it asks for. Pure but for its memory. Any thread.
#pragma once

#include <string>

#include "shm/segment.h"
#include "tools/config/config.h"

namespace deja {

/// `redis_url` is where the keeper finds Redis: config.redis.url, or the private one's.
[[nodiscard]] SegmentPlan plan_segment(const Config& config, const std::string& redis_url);

/// All of the plan's files together.
[[nodiscard]] std::uint64_t plan_bytes(const SegmentPlan& plan);

}  // namespace deja
