// The verb `deja reload`.
#pragma once

#include <string>

#include "tools/inspect/open_appliance.h"

namespace deja {

struct ReloadOptions {
  ApplianceName appliance;
  std::string config;  ///< names the appliance instead, where it is not empty
  bool json = false;   ///< {"done","text"} on stdout
};

/// Has the supervisor read its config again (and, where its program was replaced, become the new
/// one), and waits until it serves with that or has refused it, which is said. The exit status: 0
/// done, 1 refused or not reached.
[[nodiscard]] int run_reload(const ReloadOptions& options);

}  // namespace deja
