#include "tools/replay/replay.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "shm/base/clock.h"
#include "shm/json_text.h"
#include "tools/cli/terminal.h"
#include "tools/config/duration.h"
#include "tools/replay/probe.h"
#include "tools/replay/rows.h"
#include "tools/replay/send_target.h"
#include "tools/replay/sender.h"
#include "tools/replay/shuffle.h"

namespace deja {
namespace {

/// What became of the rows.
struct RowCounts {
  std::uint64_t rows = 0;
  std::uint64_t no_user = 0;
  std::uint64_t no_rule = 0;
  std::uint64_t bad_time = 0;
  std::uint64_t unreadable = 0;
  std::string first_complaint;
};

/// The options as numbers.
struct Pace {
  double speed = 0;  ///< 0: as fast as it goes
  std::int64_t shuffle_us = 0;
};

int complain(int status, const std::string& text) {
  std::fprintf(stderr, "deja: %s\n", text.c_str());
  return status;
}

Result<Pace> pace_of(const ReplayOptions& options) {
  Pace pace;
  if (options.speed != "max") {
    const char* begin = options.speed.c_str();
    char* end = nullptr;
    pace.speed = std::strtod(begin, &end);
    if (end == begin || *end != '\0' || !(pace.speed > 0) || pace.speed > 1e9) {
      return Error{"--speed is \"" + options.speed + "\"", 0,
                   "It is max, or a number above 0: 1 is as fast as it happened"};
    }
  }
  if (!options.shuffle_within.empty()) {
    const auto within_us = parse_duration(options.shuffle_within);
    if (!within_us) {
      return Error{"--shuffle-within is \"" + options.shuffle_within + "\"", 0,
                   "It is a duration such as 30m"};
    }
    pace.shuffle_us = *within_us;
  }
  return pace;
}

/// Reads events one by one and counts what is none.
class EventReader {
 public:
  static Result<std::unique_ptr<EventReader>> open(const ReplayOptions& options,
                                                   const ReplayMap& map) {
    auto rows = RowReader::open(options.file, map);
    if (!rows.ok()) return rows.error();
    return std::make_unique<EventReader>(options, map, std::move(rows.value()));
  }
  EventReader(const ReplayOptions& options, const ReplayMap& map, std::unique_ptr<RowReader> rows)
      : rows_(std::move(rows)),
        events_(map, options.file.substr(options.file.rfind('/') + 1)),
        id_prefix_(options.id_prefix),
        limit_(options.limit) {}

  /// False at the end.
  Result<bool> next(ReplayEvent& event) {
    while (limit_ == 0 || counts_.rows < limit_) {
      auto outcome = rows_->next(row_);
      if (!outcome.ok()) return outcome.error();
      if (outcome.value() == RowReader::Outcome::kEnd) return false;
      ++counts_.rows;
      if (outcome.value() == RowReader::Outcome::kBad) {
        if (counts_.unreadable++ == 0) counts_.first_complaint = rows_->complaint();
        continue;
      }
      switch (events_.make(row_, event)) {
        case RowOutcome::kEvent:
          event.id.insert(0, id_prefix_);
          return true;
        case RowOutcome::kNoUser:
          ++counts_.no_user;
          break;
        case RowOutcome::kNoRule:
          ++counts_.no_rule;
          break;
        case RowOutcome::kBadTime:
          ++counts_.bad_time;
          break;
      }
    }
    return false;
  }
  [[nodiscard]] const RowCounts& counts() const { return counts_; }

 private:
  std::unique_ptr<RowReader> rows_;
  RowEvents events_;
  std::string id_prefix_;
  std::uint64_t limit_;
  Row row_;
  RowCounts counts_;
};

/// A line on a terminal that says how far it is; nothing elsewhere.
class Progress {
 public:
  explicit Progress(std::uint64_t rows_expected)
      : shown_(is_terminal(stderr)), rows_expected_(rows_expected) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(const RowCounts& rows, const SendCounts& sent) {
    if (!shown_ || (sent.sent & 63U) != 0) return;
    const std::int64_t now_ns = steady_ns();
    if (now_ns - last_ns_ < 100'000'000) return;
    last_ns_ = now_ns;
    std::string bar;
    if (rows_expected_ > 0) {
      constexpr std::uint64_t kCells = 30;
      const std::uint64_t full = std::min(kCells, kCells * rows.rows / rows_expected_);
      for (std::uint64_t cell = 0; cell < kCells; ++cell) bar += cell < full ? "█" : "░";
      bar += " ";
    }
    std::fprintf(stderr, "\r\033[K%s%s rows, %s acknowledged", bar.c_str(),
                 human_count(rows.rows).c_str(), human_count(sent.acked).c_str());
    drawn_ = true;
  }
  void clear() {
    if (drawn_) std::fputs("\r\033[K", stderr);
    drawn_ = false;
  }

