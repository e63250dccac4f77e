// The verbs `deja stat` and `deja errors`: how an appliance does, gathered once from the files that
// its processes keep. They read; they change nothing.
#pragma once

#include "tools/inspect/open_appliance.h"

namespace deja {

struct StatOptions {
  ApplianceName appliance;
  bool json = false;
};

/// 0; 1: there is no such appliance.
[[nodiscard]] int run_stat(const StatOptions& options);

/// Distinct errors with counts, newest last, event names that matched nothing among them. 0 also
/// when there are some: they are what was asked for.
[[nodiscard]] int run_errors(const StatOptions& options);

}  // namespace deja
