// A stream's event as the JSON of Segment's tracking API, for the dead letter of one that was
// rejected: whatever can be read of it. Its bytes may be anybody's. One thread; it allocates only
// where `out` has not grown to its full size yet.
#pragma once

#include <string>

#include "shm/capnp_view.h"

namespace deja {

/// Replaces `out`, which ends within kRejectedTextMax or not much beyond. False: that is not all of
/// the event, or not the event as it was: it is too long, damaged, nested too deeply, or has what
/// JSON can't say. `message` may be damaged afterwards.
[[nodiscard]] bool stream_event_json(const capnp_view::Message& message,
                                     const capnp_view::Struct& event, std::string& out);

}  // namespace deja
