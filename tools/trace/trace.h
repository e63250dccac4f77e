// The verb `deja trace`: follows single events through every stage, as text, as JSON lines, or as
// spans to a collector. What it changes is in trace_lease.h.
#pragma once

#include <cstdint>
#include <string>

#include "tools/inspect/open_appliance.h"

namespace deja {

struct TraceOptions {
  ApplianceName appliance;
  std::string sample;       ///< "0.01" or "1%"; empty: 1 %, or none with a user
  std::string user;         ///< userId or anon:ID: only theirs; empty: no such limit
  std::uint64_t count = 0;  ///< end after so many; 0: no end
  std::string duration;     ///< follow for so long; empty: until a signal
  std::string wait = "5s";  ///< for what is still to come of an event
  std::string otlp;         ///< http://HOST:PORT/PATH: send spans there, and print nothing
  bool json = false;        ///< a line of JSON for each event
};

/// Until a signal, --count or --duration. 0; 1: there is no such appliance, somebody follows it
/// already, or not all spans could be delivered; 2: an option that can't be understood.
[[nodiscard]] int run_trace(const TraceOptions& options);

}  // namespace deja