 private:
  bool shown_;
  bool drawn_ = false;
  std::uint64_t rows_expected_;
  std::int64_t last_ns_ = 0;
};

struct Bulk {
  RowCounts rows;
  SendCounts sent;
  std::int64_t duration_ns = 0;
  std::optional<ReplayEvent> last;
};

/// How far times are moved, and how many rows there are; from a first pass over the file.
struct FirstPass {
  std::int64_t shift_us = 0;
  std::uint64_t rows = 0;
};

Result<FirstPass> first_pass(const ReplayOptions& options, const ReplayMap& map) {
  FirstPass pass;
  if (options.shift.empty()) return pass;
  auto reader = EventReader::open(options, map);
  if (!reader.ok()) return reader.error();
  ReplayEvent event;
  std::int64_t newest_us = INT64_MIN;
  for (;;) {
    auto more = (*reader)->next(event);
    if (!more.ok()) return more.error();
    if (!more.value()) break;
    newest_us = std::max(newest_us, event.time_us);
  }
  pass.rows = (*reader)->counts().rows;
  if (newest_us != INT64_MIN) pass.shift_us = wall_us() - newest_us;
  return pass;
}

Status send_paced(const Pace& pace, std::int64_t begin_ns, std::int64_t begin_us,
                  const ReplayEvent& event, Sender& sender) {
  if (pace.speed > 0) {
    const auto offset_ns = static_cast<std::int64_t>(static_cast<double>(event.time_us - begin_us) *
                                                     1000.0 / pace.speed);
    while (true) {
      const std::int64_t wait_ns = begin_ns + offset_ns - steady_ns();
      if (wait_ns <= 0) break;
      if (wait_ns > 1'000'000) {
        if (Status pushed = sender.push(); !pushed.ok()) return pushed;
      }
      usleep(static_cast<useconds_t>(std::min<std::int64_t>(wait_ns / 1000 + 1, 100'000)));
    }
  }
  return sender.send(event);
}

Status run_bulk(const ReplayOptions& options, const ReplayMap& map, const Pace& pace,
                const FirstPass& first, Sender& sender, Bulk& bulk) {
  auto opened = EventReader::open(options, map);
  if (!opened.ok()) return opened.error();
  EventReader& reader = **opened;
  Shuffle shuffle(pace.shuffle_us, options.seed);
  Progress progress(options.limit != 0 ? options.limit : first.rows);
  const std::int64_t begin_ns = steady_ns();
  std::optional<std::int64_t> begin_us;
  bool more_rows = true;
  while (more_rows) {
    ReplayEvent event;
    auto more = reader.next(event);
    if (!more.ok()) return more.error();
    more_rows = more.value();
    if (more_rows) {
      event.time_us += first.shift_us;
      if (!begin_us) begin_us = event.time_us;
      shuffle.add(std::move(event));
    } else {
      shuffle.end();
    }
    while (std::optional<ReplayEvent> due = shuffle.take()) {
      const Status sent = send_paced(pace, begin_ns, *begin_us, *due, sender);
      bulk.last = std::move(due);
      if (!sent.ok()) return sent;
      progress.update(reader.counts(), sender.counts());
    }
  }
  const Status finished = sender.finish();
  bulk.duration_ns = steady_ns() - begin_ns;
  bulk.rows = reader.counts();
  bulk.sent = sender.counts();
  return finished;
}

double rate_of(const Bulk& bulk) {
  if (bulk.duration_ns <= 0) return 0;
  return static_cast<double>(bulk.sent.acked) * 1e9 / static_cast<double>(bulk.duration_ns);
}

std::string summary_json(const Bulk& bulk, const std::optional<ProbeResult>& probes,
                         const std::string& failure) {
  std::string json = "{";
  const auto count = [&](const char* name, std::uint64_t value) {
    json += (json.size() > 1 ? ",\"" : "\"") + std::string(name) + "\":" + std::to_string(value);
  };
  count("rows", bulk.rows.rows);
  count("sent", bulk.sent.sent);
  count("skipped", bulk.rows.no_user);
  count("no_rule", bulk.rows.no_rule);
  count("bad_time", bulk.rows.bad_time);
  count("unreadable", bulk.rows.unreadable);
  count("acked", bulk.sent.acked);
  count("rejected", bulk.sent.rejected);
  count("resent", bulk.sent.resent);
  json += ",\"rejects\":{";
  bool first = true;
  for (const auto& [code, rejects] : bulk.sent.by_code) {
    if (!first) json.push_back(',');
    first = false;
    append_json_text(json, code);
    json += ":" + std::to_string(rejects);
  }
  json += "},\"ack\":";
  append_json_text(json, bulk.sent.ack_level);
  json += ",\"seconds\":";
  append_json_number(json, static_cast<double>(bulk.duration_ns) / 1e9);
  json += ",\"acked_per_s\":";
  append_json_number(json, rate_of(bulk));
  json += ",\"event_visible\":";
  if (probes) {
    json += "{\"probes\":" + std::to_string(probes->seen) +
            ",\"missed\":" + std::to_string(probes->missed) +
            ",\"p50_ns\":" + std::to_string(probes->p50_ns) +
            ",\"p99_ns\":" + std::to_string(probes->p99_ns) +
            ",\"p999_ns\":" + std::to_string(probes->p999_ns) +
            ",\"max_ns\":" + std::to_string(probes->max_ns) + "}";
  } else {
    json += "null";
  }
  if (!failure.empty()) {
    json += ",\"failure\":";
    append_json_text(json, failure);
  }
  return json + "}\n";
}

std::string summary_text(const ReplayOptions& options, const Bulk& bulk) {
  const auto& rows = bulk.rows;
  std::string text = human_count(rows.rows) + " rows: " + human_count(bulk.sent.sent) + " sent";
  if (rows.no_user > 0) text += ", " + human_count(rows.no_user) + " without a user skipped";
  if (rows.no_rule > 0) text += ", " + human_count(rows.no_rule) + " that no [[event]] is for";
  if (rows.bad_time > 0) text += ", " + human_count(rows.bad_time) + " without a readable time";
  if (rows.unreadable > 0) {
    text += ", " + human_count(rows.unreadable) + " unreadable (" + rows.first_complaint + ")";
  }
  text += "\n" + human_count(bulk.sent.acked) + " acknowledged" +
          (bulk.sent.ack_level.empty() ? "" : " (" + bulk.sent.ack_level + ")") + ", " +
          human_count(bulk.sent.rejected) + " rejected";
  for (const auto& [code, count] : bulk.sent.by_code)
    text += ", " + code + " " + human_count(count);
  if (bulk.sent.resent > 0) text += ", " + human_count(bulk.sent.resent) + " sent again";
  text += "\n" + human_count(static_cast<std::uint64_t>(rate_of(bulk))) +
          " events/s acknowledged over " + options.via + ", in " +
          human_ns(static_cast<std::uint64_t>(bulk.duration_ns)) + "\n";
  return text;
}

std::string probes_text(const ReplayOptions& options, const ProbeResult& probes) {
  if (probes.seen == 0) {
    return "event→visible: no probe was seen; does the file's last event match an event of the "
           "config? See deja errors\n";
  }
  return "event→visible over " + options.via + ": p50 " + human_ns(probes.p50_ns) + ", p99 " +
         human_ns(probes.p99_ns) + ", p99.9 " + human_ns(probes.p999_ns) + ", max " +
         human_ns(probes.max_ns) + "\n  (" + human_count(probes.seen) +
         " probes, one each 2 ms after the replay, as user \"" + kProbeUser +
         "\": from the instant each was due until libdeja showed it" +
         (probes.missed > 0 ? "; " + human_count(probes.missed) + " not within a second" : "") +
         ")\n";
}

}  // namespace

int run_replay(const ReplayOptions& options) {
  const auto pace = pace_of(options);
  if (!pace.ok()) return complain(2, pace.error().message());
  auto map = ReplayMap::load(options.map);
  if (!map.ok()) return complain(1, map.error().message());
  auto target = send_target(options.appliance, options.via, options.to);
  if (!target.ok()) return complain(1, target.error().message());
  const std::string key = resolved_write_key(options.write_key);
  auto sender = options.via == "http" ? make_http_sender(target->address, key)
                                      : make_stream_sender(target->address, key);
  if (!sender.ok()) return complain(1, sender.error().message());
  const auto first = first_pass(options, map.value());
  if (!first.ok()) return complain(1, first.error().message());

  Bulk bulk;
  const Status done = run_bulk(options, map.value(), pace.value(), first.value(), **sender, bulk);
  bulk.sent = (*sender)->counts();
  std::string failure = done.ok() ? "" : done.error().message();
  std::optional<ProbeResult> probes;
  if (done.ok() && options.probes > 0 && target->on_this_host && bulk.last) {
    auto measured = run_probes(
        {options.appliance, options.via, target->address, key, *bulk.last, options.probes});
    if (measured.ok()) {
      probes = measured.value();
    } else {
      failure = measured.error().message();
    }
  }
  if (options.json) {
    std::fputs(summary_json(bulk, probes, failure).c_str(), stdout);
  } else {
    std::fputs(summary_text(options, bulk).c_str(), stdout);
    if (probes) std::fputs(probes_text(options, *probes).c_str(), stdout);
  }
  if (!failure.empty()) return complain(1, failure);
  return bulk.sent.rejected == 0 && bulk.sent.acked == bulk.sent.sent ? 0 : 1;
}

}  // namespace deja
