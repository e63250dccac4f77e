#include "tools/top/figures.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace deja {
namespace {

struct Stage {
  std::string_view family;
  std::string_view label;  ///< of `stage`, where the family has one
  const char* text;
  unsigned rank;
};
constexpr Stage kStages[] = {
    {"deja_event_stage_seconds", "receive_commit", "receive → commit", 4},
    {"deja_event_stage_seconds", "commit_applied", "commit → applied", 2},
    {"deja_event_visible_seconds", "", "receive → visible", 0},
    {"deja_event_stage_seconds", "applied_durable", "applied → durable", 1},
    {"deja_event_stage_seconds", "durable_acked", "durable → acked", 5},
    {"deja_event_stage_seconds", "applied_flushed", "applied → in Redis", 3},
    {"deja_worker_batch_seconds", "", "a worker's batch", kEventStages},
    {"deja_flush_seconds", "", "a write to Redis", kEventStages + 1},
};

bool follows(const ApplianceState& before, const ApplianceState& after) {
  return before.incarnation == after.incarnation && after.up_us > before.up_us;
}

/// All of a stage's histograms, added up.
HistogramCopy sum_of_stage(const ApplianceState& state, const Stage& stage) {
  HistogramCopy sum;
  sum.counts.resize(kHistogramBuckets);
  for (const ProcessView& process : state.processes) {
    for (const auto& [name, copy] : process.histograms) {
      if (counter_family(name) != stage.family || label_of(name, "stage") != stage.label) continue;
      for (std::size_t bucket = 0; bucket < copy.counts.size(); ++bucket) {
        sum.counts[bucket] += copy.counts[bucket];
      }
      sum.count += copy.count;
      sum.sum += copy.sum;
      sum.max = std::max(sum.max, copy.max);
    }
  }
  return sum;
}

std::uint64_t grown(std::uint64_t after, std::uint64_t before) {
  return after > before ? after - before : 0;
}

}  // namespace

std::optional<EventRates> rates_between(const ApplianceState& before, const ApplianceState& after) {
  if (!follows(before, after)) return std::nullopt;
  const double seconds = static_cast<double>(after.up_us - before.up_us) / 1e6;
  const auto rate = [&](std::uint64_t now, std::uint64_t then) {
    return static_cast<double>(grown(now, then)) / seconds;
  };
  const EventTotals& now = after.totals;
  const EventTotals& then = before.totals;
  return EventRates{rate(now.received, then.received),
                    rate(now.received - now.rejected, then.received - then.rejected),
                    rate(now.applied, then.applied), rate(now.duplicate, then.duplicate),
                    rate(now.rejected, then.rejected)};
}

std::vector<StageLatency> latencies_between(const ApplianceState* before,
                                            const ApplianceState& after) {
  std::vector<StageLatency> latencies;
  for (const Stage& stage : kStages) {
    HistogramCopy copy = sum_of_stage(after, stage);
    if (copy.count == 0) continue;
    if (before != nullptr && follows(*before, after)) {
      const HistogramCopy then = sum_of_stage(*before, stage);
      copy.count = 0;
      for (std::size_t bucket = 0; bucket < copy.counts.size(); ++bucket) {
        copy.counts[bucket] = grown(copy.counts[bucket], then.counts[bucket]);
        copy.count += copy.counts[bucket];
      }
      copy.sum = grown(copy.sum, then.sum);
    }
    latencies.push_back({stage.text, stage.rank, std::move(copy)});
  }
  return latencies;
}

void LookHistory::add(ApplianceState state) {
  if (!states_.empty() && !follows(states_.back(), state)) states_.clear();
  states_.push_back(std::move(state));
  const std::int64_t oldest_us = states_.back().up_us - kept_us_;
  while (states_.size() > 2 && states_[1].up_us < oldest_us) states_.pop_front();
}

const ApplianceState* LookHistory::before(std::int64_t ago_us) const {
  if (states_.size() < 2) return nullptr;
  const std::int64_t from_us = states_.back().up_us - ago_us;
  const ApplianceState* found = &states_.front();
  for (const ApplianceState& state : states_) {
    if (state.up_us <= from_us) found = &state;
  }
  return found;
}

}  // namespace deja
