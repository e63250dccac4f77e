#include "tools/serve/serve.h"

#include <csignal>
#include <cstdio>
#include <variant>

#include "tools/config/load_config.h"
#include "tools/serve/supervisor.h"

namespace deja {

int run_serve(const ServeOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  auto loaded = load_config(options.config);
  if (const auto* mistakes = std::get_if<std::vector<ConfigError>>(&loaded)) {
    for (const ConfigError& mistake : *mistakes) {
      std::fprintf(stderr, "%s\n", mistake.message().c_str());
    }
    return 1;
  }
  Supervisor supervisor(std::move(std::get<Config>(loaded)),
                        {options.ready_descriptor, options.json});
  return supervisor.run();
}

}  // namespace deja
