// The verbs `deja get` and `deja export`: profiles, read through libdeja as any renderer would.
#pragma once

#include <optional>
#include <string>

#include "tools/inspect/open_appliance.h"

namespace deja {

struct GetOptions {
  ApplianceName appliance;
  std::string user;  ///< "anon:ID" for an anonymous one
  std::string at;    ///< empty: now
  bool json = false;
};
/// 0; 1: no such user, or the appliance can't be read; 2: --at or USER make no sense.
[[nodiscard]] int run_get(const GetOptions& options);

struct ExportOptions {
  ApplianceName appliance;
  std::string at;
};
/// Every profile as a line of JSON on stdout. 0; 1: some could not be read (said on stderr).
[[nodiscard]] int run_export(const ExportOptions& options);

}  // namespace deja
