#include "tools/inspect/stat.h"

#include <algorithm>
#include <cstdio>

#include "shm/base/clock.h"
#include "shm/json_text.h"
#include "tools/cli/terminal.h"
#include "tools/inspect/appliance_state.h"

namespace deja {
namespace {

int complain(const Error& error) {
  std::fprintf(stderr, "deja: %s\n", error.message().c_str());
  return 1;
}

struct SeenError {
  std::string process;
  ProcessView::CountedError error;
};

std::vector<SeenError> errors_of(const Segment& segment) {
  std::vector<SeenError> errors;
  for (const ProcessView& process : read_processes(segment)) {
    for (const auto& error : process.errors) errors.push_back({process.name, error});
  }
  std::stable_sort(errors.begin(), errors.end(), [](const SeenError& a, const SeenError& b) {
    return a.error.last_us < b.error.last_us;
  });
  return errors;
}

}  // namespace

int run_stat(const StatOptions& options) {
  auto segment = open_segment(options.appliance);
  if (!segment.ok()) return complain(segment.error());
  const ApplianceState state = gather_state(segment.value(), segment_path(options.appliance));
  const std::string text =
      options.json ? state_json(state) + "\n" : state_text(state, style_of(stdout));
  std::fputs(text.c_str(), stdout);
  return 0;
}

int run_errors(const StatOptions& options) {
  auto segment = open_segment(options.appliance);
  if (!segment.ok()) return complain(segment.error());
  const std::vector<SeenError> errors = errors_of(segment.value());
  if (options.json) {
    std::string json = "[";
    for (const SeenError& seen : errors) {
      json += json.size() > 1 ? ",{\"process\":" : "{\"process\":";
      append_json_text(json, seen.process);
      json += ",\"error\":";
      append_json_text(json, seen.error.text);
      json += ",\"count\":" + std::to_string(seen.error.count) + ",\"first\":\"";
      append_instant(json, seen.error.first_us);
      json += "\",\"last\":\"";
      append_instant(json, seen.error.last_us);
      json += "\"}";
    }
    std::printf("%s]\n", json.c_str());
    return 0;
  }
  if (errors.empty()) std::puts("no errors");
  const std::int64_t now_us = wall_us();
  for (const SeenError& seen : errors) {
    std::printf("%8s ×  %s  %s (last %s ago)\n", human_count(seen.error.count).c_str(),
                padded(seen.process, 11).c_str(), seen.error.text.c_str(),
                human_age(now_us - seen.error.last_us).c_str());
  }
  return 0;
}

}  // namespace deja
