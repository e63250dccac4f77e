#include "tuning/measure/report.h"

#include <algorithm>
#include <cstdio>

#include "shm/json_text.h"
#include "tuning/measure/plot.h"

namespace deja::tuning {
namespace {

constexpr std::size_t kNamedMax = 5;

std::string micro(std::uint64_t ns) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", static_cast<double>(ns) / 1000);
  return text;
}

template <typename... Values>
std::string formatted(const char* format, Values... values) {
  char text[320];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

/// Parts of a million of the time that was not the probe's.
double lost_ppm(const Probe& probe) {
  if (probe.watched_ns == 0) return 0;
  return static_cast<double>(probe.latency.sum) / static_cast<double>(probe.watched_ns) * 1e6;
}

std::string largest(const std::map<std::string, std::uint64_t>& counts) {
  std::vector<std::pair<std::uint64_t, std::string>> order;
  for (const auto& [name, count] : counts) order.emplace_back(count, name);
  std::sort(order.rbegin(), order.rend());
  std::string text;
  for (std::size_t at = 0; at < order.size() && at < kNamedMax; ++at) {
    text += (at == 0 ? "" : ", ") + order[at].second + " " + std::to_string(order[at].first);
  }
  return text.empty() ? "none" : text;
}

std::string probe_row(const Measurement& measurement, const CoreMeasurement& core,
                      const Probe& probe, const char* name) {
  const HistogramCopy& latency = probe.latency;
  return formatted("%-12.12s %4d  %-8s %9llu %9s %9s %9s %9s\n", measurement.label.c_str(),
                   core.core, name, static_cast<unsigned long long>(latency.count),
                   micro(latency.quantile(0.5)).c_str(), micro(latency.quantile(0.99)).c_str(),
                   micro(latency.quantile(0.999)).c_str(), micro(latency.max).c_str());
}

std::string compared(const Measurement& first, const Measurement& last,
                     Probe CoreMeasurement::*probe, const char* name) {
  const HistogramCopy a = all_cores(first, probe);
  const HistogramCopy b = all_cores(last, probe);
  const auto ratio = [](std::uint64_t of, std::uint64_t to) {
    return to == 0 ? 0.0 : static_cast<double>(of) / static_cast<double>(to);
  };
  return formatted("%-8s p50 %.2f  p99 %.2f  p99.9 %.2f  worst %.2f\n", name,
                   ratio(b.quantile(0.5), a.quantile(0.5)),
                   ratio(b.quantile(0.99), a.quantile(0.99)),
                   ratio(b.quantile(0.999), a.quantile(0.999)), ratio(b.max, a.max));
}

std::string details(const Measurement& measurement) {
  std::string text;
  for (const CoreMeasurement& core : measurement.cores) {
    text += "\n" + measurement.label + ", core " + std::to_string(core.core) +
            (core.is_pinned ? "" : " (could not be pinned: it ran anywhere)") + "\n";
    for (const auto& [name, probe] :
         {std::pair<const char*, const Probe*>{"wake-up", &core.wake}, {"jitter", &core.jitter}}) {
      text += formatted("  %-8s outliers: ", name) + largest(probe->causes) + "\n";
      text += "           on the core: " + largest(probe->core.interrupts) + "; softirqs " +
              largest(probe->core.softirqs) + "; preempted " + std::to_string(probe->preemptions) +
              ", faults " + std::to_string(probe->faults) + "\n";
    }
    text += formatted("  lost     %.0f of a million parts of the time\n", lost_ppm(core.jitter));
  }
  for (const ToolLine& line : measurement.tools) {
    text +=
        "\n" + measurement.label + ", " + line.tool + ", core " + std::to_string(line.core) + ":";
    for (const auto& [name, value] : line.values) {
      text += formatted(" %s %g", name.c_str(), value);
    }
  }
  if (!measurement.tools.empty()) text += "\n";
  for (const std::string& note : measurement.notes) text += "\nNote: " + note + "\n";
  return text;
}

// --- JSON
// -----------------------------------------------------------------------------------------
void add_name(std::string& out, const char* name) {
  if (out.back() != '{' && out.back() != '[') out += ',';
  append_json_text(out, name);
  out += ':';
}

void add_number(std::string& out, const char* name, double value) {
  add_name(out, name);
  append_json_number(out, value);
}

void add_counts(std::string& out, const char* name, const Counts& counts) {
  add_name(out, name);
  out += '{';
  for (const auto& [key, count] : counts) {
    add_number(out, key.c_str(), static_cast<double>(count));
  }
  out += '}';
}

void add_probe(std::string& out, const char* name, const Probe& probe) {
  add_name(out, name);
  out += '{';
  add_number(out, "count", static_cast<double>(probe.latency.count));
  add_number(out, "sum_ns", static_cast<double>(probe.latency.sum));
  add_number(out, "max_ns", static_cast<double>(probe.latency.max));
  add_number(out, "watched_ns", static_cast<double>(probe.watched_ns));
  for (const auto& [key, fraction] :
       {std::pair<const char*, double>{"p50_ns", 0.5}, {"p99_ns", 0.99}, {"p999_ns", 0.999}}) {
    add_number(out, key, static_cast<double>(probe.latency.quantile(fraction)));
  }
  add_number(out, "preemptions", static_cast<double>(probe.preemptions));
  add_number(out, "faults", static_cast<double>(probe.faults));
  add_number(out, "steal_ticks", static_cast<double>(probe.core.steal_ticks));
  add_counts(out, "causes", probe.causes);
  add_counts(out, "interrupts", probe.core.interrupts);
  add_counts(out, "softirqs", probe.core.softirqs);
  add_name(out, "histogram");
  out += '[';
  for (std::uint32_t bucket = 0; bucket < probe.latency.counts.size(); ++bucket) {
    if (probe.latency.counts[bucket] == 0) continue;
    if (out.back() != '[') out += ',';
    out += "[" + std::to_string(histogram_lower_bound(bucket)) + "," +
           std::to_string(probe.latency.counts[bucket]) + "]";
  }
  out += ']';
  add_name(out, "worst");
  out += '[';
  for (const Outlier& outlier : probe.worst) {
    if (out.back() != '[') out += ',';
    out += '{';
    add_number(out, "at_us", static_cast<double>(outlier.at_us));
    add_number(out, "length_ns", static_cast<double>(outlier.length_ns));
    add_name(out, "cause");
    append_json_text(out, outlier.cause);
    out += '}';
  }
  out += "]}";
}

}  // namespace

std::string report_text(const std::vector<Measurement>& measurements) {
  std::string text = formatted("%-12s %4s  %-8s %9s %9s %9s %9s %9s\n", "LABEL", "CORE", "PROBE",
                               "COUNT", "p50 µs", "p99 µs", "p99.9 µs", "worst µs");
  for (const Measurement& measurement : measurements) {
    for (const CoreMeasurement& core : measurement.cores) {
      text += probe_row(measurement, core, core.wake, "wake-up");
      text += probe_row(measurement, core, core.jitter, "jitter");
    }
  }
  if (measurements.size() > 1) {
    const Measurement& first = measurements.front();
    const Measurement& last = measurements.back();
    text += "\n" + last.label + " ÷ " + first.label + ", all cores; below 1 is better:\n";
    text += compared(first, last, &CoreMeasurement::wake, "wake-up");
    text += compared(first, last, &CoreMeasurement::jitter, "jitter");
  }
  for (const Measurement& measurement : measurements) text += details(measurement);
  return text;
}

std::string measurement_json(const Measurement& measurement) {
  std::string out = "{";
  add_name(out, "label");
  append_json_text(out, measurement.label);
  add_name(out, "at");
  out += '"';
  append_instant(out, measurement.wall_us);
  out += '"';
  add_name(out, "kernel");
  append_json_text(out, measurement.kernel);
  add_number(out, "seconds", measurement.seconds);
  add_name(out, "cores");
  out += '[';
  for (const CoreMeasurement& core : measurement.cores) {
    if (out.back() != '[') out += ',';
    out += '{';
    add_number(out, "core", core.core);
    add_name(out, "pinned");
    out += core.is_pinned ? "true" : "false";
    add_probe(out, "wake", core.wake);
    add_probe(out, "jitter", core.jitter);
    out += '}';
  }
  out += ']';
  add_name(out, "tools");
  out += '[';
  for (const ToolLine& line : measurement.tools) {
    if (out.back() != '[') out += ',';
    out += '{';
    add_name(out, "tool");
    append_json_text(out, line.tool);
    add_number(out, "core", line.core);
    for (const auto& [name, value] : line.values) add_number(out, name.c_str(), value);
    out += '}';
  }
  out += ']';
  add_name(out, "notes");
  out += '[';
  for (const std::string& note : measurement.notes) {
    if (out.back() != '[') out += ',';
    append_json_text(out, note);
  }
  return out + "]}";
}

}  // namespace deja::tuning
