#include "shm/process_file.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "shm/base/clock.h"

namespace deja {
namespace {

constexpr std::uint64_t kCountersOffset = sizeof(ProcessHeaderLayout);
constexpr std::uint64_t kHistogramsOffset =
    kCountersOffset + std::uint64_t{kCountersMax} * sizeof(CounterLayout);
constexpr std::uint64_t kErrorsOffset =
    kHistogramsOffset + std::uint64_t{kHistogramsMax} * sizeof(HistogramFileLayout);
constexpr std::uint64_t kFileBytes =
    kErrorsOffset + std::uint64_t{kErrorsMax} * sizeof(ErrorLayout);

constexpr std::string_view kCountersOverflowed = "deja_counters_overflowed_total";
constexpr std::string_view kErrorsOverflowed = "further distinct errors";

/// Text of a fixed array that another process wrote: it need not be terminated.
template <std::size_t Size>
std::string_view text_of(const char (&array)[Size]) {
  return {array, strnlen(array, Size)};
}

template <std::size_t Size>
void copy_text(char (&array)[Size], std::string_view text) {
  const std::size_t size = std::min(text.size(), Size - 1);
  std::memcpy(array, text.data(), size);
  array[size] = '\0';
}

/// The entry named `name`, or the first free one (`used` still 0), or nullptr when all are taken.
template <typename Entry, typename Matches>
Entry* find_or_free(Entry* entries, std::uint32_t count, const Matches& matches) {
  for (Entry* entry = entries; entry != entries + count; ++entry) {
    // SYNC(process.name): acquire pairs with the release in whoever made the entry.
    if (entry->used.load(std::memory_order_acquire) == 0 || matches(*entry)) return entry;
  }
  return nullptr;
}

CounterLayout* find_counter(const MappedFile& file, std::string_view name, bool is_gauge) {
  auto* counters = file.at<CounterLayout>(kCountersOffset);
  // The last one is kept for what no longer fits.
  CounterLayout* entry = find_or_free(counters, kCountersMax - 1, [&](const CounterLayout& other) {
    return text_of(other.name) == name.substr(0, sizeof other.name - 1);
  });
  if (entry == nullptr) {
    entry = counters + kCountersMax - 1;
    name = kCountersOverflowed;
  }
  if (entry->used.load(std::memory_order_relaxed) == 0) {
    copy_text(entry->name, name);
    entry->is_gauge = is_gauge ? 1 : 0;
    entry->used.store(1, std::memory_order_release);  // SYNC(process.name): name and kind are there
  }
  return entry;
}

}  // namespace

std::uint64_t ProcessFile::file_bytes() {
  return kFileBytes;
}

ProcessFile::ProcessFile(MappedFile file, std::string_view name)
    : file_(std::move(file)), header_(file_.at<ProcessHeaderLayout>()) {
  CHECK(file_.bytes() >= kFileBytes);
  copy_text(header_->name, name);
  header_->pid.store(getpid(), std::memory_order_relaxed);
  header_->started_us.store(wall_us(), std::memory_order_relaxed);
  header_->starts.fetch_add(1, std::memory_order_relaxed);
  header_->magic = kProcessMagic;
  heartbeat(wall_us());
}

Counter ProcessFile::counter(std::string_view name) {
  const std::lock_guard<std::mutex> alone(*adding_);
  return Counter(&find_counter(file_, name, false)->value);
}

Counter ProcessFile::gauge(std::string_view name) {
  const std::lock_guard<std::mutex> alone(*adding_);
  return Counter(&find_counter(file_, name, true)->value);
}

Histogram ProcessFile::histogram(std::string_view name) {
  const std::lock_guard<std::mutex> alone(*adding_);
  auto* histograms = file_.at<HistogramFileLayout>(kHistogramsOffset);
  HistogramFileLayout* entry =
      find_or_free(histograms, kHistogramsMax,
                   [&](const HistogramFileLayout& other) { return text_of(other.name) == name; });
  CHECK(entry != nullptr);  // all histograms are ours, and few
  if (entry->used.load(std::memory_order_relaxed) == 0) {
    copy_text(entry->name, name);
    entry->used.store(1, std::memory_order_release);  // SYNC(process.name)
  }
  return Histogram(&entry->histogram);
}

void ProcessFile::error(std::string_view text) {
  const std::lock_guard<std::mutex> alone(*adding_);
  auto* errors = file_.at<ErrorLayout>(kErrorsOffset);
  ErrorLayout* entry = find_or_free(errors, kErrorsMax - 1, [&](const ErrorLayout& other) {
    return text_of(other.text) == text.substr(0, sizeof other.text - 1);
  });
  if (entry == nullptr) {
    entry = errors + kErrorsMax - 1;
    text = kErrorsOverflowed;
  }
  const std::int64_t now_us = wall_us();
  if (entry->used.load(std::memory_order_relaxed) == 0) {
    copy_text(entry->text, text);
    entry->first_us.store(now_us, std::memory_order_relaxed);
    entry->used.store(1, std::memory_order_release);  // SYNC(process.name)
  }
  entry->count.store(entry->count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  entry->last_us.store(now_us, std::memory_order_relaxed);
}

Result<ProcessView> ProcessView::read(const std::string& path) {
  Result<MappedFile> file = MappedFile::open(path, MappedFile::Mode::kReadOnly, kFileBytes);
  if (!file.ok()) return file.error();
  const auto* header = file->at<const ProcessHeaderLayout>();
  ProcessView view;
  if (header->magic != kProcessMagic) return view;  // made, but its process has not started yet
  view.name = text_of(header->name);
  view.pid = header->pid.load(std::memory_order_relaxed);
  view.started_us = header->started_us.load(std::memory_order_relaxed);
  view.heartbeat_us = header->heartbeat_us.load(std::memory_order_relaxed);
  view.starts = header->starts.load(std::memory_order_relaxed);
  const auto* counters = file->at<const CounterLayout>(kCountersOffset);
  for (std::uint32_t at = 0; at < kCountersMax; ++at) {
    if (counters[at].used.load(std::memory_order_acquire) == 0) continue;  // SYNC(process.name)
    view.counters.push_back({std::string(text_of(counters[at].name)),
                             counters[at].value.load(std::memory_order_relaxed),
                             counters[at].is_gauge != 0});
  }
  const auto* histograms = file->at<const HistogramFileLayout>(kHistogramsOffset);
  for (std::uint32_t at = 0; at < kHistogramsMax; ++at) {
    if (histograms[at].used.load(std::memory_order_acquire) == 0) continue;  // SYNC(process.name)
    view.histograms.push_back(
        {std::string(text_of(histograms[at].name)), HistogramCopy::of(histograms[at].histogram)});
  }
  const auto* errors = file->at<const ErrorLayout>(kErrorsOffset);
  for (std::uint32_t at = 0; at < kErrorsMax; ++at) {
    if (errors[at].used.load(std::memory_order_acquire) == 0) continue;  // SYNC(process.name)
    view.errors.push_back({std::string(text_of(errors[at].text)),
                           errors[at].count.load(std::memory_order_relaxed),
                           errors[at].first_us.load(std::memory_order_relaxed),
                           errors[at].last_us.load(std::memory_order_relaxed)});
  }
  return view;
}

}  // namespace deja
