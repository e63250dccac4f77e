// A replayed event as the JSON of Segment's tracking API. Any thread; it allocates.
#pragma once

#include <string>

#include "tools/replay/row_event.h"

namespace deja {

/// Appends one element of a /v1/batch body.
void append_event_json(std::string& out, const ReplayEvent& event);

}  // namespace deja
