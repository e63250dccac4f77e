#include "tools/console/prometheus.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <optional>
#include <string_view>

#include "tools/console/metric_help.h"
#include "tools/inspect/processes.h"

namespace deja {
namespace {

/// 1 µs to 10 s in steps of 1, 2, 5.
constexpr std::array<std::pair<std::uint64_t, const char*>, 22> kBounds = {{
    {1'000, "1e-06"},     {2'000, "2e-06"},       {5'000, "5e-06"},     {10'000, "1e-05"},
    {20'000, "2e-05"},    {50'000, "5e-05"},      {100'000, "0.0001"},  {200'000, "0.0002"},
    {500'000, "0.0005"},  {1'000'000, "0.001"},   {2'000'000, "0.002"}, {5'000'000, "0.005"},
    {10'000'000, "0.01"}, {20'000'000, "0.02"},   {50'000'000, "0.05"}, {100'000'000, "0.1"},
    {200'000'000, "0.2"}, {500'000'000, "0.5"},   {1'000'000'000, "1"}, {2'000'000'000, "2"},
    {5'000'000'000, "5"}, {10'000'000'000, "10"},
}};

struct Family {
  const char* type = "counter";
  std::string samples;
};
using Families = std::map<std::string, Family, std::less<>>;

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out.push_back('\\');
    if (c == '\n') {
      out += "\\n";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Takes a label NAME="VALUE" off the front, and returns its name; empty where there is none that
/// may stand in the text: one byte amiss, and Prometheus throws the whole scrape away.
std::string_view take_label(std::string_view& text) {
  std::size_t at = 0;
  while (at < text.size() && (is_letter(text[at]) || (at > 0 && is_digit(text[at])))) ++at;
  const std::string_view name = text.substr(0, at);
  if (name.empty() || !text.substr(at).starts_with("=\"")) return {};
  at += 2;
  for (; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] < ' ' || text[at] > '~') return {};
    if (text[at] != '\\') continue;
    if (++at == text.size() || std::string_view("\\\"n").find(text[at]) == std::string_view::npos) {
      return {};
    }
  }
  if (at == text.size()) return {};
  text.remove_prefix(at + 1);
  return name;
}

/// The labels of `name{a="b",c="d"}`, a name from a file; nullopt: they are no labels, or speak of
/// another process.
std::optional<std::string_view> labels_in(std::string_view name) {
  const std::size_t brace = name.find('{');
  if (brace == std::string_view::npos) return std::string_view();
  if (!name.ends_with('}')) return std::nullopt;
  const std::string_view labels = name.substr(brace + 1, name.size() - brace - 2);
  std::vector<std::string_view> seen = {"process", "le"};
  for (std::string_view rest = labels; !rest.empty();) {
    const std::string_view label = take_label(rest);
    if (label.empty() || std::find(seen.begin(), seen.end(), label) != seen.end()) {
      return std::nullopt;
    }
    seen.push_back(label);
    if (rest.empty()) break;
    if (rest[0] != ',' || rest.size() == 1) return std::nullopt;
    rest.remove_prefix(1);
  }
  return labels;
}

/// The process's label, and behind it those of `name`: "x{code=\"a\"}" →
/// "{process=\"p\",code=\"a\"}"; nullopt as of labels_in().
std::optional<std::string> labels_of(std::string_view name, std::string_view process) {
  const std::optional<std::string_view> own = labels_in(name);
  if (!own) return std::nullopt;
  std::string labels = "{process=\"" + escaped(process) + "\"";
  if (!own->empty()) labels.append(",").append(*own);
  return labels + "}";
}

/// Prometheus wants seconds; a counter holds whole numbers, so it counts microseconds.
constexpr std::string_view kMicroseconds = "_microseconds";

/// Whether a name from a file may stand in the text at all.
bool is_metric_name(std::string_view name) {
  if (name.empty() || is_digit(name[0])) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return is_letter(c) || is_digit(c) || c == ':'; });
}

void add_sample(Families& families, std::string_view family, const char* type,
                const std::string& labels, const std::string& value) {
  Family& into = families[std::string(family)];
  into.type = type;
  into.samples.append(family).append(labels).append(" ").append(value).append("\n");
}

