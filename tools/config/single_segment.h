// A Cap'n Proto message that is sure to be one segment: built in a first segment large enough for
// all of it. Any language can then read it without knowing of segments. Any thread.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/array.h>

#include <cstddef>
#include <utility>

#include "shm/base/check.h"

namespace deja {

/// Words with the segment table (8 bytes: one segment, its size in words) in front.
template <typename Root, typename Fill>
[[nodiscard]] kj::Array<capnp::word> single_segment_message(Fill fill) {
  // Doubled until it fits: a builder that runs out of its segment takes another one.
  for (unsigned words = 1U << 14U;; words *= 2) {
    CHECK(words <= 1U << 26U);
    capnp::MallocMessageBuilder message(words, capnp::AllocationStrategy::FIXED_SIZE);
    fill(message.initRoot<Root>());
    if (message.getSegmentsForOutput().size() == 1) return capnp::messageToFlatArray(message);
  }
}

}  // namespace deja
