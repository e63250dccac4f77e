// From a config to the plan of its segment (shm/segment.h): every file and its size. What `serve`
// creates and what `validate` adds up are the same. Start-up and tools; any thread.
#pragma once

#include <string>

#include "shm/segment.h"
#include "tools/config/config.h"

namespace deja {

/// `redis_url` is what config.redis.url stands for (settings_builder.h).
[[nodiscard]] SegmentPlan segment_plan_of(const Config& config, const std::string& redis_url);

}  // namespace deja
