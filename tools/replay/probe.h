// How long an event takes until a renderer sees it, measured as a client would: paced probes,
// open-loop (each is due at its own instant, whether or not the one before was late), sent one by
// one over the chosen way, and libdeja asked in a loop until the profile's sequence has moved. What
// is measured runs from the instant a probe was due to the first look that saw it: encoding, the
// socket, ingest, the ring, the worker, and the reader's own loop. One thread; the appliance must
// be on this host.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tools/inspect/open_appliance.h"
#include "tools/replay/row_event.h"

namespace deja {

struct ProbePlan {
  ApplianceName appliance;
  std::string via;  ///< "http" | "stream"
  std::string address;
  std::string write_key;
  ReplayEvent
      like;  ///< a probe is this event of the user kProbeUser, at now, with an id of its own
  std::uint64_t count = 0;
  std::int64_t interval_ns = 2'000'000;
};

inline constexpr const char* kProbeUser = "deja-probe";

struct ProbeResult {
  std::uint64_t seen = 0;
  std::uint64_t missed = 0;  ///< not visible within a second
  std::uint64_t p50_ns = 0;
  std::uint64_t p99_ns = 0;
  std::uint64_t p999_ns = 0;
  std::uint64_t max_ns = 0;
};

[[nodiscard]] Result<ProbeResult> run_probes(const ProbePlan& plan);

}  // namespace deja
