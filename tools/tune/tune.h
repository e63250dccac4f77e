// The verb `deja tune`: what the host should be for the appliance of a config, looked at,
// explained, set and given back (tuning/README.md). One thread.
#pragma once

#include <string>
#include <vector>

#include "tuning/plan.h"

namespace deja {

/// Where what this host had is saved. Not below /var/lib/deja: that is the service's user's own,
/// and who owns a directory can put another record in the place of one in it.
inline constexpr const char* kTuneState = "/var/lib/deja-tune";

struct TuneOptions {
  std::string config;  ///< empty: only what every appliance wants
  std::string root = "/";
  std::string state = kTuneState;
  tuning::Selection selection;
  std::string knob;  ///< explain
  bool yes = false;  ///< apply: write, and do not only say what
  bool json = false;
};

/// Every knob that is named there exists; else a complaint on stderr names the nearest.
[[nodiscard]] bool knobs_exist(const tuning::Selection& selection);

/// 0: the host has all that is wanted; 1: not so; 2: an unknown knob, a config that can't be used.
[[nodiscard]] int run_tune_check(const TuneOptions& options);
/// 0; 2: an unknown knob.
[[nodiscard]] int run_tune_explain(const TuneOptions& options);
/// 0: written, or, without `yes`, said; 1: refused; 2: as check, or another root's values were to
/// lie where this host's do.
[[nodiscard]] int run_tune_apply(const TuneOptions& options);
/// 0: all is as it was, also where there was nothing to give back; 1: not so; 2: as apply.
[[nodiscard]] int run_tune_revert(const TuneOptions& options);

}  // namespace deja
