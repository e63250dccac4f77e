// Where a verb sends events: the address that it is told, or the appliance on this host. One
// thread.
#pragma once

#include <string>

#include "shm/base/result.h"
#include "tools/inspect/open_appliance.h"

namespace deja {

/// Where events go, and whether a reader here can see them.
struct SendTarget {
  std::string address;
  bool on_this_host = false;
};

/// `via` is "http" or "stream"; `to` empty: where that appliance listens.
[[nodiscard]] Result<SendTarget> send_target(const ApplianceName& appliance, const std::string& via,
                                             const std::string& to);

/// "env:NAME" is looked up.
[[nodiscard]] std::string resolved_write_key(const std::string& key);

}  // namespace deja
