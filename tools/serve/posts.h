// The posts of an appliance: which program fills each, with which arguments, how it is found when a
// supervisor that was killed had started it (by the lock on its place), and how long it may be
// silent. Start-up code; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "shm/segment.h"
#include "tools/serve/crew.h"
#include "tools/serve/private_redis.h"

namespace deja {

inline constexpr const char* kWorkerPrefix = "worker-";
inline constexpr const char* kKeeperName = "keeper";
inline constexpr const char* kIngestName = "ingest";
inline constexpr const char* kConsoleName = "console";
inline constexpr const char* kRedisName = "redis";

/// Who has the place of `process` in the segment directory; 0: nobody.
[[nodiscard]] pid_t place_holder(const std::string& segment_directory, const std::string& process);

[[nodiscard]] Post worker_post(const Segment& segment, std::uint32_t worker);
[[nodiscard]] Post keeper_post(const Segment& segment);

/// `hand_sockets` adds the sockets to listen on to the command, opening them where that is needed.
using HandSockets = std::function<Status(ChildCommand& command)>;
/// `user`: "UID:GID" that it becomes, or empty.
[[nodiscard]] Post ingest_post(const Segment& segment, const std::string& user,
                               HandSockets hand_sockets);
[[nodiscard]] Post console_post(const Segment& segment, HandSockets hand_sockets);

/// `redis` outlives the crew's use of it.
[[nodiscard]] Post redis_post(PrivateRedis& redis, const std::string& name);

}  // namespace deja
