// What the supervisor tells its children beyond the catalog (shm/settings.capnp), in the same form.
// It holds keys: the file is the service's alone. Start-up and tools; any thread.
#pragma once

#include <capnp/common.h>
#include <kj/array.h>

#include <cstdint>
#include <string>

#include "tools/config/config.h"

namespace deja {

/// Sizes that no config key sets, each a power of two.
inline constexpr std::uint64_t kRingBytes = std::uint64_t{4} << 20U;
inline constexpr std::uint64_t kLogBytes = std::uint64_t{16} << 20U;
inline constexpr std::uint64_t kReturnBytes = std::uint64_t{4} << 20U;
inline constexpr std::uint64_t kVerdictBytes = std::uint64_t{64} << 10U;
inline constexpr std::int64_t kFullRingWaitUs = 1'000'000;

/// `redis_url` is what config.redis.url stands for: "local" is nothing that a child could open.
[[nodiscard]] kj::Array<capnp::word> build_settings(const Config& config,
                                                    const std::string& redis_url);

}  // namespace deja
