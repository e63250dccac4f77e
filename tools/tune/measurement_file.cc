#include "tools/tune/measurement_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "shm/base/descriptor.h"
#include "tools/config/duration.h"
#include "tools/config/json_value.h"

namespace deja {
namespace {

constexpr std::size_t kBytesMax = std::size_t{16} << 20U;

std::uint64_t number_of(const TomlValue& object, const char* key) {
  const TomlValue* value = object.find(key);
  const bool is_number =
      value != nullptr && (value->kind == TomlKind::kInteger || value->kind == TomlKind::kNumber);
  if (!is_number || !(value->number >= 0) || value->number > 9e18) return 0;
  return static_cast<std::uint64_t>(value->number);
}

std::string text_of(const TomlValue& object, const char* key) {
  const TomlValue* value = object.find(key);
  return value != nullptr && value->kind == TomlKind::kText ? value->text : std::string();
}

tuning::Counts counts_of(const TomlValue& object, const char* key) {
  tuning::Counts counts;
  if (const TomlValue* all = object.find(key)) {
    for (const TomlEntry& entry : all->entries) {
      counts[entry.key] = number_of(*all, entry.key.c_str());
    }
  }
  return counts;
}

/// The objects among the elements of an array.
std::vector<const TomlValue*> objects_of(const TomlValue& object, const char* key) {
  std::vector<const TomlValue*> objects;
  if (const TomlValue* all = object.find(key)) {
    for (const TomlValue& element : all->elements) {
      if (element.kind == TomlKind::kTable) objects.push_back(&element);
    }
  }
  return objects;
}

tuning::Probe probe_of(const TomlValue* object) {
  tuning::Probe probe;
  probe.latency.counts.resize(kHistogramBuckets);
  if (object == nullptr || object->kind != TomlKind::kTable) return probe;
  probe.latency.sum = number_of(*object, "sum_ns");
  probe.latency.max = number_of(*object, "max_ns");
  probe.watched_ns = number_of(*object, "watched_ns");
  probe.preemptions = number_of(*object, "preemptions");
  probe.faults = number_of(*object, "faults");
  probe.causes = counts_of(*object, "causes");
  probe.core.interrupts = counts_of(*object, "interrupts");
  probe.core.softirqs = counts_of(*object, "softirqs");
  probe.core.steal_ticks = number_of(*object, "steal_ticks");
  for (const TomlValue* outlier : objects_of(*object, "worst")) {
    probe.worst.push_back({static_cast<std::int64_t>(number_of(*outlier, "at_us")),
                           number_of(*outlier, "length_ns"), text_of(*outlier, "cause")});
  }
  const TomlValue* histogram = object->find("histogram");
  if (histogram == nullptr) return probe;
  for (const TomlValue& pair : histogram->elements) {
    if (pair.elements.size() != 2) continue;
    const double bound = pair.elements[0].number;
    const double count = pair.elements[1].number;
    if (!(bound >= 0) || bound > 1e18 || !(count >= 0) || count > 1e15) continue;
    const std::uint32_t bucket = histogram_bucket(static_cast<std::uint64_t>(bound));
    probe.latency.counts[bucket] += static_cast<std::uint64_t>(count);
    probe.latency.count += static_cast<std::uint64_t>(count);
  }
  return probe;
}

}  // namespace

Status write_whole(const std::string& path, const std::string& text) {
  const Descriptor file(
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file.open()) return system_error("write " + path, "Name another --output");
  std::size_t at = 0;
  while (at < text.size()) {
    const ssize_t written = write(file.number(), text.data() + at, text.size() - at);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return system_error("write " + path);
    at += static_cast<std::size_t>(written);
  }
  return Done{};
}

Result<tuning::Measurement> read_measurement(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return Error{"open " + path, ENOENT, "Measure under that label first, with the same --output"};
  }
  std::string text(kBytesMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  const std::optional<TomlValue> root = parse_json(text);
  const TomlValue* cores = root ? root->find("cores") : nullptr;
  if (cores == nullptr || cores->kind != TomlKind::kArray || text_of(*root, "label").empty()) {
    return Error{path + " is no measurement of deja tune measure", 0, "Measure again"};
  }
  tuning::Measurement measurement;
  measurement.label = text_of(*root, "label");
  measurement.wall_us = parse_instant(text_of(*root, "at")).value_or(0);
  measurement.kernel = text_of(*root, "kernel");
  const TomlValue* seconds = root->find("seconds");
  if (seconds != nullptr && seconds->number > 0) measurement.seconds = seconds->number;
  for (const TomlValue* core : objects_of(*root, "cores")) {
    tuning::CoreMeasurement one;
    one.core = static_cast<int>(number_of(*core, "core"));
    const TomlValue* pinned = core->find("pinned");
    one.is_pinned = pinned != nullptr && pinned->truth;
    one.wake = probe_of(core->find("wake"));
    one.jitter = probe_of(core->find("jitter"));
    measurement.cores.push_back(std::move(one));
  }
  for (const TomlValue* line : objects_of(*root, "tools")) {
    tuning::ToolLine one{text_of(*line, "tool"), static_cast<int>(number_of(*line, "core")), {}};
    for (const TomlEntry& value : line->entries) {
      if (value.key == "tool" || value.key == "core") continue;
      one.values[value.key] = value.value.number;
    }
    measurement.tools.push_back(std::move(one));
  }
  if (const TomlValue* notes = root->find("notes")) {
    for (const TomlValue& note : notes->elements) measurement.notes.push_back(note.text);
  }
  return measurement;
}

}  // namespace deja
