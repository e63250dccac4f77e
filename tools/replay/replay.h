// The verb `deja replay`: sends a data file's rows as events, paced or as fast as they are taken,
// and says what became of them. One thread.
#pragma once

#include <cstdint>
#include <string>

#include "tools/inspect/open_appliance.h"

namespace deja {

struct ReplayOptions {
  std::string file;
  std::string map;
  std::string speed = "max";   ///< "max", or how many times as fast as it happened
  std::string shift;           ///< "now": the last event is now; empty: as they were
  std::string via = "http";    ///< "http" | "stream"
  std::string to;              ///< empty: where the appliance on this host listens
  std::string write_key;       ///< "env:NAME" is looked up
  std::string id_prefix;       ///< before every id: a second replay then counts anew
  std::uint64_t limit = 0;     ///< rows read at most; 0: all
  std::string shuffle_within;  ///< "30m": events change places with those that near
  std::uint64_t seed = 1;
  std::uint64_t probes = 1000;  ///< events to measure event→visible with; 0: none
  ApplianceName appliance;
  bool json = false;
};

/// 0: every event sent was acknowledged; 1: not so; 2: the options make no sense.
[[nodiscard]] int run_replay(const ReplayOptions& options);

}  // namespace deja
