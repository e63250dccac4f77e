#include "tools/tune/tune_target.h"

#include <algorithm>
#include <iostream>

#include "shm/process_file.h"
#include "shm/segment.h"
#include "tools/config/load_config.h"
#include "tools/config/memory_plan.h"
#include "tools/config/segment_plan.h"
#include "tools/inspect/open_appliance.h"

namespace deja {
namespace {

using tuning::PinnedProcess;
using tuning::Tree;

std::vector<int> pinned_of(const std::vector<int>& cores) {
  std::vector<int> pinned;
  std::copy_if(cores.begin(), cores.end(), std::back_inserter(pinned),
               [](int core) { return core >= 0; });
  return pinned;
}

/// The process that this file of the segment names, while it lives. Its number may be another's by
/// now, or a lie: the program's name must be right.
std::optional<std::int64_t> living(const Segment& segment, const Tree& tree,
                                   const std::string& place, const std::string& program) {
  const Result<ProcessView> view = ProcessView::read(segment.path("process-" + place));
  if (!view || view->pid <= 0) return std::nullopt;
  const Result<std::string> command =
      tree.read_value("/proc/" + std::to_string(view->pid) + "/comm");
  if (!command || *command != program) return std::nullopt;
  return view->pid;
}

std::vector<PinnedProcess> running_processes(const Config& config, const Tree& tree) {
  std::vector<PinnedProcess> running;
  if (!tree.is_this_host()) return running;
  const Result<Segment> segment =
      Segment::open(segment_path({config.appliance.name, config.appliance.directory}));
  if (!segment) return running;
  if (const auto pid = living(*segment, tree, "ingest", "deja-ingest")) {
    running.push_back({"ingest", *pid, pinned_of(config.cpu.ingest)});
  }
  for (std::size_t worker = 0; worker < config.cpu.workers.size(); ++worker) {
    const std::string name = "worker-" + std::to_string(worker);
    if (const auto pid = living(*segment, tree, name, "deja-worker")) {
      running.push_back({name, *pid, pinned_of({config.cpu.workers[worker]})});
    }
  }
  return running;
}

}  // namespace

std::optional<tuning::Target> read_tune_target(const std::string& path, const Tree& tree) {
  tuning::Target target;
  if (path.empty()) return target;
  const auto loaded = load_config(path);
  if (const auto* errors = std::get_if<std::vector<ConfigError>>(&loaded)) {
    for (const ConfigError& error : *errors) std::cerr << error.message() << "\n";
    return std::nullopt;
  }
  const Config& config = std::get<Config>(loaded);
  target.has_config = true;
  target.ingest = pinned_of(config.cpu.ingest);
  target.workers = pinned_of(config.cpu.workers);
  target.directory = config.appliance.directory;
  target.segment_bytes = plan_memory(config, segment_plan_of(config, config.redis.url)).whole_bytes;
  target.wants_huge_pages = config.appliance.huge_pages != HugePages::kOff;
  target.running = running_processes(config, tree);
  return target;
}

}  // namespace deja
