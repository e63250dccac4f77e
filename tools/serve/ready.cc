#include "tools/serve/ready.h"

#include <unistd.h>

#include <cstdio>

#include "shm/json_text.h"
#include "tools/cli/terminal.h"

namespace deja {
namespace {

void append_member(std::string& json, const char* name, const std::string& value) {
  json.append(json.size() > 1 ? "," : "").append("\"").append(name).append("\":");
  append_json_text(json, value);
}

void append_list(std::string& json, const char* name, const std::vector<std::string>& values) {
  json.append(",\"").append(name).append("\":[");
  for (std::size_t at = 0; at < values.size(); ++at) {
    if (at > 0) json.push_back(',');
    append_json_text(json, values[at]);
  }
  json.push_back(']');
}

}  // namespace

std::uint64_t plan_bytes(const SegmentPlan& plan) {
  std::uint64_t bytes = plan.geometry().table_bytes();
  for (const SegmentFile& file : plan.files) bytes += file.bytes;
  return bytes;
}

std::string ready_json(const Config& config, const std::string& segment_directory,
                       const StartReport& report) {
  std::string json = "{";
  append_member(json, "name", config.appliance.name);
  append_member(json, "http", report.http);
  append_list(json, "streams", report.streams);
  append_member(json, "console", report.console);
  append_member(json, "segment", segment_directory);
  append_member(json, "features", report.features);
  json += ",\"pid\":" + std::to_string(getpid());
  append_list(json, "notes", report.notes);
  return json + "}\n";
}

void print_banner(const Config& config, const std::string& segment_directory,
                  const StartReport& report, const SegmentPlan& plan) {
  const auto row = [](const char* key, const std::string& value) {
    std::printf("  %-9s %s\n", key, value.c_str());
  };
  const Style style = style_of(stdout);
  std::printf("%sdeja%s serves \"%s\"\n", style.bold, style.plain, config.appliance.name.c_str());
  if (!report.http.empty()) row("events", "http://" + report.http + "/v1/track (Segment's API)");
  for (const std::string& stream : report.streams) row("stream", stream);
  if (!report.console.empty()) row("profiles", "http://" + report.console + "/v1/profiles/USER");
  row("renderers", segment_directory + " (libdeja, read-only)");
  row("memory", human_bytes(plan_bytes(plan)) + " for " + human_count(config.appliance.profiles) +
                    " profiles of " + std::to_string(plan.geometry().block_bytes()) + " bytes");
  row("processes", std::to_string(plan.ingest_count) + " ingest thread" +
                       (plan.ingest_count == 1 ? "" : "s") + ", " +
                       std::to_string(plan.worker_count) + " worker" +
                       (plan.worker_count == 1 ? "" : "s") + ", keeper" +
                       (config.redis.url == "local" ? ", private redis-server" : ""));
  if (!report.features.empty()) row("features", report.features);
  for (const std::string& note : report.notes) row("note", note);
  std::fflush(stdout);
}

}  // namespace deja
