#include "tools/tune/tune_measure.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cctype>
#include <iostream>
#include <optional>

#include "shm/base/affinity.h"
#include "shm/base/clock.h"
#include "tools/tune/measurement_file.h"
#include "tools/tune/tune_output.h"
#include "tools/tune/tune_target.h"
#include "tuning/measure/plot.h"
#include "tuning/measure/probe.h"
#include "tuning/measure/report.h"
#include "tuning/measure/run_tool.h"

namespace deja {
namespace {

using tuning::Measurement;
using tuning::Tree;

int complain(const Error& error) {
  std::cerr << "deja: " << error.message() << "\n";
  return 1;
}

bool is_label(const std::string& label) {
  return !label.empty() && label.size() <= 32 &&
         std::all_of(label.begin(), label.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_'; });
}

Measurement measure(const TuneMeasureOptions& options, const Tree& tree,
                    const std::vector<int>& cores, const std::string& label) {
  Measurement measurement;
  measurement.label = label;
  measurement.wall_us = wall_us();
  measurement.seconds = options.seconds;
  struct utsname name {};
  if (uname(&name) == 0) measurement.kernel = std::string(name.release) + " " + name.version;
  if (!options.tune.json) {
    std::cerr << "measuring " << label << ": " << cores.size() << " cores, some "
              << 3 * options.seconds << " s\n";
  }
  measurement.cores = tuning::probe_cores(cores, options.seconds);
  tuning::measure_with_tools(tree, options.tool, cores, options.seconds, measurement);
  return measurement;
}

int write_report(const TuneMeasureOptions& options, const std::vector<Measurement>& measurements) {
  const std::string text = tuning::report_text(measurements);
  std::string json = "{\"measurements\":[";
  for (const Measurement& measurement : measurements) {
    if (json.back() != '[') json += ',';
    json += tuning::measurement_json(measurement);
  }
  json += "]}\n";
  const std::string directory = options.output + "/";
  const std::string plot = tuning::plot_svg(measurements);
  for (const auto& [name, content] :
       {std::pair<const char*, const std::string*>{"report.txt", &text},
        {"report.json", &json},
        {"report.svg", &plot}}) {
    if (Status done = write_whole(directory + name, *content); !done) return complain(done.error());
  }
  if (options.tune.json) {
    std::cout << json;
  } else {
    std::cout << text << "\nWritten: " << directory << "report.txt, report.json, report.svg\n";
  }
  return 0;
}

Status keep(const TuneMeasureOptions& options, const Measurement& measurement) {
  return write_whole(options.output + "/" + measurement.label + ".json",
                     tuning::measurement_json(measurement) + "\n");
}

/// Signals that would end us wait until what was changed is given back. That nobody reads what we
/// say is no reason to end at all: SIGPIPE, held, would hide the exit status once it is let go.
class HeldSignals {
 public:
  HeldSignals() {
    sigset_t held;
    sigemptyset(&held);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&held, number);
    pthread_sigmask(SIG_BLOCK, &held, &before_);
    struct sigaction ignored {};
    ignored.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &ignored, &pipe_before_);
  }
  ~HeldSignals() {
    sigaction(SIGPIPE, &pipe_before_, nullptr);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

 private:
  sigset_t before_{};
  struct sigaction pipe_before_ {};
};

int measure_around(const TuneMeasureOptions& options, const Tree& tree, const tuning::Host& host,
                   const std::vector<int>& cores) {
  Result<tuning::SavedValues> saved = tuning::SavedValues::open(options.tune.state, tree.root());
  if (!saved) return complain(saved.error());
  if (!saved->values().empty()) {
    return complain({"this host is tuned already: values are saved in " + options.tune.state, 0,
                     "deja tune revert first, or measure with --label"});
  }
  const HeldSignals held;
  std::vector<Measurement> measurements = {measure(options, tree, cores, "before")};
  const auto applied = apply_rows(tree, look_at_knobs(host, options.tune.selection), *saved);
  if (!applied) return complain(applied.error());
  measurements.push_back(measure(options, tree, cores, "after"));
  const auto reverted = revert_values(tree, {}, *saved);
  if (!reverted) return complain(reverted.error());
  for (const Measurement& measurement : measurements) {
    if (Status kept = keep(options, measurement); !kept) return complain(kept.error());
  }
  if (!options.tune.json) std::cout << deeds_text(*applied) << "\n";
  const int status = write_report(options, measurements);
  if (all_done(*reverted)) return status;
  std::cerr << "deja: not all was given back:\n" << deeds_text(*reverted);
  return 1;
}

}  // namespace

int run_tune_measure(const TuneMeasureOptions& options) {
  if (!is_label(options.label) || (!options.against.empty() && !is_label(options.against))) {
    std::cerr << "deja: a label is 1 to 32 of A-Z a-z 0-9 - _\n";
    return 2;
  }
  if (!knobs_exist(options.tune.selection)) return 2;
  const Result<Tree> tree = Tree::open("/");
  if (!tree) return complain(tree.error());
  std::optional<tuning::Target> target = read_tune_target(options.tune.config, *tree);
  if (!target) return 2;
  const Result<tuning::Host> host = tuning::Host::look(*tree, std::move(*target));
  if (!host) return complain(host.error());
  std::vector<int> cores = options.cores.empty() ? host->appliance.cores() : options.cores;
  if (cores.empty()) cores = allowed_cores();
  if (cores.empty()) cores = {0};
  std::sort(cores.begin(), cores.end());
  cores.erase(std::unique(cores.begin(), cores.end()), cores.end());
  for (const int core : cores) {
    if (host->online.has(core)) continue;
    std::cerr << "deja: there is no core " << core << " online; " << host->online.list()
              << " are\n";
    return 2;
  }
  if (mkdir(options.output.c_str(), 0755) != 0 && errno != EEXIST) {
    return complain(system_error("make " + options.output, "Name another --output"));
  }
  if (options.around) return measure_around(options, *tree, *host, cores);
  std::vector<Measurement> measurements;
  if (!options.against.empty()) {
    Result<Measurement> earlier =
        read_measurement(options.output + "/" + options.against + ".json");
    if (!earlier) return complain(earlier.error());
    measurements.push_back(std::move(*earlier));
  }
  measurements.push_back(measure(options, *tree, cores, options.label));
  if (Status kept = keep(options, measurements.back()); !kept) return complain(kept.error());
  return write_report(options, measurements);
}

}  // namespace deja
