#include "tools/replay/send_target.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "shm/segment.h"
#include "tools/serve/start_report.h"

namespace deja {

Result<SendTarget> send_target(const ApplianceName& appliance, const std::string& via,
                               const std::string& to) {
  const bool http = via == "http";
  std::vector<std::string> local;
  auto segment = Segment::open(segment_path(appliance));
  if (segment.ok()) {
    auto report = StartReport::read(segment->path("report"));
    if (report.ok() && http && !report->http.empty()) local.push_back(report->http);
    if (report.ok() && !http) local = report->streams;
  }
  if (!to.empty()) {
    return SendTarget{to, std::find(local.begin(), local.end(), to) != local.end()};
  }
  if (local.empty()) {
    return Error{"no appliance \"" + appliance.name + "\" listens for " + via + " on this host", 0,
                 "Give its address with --to, or its name with --name and --directory"};
  }
  return SendTarget{local.front(), true};
}

std::string resolved_write_key(const std::string& key) {
  if (!key.starts_with("env:")) return key;
  const char* value = std::getenv(key.c_str() + 4);
  return value == nullptr ? "" : value;
}

}  // namespace deja
