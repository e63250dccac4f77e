// The verb `deja top`: what `deja stat` shows, looked at again and again, with the rates and
// percentiles of the last seconds. It reads; it changes nothing.
#pragma once

#include <string>

#include "tools/inspect/open_appliance.h"

namespace deja {

struct TopOptions {
  ApplianceName appliance;
  std::string interval = "1s";  ///< between two looks
  bool once = false;            ///< one frame, of one interval
  bool json = false;            ///< each look as a line of the JSON of `deja stat --json`
};

/// Until `q`, Ctrl-C or a signal; on what is no terminal, frames one below the other. An appliance
/// that stops meanwhile is waited for. 0; 1: there is no such appliance; 2: no such interval.
[[nodiscard]] int run_top(const TopOptions& options);

}  // namespace deja
