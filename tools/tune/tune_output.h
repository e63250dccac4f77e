// How `deja tune` shows what it found and did: a table and sentences for people, JSON for programs.
// Any thread.
#pragma once

#include <string>
#include <vector>

#include "tuning/host.h"
#include "tuning/plan.h"

namespace deja {

/// KNOB · WANT · HAVE · STATE · WHY, what a person must do, and the sum.
[[nodiscard]] std::string check_text(const tuning::Host& host,
                                     const std::vector<tuning::Row>& rows);
[[nodiscard]] std::string check_json(const tuning::Host& host,
                                     const std::vector<tuning::Row>& rows);

[[nodiscard]] std::string explanation_text(const tuning::Row& row);
[[nodiscard]] std::string explanation_json(const tuning::Row& row);

/// What would be written, as the commands that would do it; `state`: where what is there would be
/// saved.
[[nodiscard]] std::string dry_run_text(const std::vector<tuning::Row>& rows,
                                       const std::string& state);
/// What a person must do, a line each; empty where there is nothing.
[[nodiscard]] std::string by_hand_text(const std::vector<tuning::Row>& rows);
/// What was written or given back, a line a place.
[[nodiscard]] std::string deeds_text(const std::vector<tuning::Deed>& deeds);
/// `is_dry`: nothing was written.
[[nodiscard]] std::string deeds_json(const std::vector<tuning::Deed>& deeds, bool is_dry);

}  // namespace deja
