#include "tools/serve/reload.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <variant>
#include <vector>

#include "shm/json_text.h"
#include "shm/place_lock.h"
#include "tools/config/load_config.h"
#include "tools/serve/child.h"
#include "tools/serve/posts.h"
#include "tools/serve/reload_outcome.h"

namespace deja {
namespace {

constexpr int kPauseMs = 20;

int fail(const std::string& text) {
  std::fprintf(stderr, "deja: %s\n", text.c_str());
  return 1;
}

}  // namespace

int run_reload(const ReloadOptions& options) {
  ApplianceName which = options.appliance;
  if (!options.config.empty()) {
    auto loaded = load_config(options.config);
    if (const auto* mistakes = std::get_if<std::vector<ConfigError>>(&loaded)) {
      for (const ConfigError& mistake : *mistakes) fail(mistake.message());
      return fail("nothing was reloaded");
    }
    const Config& config = std::get<Config>(loaded);
    which.name = config.appliance.name;
    which.directory = config.appliance.directory;
  }
  const std::string directory = segment_path(which);
  const std::string lock = directory + "/" + place_file("supervisor");
  if (access(lock.c_str(), F_OK) != 0 && errno == ENOENT) {
    return fail("nobody serves \"" + which.name + "\" in " + which.directory +
                ": start it with deja serve -c FILE, or name another with --name and --directory");
  }
  if (access(lock.c_str(), R_OK | W_OK) != 0) {
    return fail("only the service's user, or root, may reload \"" + which.name + "\"");
  }
  auto supervisor = Child::adopt([&] { return PlaceLock::holder(lock); });
  if (!supervisor) {
    return fail("\"" + which.name + "\" has no supervisor: deja serve -c FILE goes on with it");
  }
  const ReloadOutcome before = ReloadOutcome::read(directory);
  supervisor->signal(SIGHUP);
  ReloadOutcome outcome;
  Child::End end;
  do {
    if (supervisor->wait(kPauseMs, end)) {
      return fail("its supervisor ended while it was reloading: see its log");
    }
    outcome = ReloadOutcome::read(directory);
  } while (outcome.number == before.number);
  if (options.json) {
    std::string json = outcome.done ? "{\"done\":true,\"text\":" : "{\"done\":false,\"text\":";
    append_json_text(json, outcome.text);
    std::printf("%s}\n", json.c_str());
    return outcome.done ? 0 : 1;
  }
  if (!outcome.done) return fail(outcome.text);
  std::printf("%s\n", outcome.text.c_str());
  return 0;
}

}  // namespace deja
