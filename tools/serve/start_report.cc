#include "tools/serve/start_report.h"

#include <fcntl.h>

#include <fstream>
#include <string_view>

#include "shm/base/descriptor.h"

namespace deja {

Status StartReport::write(const std::string& path) const {
  std::string text;
  const auto line = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) text.append(key).append(" ").append(value).append("\n");
  };
  line("http", http);
  for (const std::string& stream : streams) line("stream", stream);
  line("console", console);
  line("ingest_user", ingest_user);
  line("features", features);
  for (const std::string& note : notes) line("note", note);
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  if (!file.open() ||
      ::write(file.number(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return system_error("write " + path);
  }
  return Done{};
}

Result<StartReport> StartReport::read(const std::string& path) {
  std::ifstream file(path);
  if (!file) return system_error("open " + path);
  StartReport report;
  for (std::string line; std::getline(file, line);) {
    const std::size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    const std::string key = line.substr(0, space);
    std::string value = line.substr(space + 1);
    if (key == "http") {
      report.http = std::move(value);
    } else if (key == "stream") {
      report.streams.push_back(std::move(value));
    } else if (key == "console") {
      report.console = std::move(value);
    } else if (key == "ingest_user") {
      report.ingest_user = std::move(value);
    } else if (key == "features") {
      report.features = std::move(value);
    } else if (key == "note") {
      report.notes.push_back(std::move(value));
    }
  }
  return report;
}

}  // namespace deja
