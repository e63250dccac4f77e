// A replayed event as deja::Producer takes it. Any thread; it allocates.
#pragma once

#include "ingest/producer_event.h"
#include "tools/replay/row_event.h"

namespace deja {

[[nodiscard]] ProducerEvent producer_event(const ReplayEvent& event);

}  // namespace deja
