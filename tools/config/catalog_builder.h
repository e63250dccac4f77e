// The catalog of a config as the words that lie in the segment: one unpacked single-segment message
// with its segment table (shm/catalog.capnp). Start-up and tools; any thread.
#pragma once

#include <capnp/common.h>
#include <kj/array.h>

#include "tools/config/config.h"

namespace deja {

[[nodiscard]] kj::Array<capnp::word> build_catalog(const Config& config);

}  // namespace deja
