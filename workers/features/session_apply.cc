#include "workers/features/session_apply.h"

#include <initializer_list>
#include <limits>

#include "shm/columns/session_column.h"

namespace deja::features {
namespace {

using columns::decode_instant;
using columns::encode_instant;
using columns::SessionColumnLayout;

std::uint32_t add_saturating(std::uint32_t a, std::uint32_t b) {
  const std::uint32_t room = std::numeric_limits<std::uint32_t>::max() - a;
  return a + (b < room ? b : room);
}

/// One run of events.
struct Run {
  std::int64_t start = 0;
  std::int64_t end = 0;
  std::uint32_t events = 0;
};

/// A column, decoded. The newest run comes last.
struct History {
  Run runs[2];
  std::uint32_t kept = 0;
  std::int64_t first_start = 0;
  std::uint32_t count = 0;
  bool estimated = false;

  [[nodiscard]] Run& newest() { return runs[kept - 1]; }
  [[nodiscard]] const Run& newest() const { return runs[kept - 1]; }
  /// There were runs before the kept ones.
  [[nodiscard]] bool forgot() const { return count > kept; }
};

History read(const std::uint8_t* column) {
  const auto layout = columns::load<SessionColumnLayout>(column);
  History history;
  if (layout.current_start == 0) return history;
  if (layout.previous_start != 0) {
    history.runs[history.kept++] = {decode_instant(layout.previous_start),
                                    decode_instant(layout.previous_end), layout.previous_events};
  }
  history.runs[history.kept++] = {decode_instant(layout.current_start),
                                  decode_instant(layout.current_end), layout.current_events};
  history.first_start = decode_instant(layout.first_start);
  history.count = layout.count;
  history.estimated = layout.estimated != 0;
  return history;
}

void write(std::uint8_t* column, const History& history) {
  SessionColumnLayout layout = {};
  const Run& current = history.newest();
  layout.current_start = encode_instant(current.start);
  layout.current_end = encode_instant(current.end);
  layout.current_events = current.events;
  if (history.kept == 2) {
    layout.previous_start = encode_instant(history.runs[0].start);
    layout.previous_end = encode_instant(history.runs[0].end);
    layout.previous_events = history.runs[0].events;
  }
  layout.first_start = encode_instant(history.first_start);
  layout.count = history.count;
  layout.estimated = history.estimated ? 1 : 0;
  columns::store(column, layout);
}

bool touches(const Run& run, std::int64_t time, std::int64_t gap) {
  return time >= run.start - gap && time <= run.end + gap;
}

void extend(Run& run, const Run& by) {
  if (by.start < run.start) run.start = by.start;
  if (by.end > run.end) run.end = by.end;
  run.events = add_saturating(run.events, by.events);
}

/// Keeps `run` as the newest.
void push(History& history, const Run& run) {
  if (history.kept == 2) {
    history.runs[0] = history.runs[1];
    history.runs[1] = run;
  } else {
    history.runs[history.kept++] = run;
  }
}

/// Two histories of which `later` begins where `earlier` has ended.
History follow(const History& earlier, const History& later, std::int64_t gap) {
  History merged = later;
  const bool joined = later.first_start - earlier.newest().end <= gap;
  merged.count = add_saturating(earlier.count, later.count) - (joined ? 1 : 0);
  merged.first_start = earlier.first_start;
  merged.estimated = earlier.estimated || later.estimated;
  return merged;
}

/// True when no forgotten run of `one` can lie near a run of `other`.
bool apart(const History& one, const History& other) {
  return !one.forgot() || other.first_start >= one.runs[0].start;
}

/// All kept runs of both, joined where they touch.
History interleave(const History& a, const History& b, std::int64_t gap) {
  Run runs[4];
  std::uint32_t total = 0;
  for (const History* history : {&a, &b}) {
    for (std::uint32_t at = 0; at < history->kept; ++at) {
      std::uint32_t place = total++;
      for (; place > 0 && runs[place - 1].start > history->runs[at].start; --place) {
        runs[place] = runs[place - 1];
      }
      runs[place] = history->runs[at];
    }
  }
  History merged;
  std::uint32_t joined = 0;
  for (std::uint32_t at = 0; at < total; ++at) {
    if (merged.kept > 0 && runs[at].start - merged.newest().end <= gap) {
      extend(merged.newest(), runs[at]);
      ++joined;
    } else {
      push(merged, runs[at]);
    }
  }
  const std::uint32_t begun = add_saturating(a.count, b.count);
  merged.count = begun > joined + merged.kept ? begun - joined : merged.kept;
  merged.first_start = a.first_start < b.first_start ? a.first_start : b.first_start;
  merged.estimated = a.estimated || b.estimated || !apart(a, b) || !apart(b, a);
  return merged;
}

}  // namespace

Applied apply_session(const FeatureSpec& spec, std::uint8_t* column, std::int64_t time_us) {
  const std::int64_t time = columns::clamp_instant(time_us);
  const Run event = {time, time, 1};
  History history = read(column);
  if (history.kept == 0) {
    history.first_start = time;
    history.count = 1;
    push(history, event);
  } else if (time > history.newest().end + spec.gap_us) {
    history.count = add_saturating(history.count, 1);
    push(history, event);
  } else if (touches(history.newest(), time, spec.gap_us)) {
    extend(history.newest(), event);
    if (history.kept == 2 && history.runs[1].start - history.runs[0].end <= spec.gap_us) {
      extend(history.runs[0], history.runs[1]);
      history.kept = 1;
      if (history.count > 1) --history.count;
    }
  } else if (history.kept == 2 && touches(history.runs[0], time, spec.gap_us)) {
    extend(history.runs[0], event);
  } else {
    return Applied::kLate;
  }
  if (time < history.first_start) history.first_start = time;
  write(column, history);
  return Applied::kTaken;
}

void merge_session(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from) {
  const History ours = read(into);
  const History theirs = read(from);
  if (theirs.kept == 0) return;
  if (ours.kept == 0) {
    write(into, theirs);
  } else if (theirs.forgot() && ours.newest().end <= theirs.first_start) {
    write(into, follow(ours, theirs, spec.gap_us));
  } else if (ours.forgot() && theirs.newest().end <= ours.first_start) {
    write(into, follow(theirs, ours, spec.gap_us));
  } else {
    write(into, interleave(ours, theirs, spec.gap_us));
  }
}

}  // namespace deja::features
