#include "tools/bench/bench.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ostream>
#include <string>

#include "shm/base/affinity.h"
#include "shm/json_text.h"
#include "tools/bench/bench_cores.h"
#include "tools/bench/bench_host.h"
#include "tools/bench/bench_table.h"
#include "tools/bench/measured.h"
#include "tools/bench/scratch_appliance.h"
#include "tools/cli/terminal.h"

namespace deja {
namespace {

constexpr std::uint64_t kQuickProfiles = 2000;
constexpr double kLoadPerCore = 0.25;
constexpr std::size_t kTitleColumns = 34;
constexpr std::size_t kValueColumns = 12;
constexpr std::size_t kTextColumns = 92;

std::string value_text(double value, const std::string& unit) {
  if (unit == "ns" && value >= 1000) return human_ns(static_cast<std::uint64_t>(value));
  char text[40];
  std::snprintf(text, sizeof text, value < 100 ? "%.3g" : "%.0f", value);
  return unit.empty() ? text : text + (" " + unit);
}

/// `sentence` in lines, each indented.
std::string wrapped(const std::string& sentence) {
  std::string lines;
  std::size_t columns = 0;
  for (std::size_t at = 0; at < sentence.size();) {
    const std::size_t end = std::min(sentence.find(' ', at), sentence.size());
    const std::string word = sentence.substr(at, end - at);
    if (columns == 0 || columns + 1 + word.size() > kTextColumns) {
      lines += (columns == 0 ? "      " : "\n      ") + word;
      columns = word.size();
    } else {
      lines += " " + word;
      columns += 1 + word.size();
    }
    at = end + 1;
  }
  return lines + "\n";
}

void print(std::ostream& out, const Measured& line) {
  const std::string value = value_text(line.value, line.unit);
  out << "  " << padded(line.title, kTitleColumns)
      << (line.p99 ? padded(value, kValueColumns) + "p99 " + value_text(*line.p99, line.unit)
                   : value)
      << "\n"
      << wrapped(line.means);
}

double load_average() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? load : 0;
}

std::string findings_json(const BenchOptions& options, const ScratchAppliance& appliance,
                          double load, const BenchFindings& findings) {
  std::string json = "{\"quick\":";
  json += options.quick ? "true" : "false";
  json += ",\"cores\":" + std::to_string(allowed_cores().size());
  json += ",\"load_average\":";
  append_json_number(json, load);
  json += ",\"profiles\":" + std::to_string(appliance.profiles());
  json += ",\"profile_bytes\":" + std::to_string(appliance.geometry().block_bytes());
  json += ",\"directory\":";
  append_json_text(json, options.directory);
  json += ",\"durability\":";
  append_json_text(json, options.durability);
  json += ",\"measured\":[";
  for (std::size_t at = 0; at < findings.measured.size(); ++at) {
    const Measured& line = findings.measured[at];
    json += at == 0 ? "{\"name\":" : ",{\"name\":";
    append_json_text(json, line.name);
    json += ",\"value\":";
    append_json_number(json, line.value);
    if (line.p99) {
      json += ",\"p99\":";
      append_json_number(json, *line.p99);
    }
    json += ",\"unit\":";
    append_json_text(json, line.unit);
    json += ",\"means\":";
    append_json_text(json, line.means);
    json += "}";
  }
  json += "],\"not_measured\":[";
  for (std::size_t at = 0; at < findings.not_measured.size(); ++at) {
    json += at == 0 ? "{\"name\":" : ",{\"name\":";
    append_json_text(json, findings.not_measured[at].name);
    json += ",\"why\":";
    append_json_text(json, findings.not_measured[at].why);
    json += "}";
  }
  return json + "]}";
}

int complain(std::ostream& err, const Error& error) {
  err << "deja: " << error.message() << "\n";
  return 1;
}

}  // namespace

int run_bench(const BenchOptions& options, std::ostream& out, std::ostream& err) {
  const double load = load_average();
  const std::uint64_t profiles = options.quick ? kQuickProfiles : options.profiles;
  const auto made = ScratchAppliance::make(options.directory, profiles);
  if (!made.ok()) return complain(err, made.error());
  ScratchAppliance& appliance = **made;
  if (!options.json) {
    out << "deja bench" << (options.quick ? " --quick (the figures mean nothing)" : "") << ": "
        << allowed_cores().size() << " cores, " << human_count(profiles) << " profiles of "
        << human_count(appliance.geometry().block_bytes()) << " bytes, 20 features\n";
    if (load > kLoadPerCore * static_cast<double>(allowed_cores().size())) {
      out << "others are at work here (load average " << value_text(load, "")
          << "): all of it is better on a quiet host\n";
    }
    out << "\n";
    out.flush();
  }

  BenchFindings findings;
  std::size_t printed = 0;
  const auto show = [&] {
    if (options.json) return;
    for (; printed < findings.measured.size(); ++printed) print(out, findings.measured[printed]);
    out.flush();
  };
  // The disk first: a directory that can't be used is known before anybody has waited.
  BenchFindings of_disk;
  if (const Status sync = measure_sync(options.durability, options.quick, of_disk); !sync.ok()) {
    return complain(err, sync.error());
  }
  if (const Status filled = fill_table(appliance); !filled.ok()) {
    return complain(err, filled.error());
  }
  if (const Status reads = measure_reads(appliance, options.quick, findings); !reads.ok()) {
    return complain(err, reads.error());
  }
  show();
  if (const Status rate = measure_worker(appliance, options.quick, findings); !rate.ok()) {
    return complain(err, rate.error());
  }
  show();
  measure_cores(appliance, options.quick, findings);
  show();
  measure_clocks(options.quick, findings);
  measure_memory(options.quick, findings);
  findings.measured.insert(findings.measured.end(), of_disk.measured.begin(),
                           of_disk.measured.end());
  show();
  if (options.json) {
    out << findings_json(options, appliance, load, findings) << "\n";
    return 0;
  }
  for (const NotMeasured& missing : findings.not_measured) {
    out << "  " << missing.name << ": not measured, since " << missing.why << "\n";
  }
  return 0;
}

}  // namespace deja
