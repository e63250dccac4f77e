// What was measured on a host under one label. Plain data.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "shm/histogram.h"
#include "tuning/measure/interference.h"

namespace deja::tuning {

struct Outlier {
  std::int64_t at_us = 0;  ///< since the probe began
  std::uint64_t length_ns = 0;
  std::string cause;
};

/// One of the two probes, on one core.
struct Probe {
  HistogramCopy latency;  ///< ns: lateness of a wake-up; length of an interruption
  std::uint64_t watched_ns = 0;
  std::vector<Outlier> worst;                   ///< longest first
  std::map<std::string, std::uint64_t> causes;  ///< outliers by cause
  std::uint64_t preemptions = 0;
  std::uint64_t faults = 0;
  Interference core;  ///< what grew while it ran
};

struct CoreMeasurement {
  int core = 0;
  bool is_pinned = false;  ///< false: the host did not let us, and it ran anywhere
  Probe wake;              ///< a thread that sleeps to an instant: how late it runs
  Probe jitter;            ///< a thread that never sleeps: how long it is kept from running
};

/// A line of cyclictest, rtla osnoise or rtla timerlat about one core.
struct ToolLine {
  std::string tool;
  int core = 0;
  std::map<std::string, double> values;  ///< "max_us", "avg_us", "noise_us", "irq", …
};

struct Measurement {
  std::string label;
  std::int64_t wall_us = 0;
  std::string kernel;
  double seconds = 0;  ///< each probe's
  std::vector<CoreMeasurement> cores;
  std::vector<ToolLine> tools;
  std::vector<std::string> notes;  ///< what could not be measured, and why
};

}  // namespace deja::tuning
