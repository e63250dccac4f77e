// Brings a segment that can't be gone on with to its end: its ingest is stopped, its keeper and
// workers (adopted, or started again under the old superblock) apply and flush what was accepted,
// and it is marked drained. Start-up code; one thread.
#pragma once

#include <string>

#include "shm/segment.h"
#include "tools/serve/crew.h"
#include "tools/serve/private_redis.h"

namespace deja {

/// Starts the private Redis `name`, or adopts it, and waits until it answers.
Status start_redis(Crew& crew, PrivateRedis& redis, const std::string& name);

/// `redis`: the appliance's own that runs already, or nullptr. An error leaves the segment as it
/// is, for the next start.
Status drain_segment(Crew& crew, const Segment& old, const std::string& segment_directory,
                     const PrivateRedis* redis);

}  // namespace deja
