// `deja tune measure`: what the host does to a thread, under a label, beside an earlier one, or
// around an apply and its revert. One thread, and one for each core.
#pragma once

#include <string>
#include <vector>

#include "tools/tune/tune.h"

namespace deja {

struct TuneMeasureOptions {
  TuneOptions tune;        ///< config, state, selection, json
  std::vector<int> cores;  ///< empty: the config's, else all
  double seconds = 10;     ///< each probe's
  std::string label = "now";
  std::string against;  ///< a label measured before, in the same output directory
  bool around = false;
  std::string output = "deja-tune";
  std::string tool = "auto";
};

/// 0: measured, and `around`: all given back; 1: not so; 2: options that make no sense.
[[nodiscard]] int run_tune_measure(const TuneMeasureOptions& options);

}  // namespace deja
