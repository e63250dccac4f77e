// The verb `deja serve`.
#pragma once

#include <string>

namespace deja {

struct ServeOptions {
  std::string config;
  int ready_descriptor = -1;
  bool json = false;
};

/// Serves until a signal; the process's exit status.
[[nodiscard]] int run_serve(const ServeOptions& options);

}  // namespace deja
