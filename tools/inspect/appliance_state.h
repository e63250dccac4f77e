// Everything that `deja stat` shows, as plain values; gathered once. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ring/positions.h"
#include "tools/inspect/lags.h"
#include "tools/inspect/processes.h"
#include "tools/serve/start_report.h"

namespace deja {

struct ApplianceState {
  std::string name;
  std::string segment;
  /// "starting", "serving", "draining"; when its supervisor was killed, "unsupervised" while others
  /// of it serve on, else "abandoned". The next `deja serve` goes on with either.
  const char* state = "";
  std::uint64_t incarnation = 0;
  std::int64_t now_us = 0;
  std::int64_t up_us = 0;
  std::int64_t heartbeat_age_us = 0;  ///< of the supervisor
  std::uint64_t profiles = 0;
  std::uint64_t partial = 0;       ///< of those, with their stored part still on its way
  std::uint64_t profiles_max = 0;  ///< that the table has blocks for
  EventTotals totals;
  std::vector<std::pair<std::string, std::uint64_t>> rejected;  ///< by code, those that happened
  std::vector<Lag> rings;
  std::vector<Lag> logs;
  JournalState journal = JournalState::kStarting;
  std::uint64_t journal_segments = 0;
  std::uint64_t journal_lag_events = 0;  ///< taken by the keeper, not confirmed by the disk
  std::uint64_t journal_lag_us = 0;
  std::uint64_t flush_lag_events = 0;
  std::uint64_t flush_lag_us = 0;
  bool redis_connected = false;
  std::vector<ProcessView> processes;
  StartReport report;

  /// A second, since the start.
  [[nodiscard]] double rate_of(std::uint64_t count) const {
    return up_us <= 0 ? 0 : static_cast<double>(count) / (static_cast<double>(up_us) / 1e6);
  }
};

[[nodiscard]] ApplianceState gather_state(const Segment& segment, const std::string& path);

/// One object, no line end.
[[nodiscard]] std::string state_json(const ApplianceState& state);
struct Style;
/// For a person.
[[nodiscard]] std::string state_text(const ApplianceState& state, const Style& style);

}  // namespace deja
