// What features mean, written down a second time: plainly and slowly. It keeps every event and
// works everything out from scratch, word by word from what the product promises its users. It
// shares no code with the engine, on purpose: no column, no pane ring, no hash.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace deja::features::reference {

/// A value as the shop sent it. `kind`: 'n' number, 't' text, 'b' truth value, '0' null, '-'
/// absent.
struct Sent {
  std::int64_t time = 0;
  char kind = '-';
  double number = 0;
  std::string text;
  double weight = 1;
};

/// The windows of a feature; length 0: all time.
struct Window {
  std::int64_t length = 0;
  std::int64_t panes = 1;

  /// The number of the pane that an instant lies in, aligned to the epoch, rounding down.
  [[nodiscard]] std::int64_t pane(std::int64_t time) const {
    const std::int64_t size = length / panes;
    std::int64_t number = time / size;
    if (number * size > time) --number;
    return number;
  }
};

/// Those of `events` that count at an instant: in the current pane or the panes-1 before it, and in
/// none that was already too old for the feature's newest event.
inline std::vector<Sent> counted(const std::vector<Sent>& events, const Window& window,
                                 std::int64_t at) {
  if (window.length == 0 || events.empty()) return events;
  std::int64_t newest = window.pane(events.front().time);
  for (const Sent& event : events) newest = std::max(newest, window.pane(event.time));
  std::vector<Sent> counting;
  for (const Sent& event : events) {
    const std::int64_t pane = window.pane(event.time);
    const bool kept = pane > newest - window.panes;
    const bool inside = pane <= window.pane(at) && pane > window.pane(at) - window.panes;
    if (kept && inside) counting.push_back(event);
  }
  return counting;
}

inline std::vector<Sent> only_numbers(const std::vector<Sent>& events) {
  std::vector<Sent> numbers;
  for (const Sent& event : events) {
    if (event.kind == 'n') numbers.push_back(event);
  }
  return numbers;
}

/// An item is a text whatever was sent; nothing and null are no item.
inline std::optional<std::string> item(const Sent& sent) {
  if (sent.kind == 't') return sent.text;
  if (sent.kind == 'b') return sent.number != 0 ? "true" : "false";
  if (sent.kind != 'n') return std::nullopt;
  for (int digits = 1; digits <= 17; ++digits) {  // the shortest that reads back
    char buffer[64];
    std::snprintf(buffer, sizeof buffer, "%.*g", digits, sent.number == 0 ? 0.0 : sent.number);
    if (std::strtod(buffer, nullptr) == sent.number) return buffer;
  }
  return std::nullopt;
}

/// The longest run of whole characters within so many bytes.
inline std::string cut(const std::string& text, std::size_t bytes) {
  std::size_t end = 0;
  while (end < text.size()) {
    std::size_t next = end + 1;
    while (next < text.size() && (text[next] & '\xC0') == '\x80') ++next;
    if (next > bytes) break;
    end = next;
  }
  return text.substr(0, end);
}

inline std::vector<Sent> only_items(const std::vector<Sent>& events) {
  std::vector<Sent> items;
  for (const Sent& event : events) {
    if (item(event)) items.push_back(event);
  }
  return items;
}

/// The `keep` newest different items, newest first by each one's newest event, ties by bytes.
inline std::vector<std::string> recent(const std::vector<Sent>& events, std::size_t keep,
                                       std::size_t bytes) {
  std::map<std::string, std::int64_t> newest;
  for (const Sent& event : only_items(events)) {
    const auto [entry, is_new] = newest.try_emplace(cut(*item(event), bytes), event.time);
    if (!is_new) entry->second = std::max(entry->second, event.time);
  }
  std::vector<std::pair<std::string, std::int64_t>> all(newest.begin(), newest.end());
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> shown;
  for (const auto& [text, time] : all) {
    if (shown.size() < keep) shown.push_back(text);
  }
  return shown;
}

/// Each key's weight at an instant; half_life 0: none.
inline std::map<std::string, double> weights(const std::vector<Sent>& events, const Window& window,
                                             std::int64_t half_life, std::size_t bytes,
                                             std::int64_t at) {
  std::map<std::string, double> by_key;
  for (const Sent& event : counted(only_items(events), window, at)) {
    double weight = event.weight;
    if (half_life != 0) {
      weight *=
          std::pow(2.0, -static_cast<double>(at - event.time) / static_cast<double>(half_life));
    }
    by_key[cut(*item(event), bytes)] += weight;
  }
  return by_key;
}

inline std::size_t distinct(const std::vector<Sent>& events, const Window& window,
                            std::int64_t at) {
  std::set<std::string> different;
  for (const Sent& event : counted(only_items(events), window, at)) different.insert(*item(event));
  return different.size();
}

/// null < truth values < numbers < texts.
inline bool smaller(const Sent& a, const Sent& b) {
  const std::string order = "0bnt";
  if (a.kind != b.kind) return order.find(a.kind) < order.find(b.kind);
  return a.kind == 't' ? a.text < b.text : a.number < b.number;
}

/// first (oldest, the smaller at equal times) or last and trait (newest, the larger).
inline std::optional<Sent> extreme_in_time(const std::vector<Sent>& events, bool first,
                                           bool with_null, std::size_t bytes) {
  std::optional<Sent> best;
  for (Sent event : events) {
    if (event.kind == '-' || (event.kind == '0' && !with_null)) continue;
    event.text = cut(event.text, bytes);
    const bool better =
        !best ||
        (first ? event.time < best->time || (event.time == best->time && smaller(event, *best))
               : event.time > best->time || (event.time == best->time && smaller(*best, event)));
    if (better) best = event;
  }
  return best;
}

struct Session {
  std::int64_t start = 0;
  std::int64_t end = 0;
  std::uint32_t events = 0;
};

/// All runs of events without a gap of more than `gap`, oldest first.
inline std::vector<Session> sessions(std::vector<std::int64_t> times, std::int64_t gap) {
  std::sort(times.begin(), times.end());
  std::vector<Session> runs;
  for (const std::int64_t time : times) {
    if (runs.empty() || time - runs.back().end > gap) runs.push_back({time, time, 0});
    runs.back().end = time;
    ++runs.back().events;
  }
  return runs;
}

}  // namespace deja::features::reference
