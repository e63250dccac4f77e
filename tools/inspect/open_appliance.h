// Opening an appliance for a verb, with a sentence for what can be wrong. One thread.
#pragma once

#include <string>

#include "shm/base/result.h"
#include "shm/segment.h"
#include "tools/inspect/shown_profile.h"

namespace deja {

/// Which appliance a verb looks at: --name and --directory.
struct ApplianceName {
  std::string name = "shop";
  std::string directory = "/dev/shm";
};

[[nodiscard]] Result<ApplianceHandle> open_appliance(const ApplianceName& which);

/// The segment of an appliance that is served, with the means of `deja stat`: its files.
[[nodiscard]] Result<Segment> open_segment(const ApplianceName& which);

/// "<directory>/deja-<name>".
[[nodiscard]] std::string segment_path(const ApplianceName& which);

}  // namespace deja