std::string seconds_text(double seconds) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", seconds);
  return text;
}

std::string instant_text(std::int64_t time_us) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6f", static_cast<double>(time_us) / 1e6);
  return text;
}

void add_histogram(Families& families, const std::string& labels,
                   const ProcessView::NamedHistogram& histogram) {
  const std::string name(counter_family(histogram.name));
  Family& into = families[name];
  into.type = "histogram";
  const std::string open = labels.substr(0, labels.size() - 1);
  std::uint64_t cumulative = 0;
  std::uint32_t bucket = 0;
  const auto line = [&](const char* le, std::uint64_t count) {
    into.samples += name + "_bucket" + open + ",le=\"" + le + "\"} " + std::to_string(count) + "\n";
  };
  for (const auto& [bound_ns, le] : kBounds) {
    // A bucket counts for the bound that all of it lies below.
    while (bucket < histogram.copy.counts.size() &&
           histogram_lower_bound(bucket + 1) <= bound_ns + 1) {
      cumulative += histogram.copy.counts[bucket++];
    }
    line(le, cumulative);
  }
  line("+Inf", histogram.copy.count);
  into.samples += name + "_sum" + labels + " " +
                  seconds_text(static_cast<double>(histogram.copy.sum) / 1e9) + "\n";
  into.samples += name + "_count" + labels + " " + std::to_string(histogram.copy.count) + "\n";
}

}  // namespace

std::string prometheus_text(const std::vector<ProcessView>& processes, const std::vector<Lag>& lags,
                            SegmentState state) {
  Families families;
  const bool is_draining = state == SegmentState::kDraining || state == SegmentState::kDrained;
  add_sample(families, "deja_draining", "gauge", "", is_draining ? "1" : "0");
  for (const ProcessView& process : processes) {
    for (const auto& counter : process.counters) {
      const std::string_view family = counter_family(counter.name);
      const std::optional<std::string> found = labels_of(counter.name, process.name);
      if (!is_metric_name(family) || !found) continue;
      const char* type = counter.is_gauge ? "gauge" : "counter";
      const std::string& labels = *found;
      if (family.ends_with(kMicroseconds)) {
        const std::string_view stem = family.substr(0, family.size() - kMicroseconds.size());
        add_sample(families, std::string(stem) + "_seconds", type, labels,
                   seconds_text(static_cast<double>(counter.value) / 1e6));
      } else {
        add_sample(families, family, type, labels, std::to_string(counter.value));
      }
    }
    for (const auto& histogram : process.histograms) {
      const std::optional<std::string> labels = labels_of(histogram.name, process.name);
      if (is_metric_name(counter_family(histogram.name)) && labels) {
        add_histogram(families, *labels, histogram);
      }
    }
    const std::string labels = "{process=\"" + escaped(process.name) + "\"}";
    add_sample(families, "deja_process_heartbeat_seconds", "gauge", labels,
               instant_text(process.heartbeat_us));
    add_sample(families, "deja_process_start_seconds", "gauge", labels,
               instant_text(process.started_us));
    add_sample(families, "deja_process_starts_total", "counter", labels,
               std::to_string(process.starts));
  }
  for (const Lag& lag : lags) {
    const std::string labels = "{queue=\"" + escaped(lag.name) + "\"}";
    add_sample(families, "deja_queue_capacity_bytes", "gauge", labels,
               std::to_string(lag.capacity_bytes));
    add_sample(families, "deja_waiting_records", "gauge", labels,
               std::to_string(lag.waiting_records));
    add_sample(families, "deja_waiting_bytes", "gauge", labels, std::to_string(lag.waiting_bytes));
    add_sample(families, "deja_waiting_age_seconds", "gauge", labels,
               seconds_text(static_cast<double>(lag.oldest_age_us) / 1e6));
  }
  std::string text;
  for (const auto& [name, family] : families) {
    std::string_view help = "Of another version of Deja.";
    for (const auto& [known, sentence] : kMetricHelp) {
      if (known == name) help = sentence;
    }
    text.append("# HELP ").append(name).append(" ").append(help);
    text.append("\n# TYPE ").append(name).append(" ").append(family.type).append("\n");
    text += family.samples;
  }
  return text;
}

}  // namespace deja
