// What a process shows of itself: file process-<name>, written by that process alone, read by
// `deja stat`, the console's /metrics and tests. Self-describing, so that a reader needs no list of
// names: counters, gauges and histograms carry their Prometheus name. libdeja has no part in it.
//
//   ProcessHeaderLayout │ CounterLayout × kCountersMax │ HistogramLayout × kHistogramsMax │
//   ErrorLayout × kErrorsMax
//
// Invariants
//  1. A name is written before its `used` flag (release); it never changes or goes away afterwards.
//  2. Each counter has one writing thread; add() is a relaxed load and store, not a locked
//     instruction.
//  3. A process that is started again finds its file and goes on counting: names are looked up
//     before one is added.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "shm/base/cache_line.h"
#include "shm/histogram.h"
#include "shm/mapped_file.h"

namespace deja {

inline constexpr std::uint32_t kCountersMax = 256;
inline constexpr std::uint32_t kHistogramsMax = 16;
inline constexpr std::uint32_t kErrorsMax = 128;
inline constexpr std::uint64_t kProcessMagic = 0x31'434f'5250'4a4544;  // "DEJPROC1"

struct ProcessHeaderLayout {
  std::uint64_t magic;
  std::atomic<std::int64_t> pid;
  std::atomic<std::int64_t> started_us;    // wall clock
  std::atomic<std::int64_t> heartbeat_us;  // wall clock of the last duty cycle, at most 10 ms apart
  std::atomic<std::uint64_t> starts;       // lives of this place
  char name[24];
};
static_assert(sizeof(ProcessHeaderLayout) == 64);

struct CounterLayout {
  std::atomic<std::uint64_t> value;
  std::atomic<std::uint32_t> used;
  std::uint32_t is_gauge;  // may fall
  char name[112];          // "deja_events_rejected_total{code=\"bad_json\"}"
};
static_assert(sizeof(CounterLayout) == 128);

struct HistogramFileLayout {
  std::atomic<std::uint32_t> used;
  std::uint32_t reserved;
  char name[120];  // "deja_event_visible_seconds"; recorded in nanoseconds
  HistogramLayout histogram;
};

/// One distinct error: a fixed text, how often, first and last. No personal datum ever: event names
/// and paths yes, keys, ids and values never.
struct ErrorLayout {
  std::atomic<std::uint32_t> used;
  std::uint32_t reserved;
  std::atomic<std::uint64_t> count;
  std::atomic<std::int64_t> first_us;
  std::atomic<std::int64_t> last_us;
  char text[224];
};
static_assert(sizeof(ErrorLayout) == 256);

/// A counter in shared memory; a small handle, made at start. One writing thread.
class Counter {
 public:
  Counter() = default;
  explicit Counter(std::atomic<std::uint64_t>* value) : value_(value) {}
  void add(std::uint64_t amount = 1) {
    value_->store(value_->load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void set(std::uint64_t value) { value_->store(value, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t value() const { return value_->load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t>* value_ = nullptr;
};

/// The writing side.
class ProcessFile {
 public:
  [[nodiscard]] static std::uint64_t file_bytes();

  /// Takes over the file (mapped for writing): new life, pid, start time. A fresh file is zero.
  ProcessFile(MappedFile file, std::string_view name);

  /// The counter of that name, made when it is new. `name` is its Prometheus name with labels, at
  /// most 111 bytes. When the file is full the last counter, "deja_counters_overflowed_total", is
  /// given to all further ones.
  [[nodiscard]] Counter counter(std::string_view name);
  [[nodiscard]] Counter gauge(std::string_view name);
  /// The histogram of that name; records nanoseconds.
  [[nodiscard]] Histogram histogram(std::string_view name);

  /// Counts a distinct error; texts beyond kErrorsMax share one entry. Not for the way of an event
  /// but in its failure paths: a linear look through the entries, under a lock of this process's.
  void error(std::string_view text);

  void heartbeat(std::int64_t now_us) {
    header_->heartbeat_us.store(now_us, std::memory_order_relaxed);
  }

 private:
  MappedFile file_;
  ProcessHeaderLayout* header_;
  std::unique_ptr<std::mutex> adding_ = std::make_unique<std::mutex>();  // threads of this process
};

/// A copy of what a process shows, for people and /metrics. Trusts no byte of the file.
struct ProcessView {
  struct NamedCounter {
    std::string name;
    std::uint64_t value = 0;
    bool is_gauge = false;
  };
  struct NamedHistogram {
    std::string name;
    HistogramCopy copy;
  };
  struct CountedError {
    std::string text;
    std::uint64_t count = 0;
    std::int64_t first_us = 0;
    std::int64_t last_us = 0;
  };
  std::string name;
  std::int64_t pid = 0;
  std::int64_t started_us = 0;
  std::int64_t heartbeat_us = 0;
  std::uint64_t starts = 0;
  std::vector<NamedCounter> counters;
  std::vector<NamedHistogram> histograms;
  std::vector<CountedError> errors;

  [[nodiscard]] static Result<ProcessView> read(const std::string& path);
};

}  // namespace deja
