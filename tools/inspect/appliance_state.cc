#include "tools/inspect/appliance_state.h"

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string_view>

#include "shm/base/clock.h"
#include "shm/json_text.h"
#include "tools/cli/terminal.h"

namespace deja {
namespace {

const char* state_name(SegmentState state) {
  switch (state) {
    case SegmentState::kStarting:
      return "starting";
    case SegmentState::kServing:
      return "serving";
    case SegmentState::kDraining:
      return "draining";
    case SegmentState::kStopped:
      return "stopped";
    case SegmentState::kSuperseded:
      return "superseded";
  }
  return "unknown";
}

constexpr std::int64_t kSilenceUs = 10'000'000;

/// What nobody ended while whoever looks after it is gone: "unsupervised" where its other processes
/// go on without, "abandoned" where none of them shows a sign of life. nullptr: it is looked after.
const char* orphan_state(const SuperblockLayout& superblock, const ApplianceState& state) {
  const SegmentState said = superblock.state.load(std::memory_order_acquire);
  if (said == SegmentState::kStopped || said == SegmentState::kSuperseded) return nullptr;
  const auto is_gone = [&](std::int64_t pid, std::int64_t heartbeat_us) {
    // Without a process, or, where nobody buries it, without the sign of life due every second.
    return (kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) ||
           state.now_us - heartbeat_us > kSilenceUs;
  };
  std::int64_t supervisor_pid = superblock.supervisor_pid;  // the first; its successors adopted
  bool others = false;
  for (const ProcessView& process : state.processes) {
    if (process.name == "supervisor") {
      supervisor_pid = process.pid;
    } else if (!is_gone(process.pid, process.heartbeat_us)) {
      others = true;
    }
  }
  if (!is_gone(supervisor_pid, superblock.heartbeat_us.load(std::memory_order_relaxed))) {
    return nullptr;
  }
  return others ? "unsupervised" : "abandoned";
}

/// Writes members of objects with their commas.
class Json {
 public:
  void open(const char* name, char bracket) {
    key(name);
    text_.push_back(bracket);
    fresh_ = true;
  }
  void close(char bracket) {
    text_.push_back(bracket);
    fresh_ = false;
  }
  void number(const char* name, double value) {
    key(name);
    append_json_number(text_, value);
  }
  void count(const char* name, std::uint64_t value) {
    key(name);
    text_ += std::to_string(value);
  }
  void truth(const char* name, bool value) {
    key(name);
    text_ += value ? "true" : "false";
  }
  void text(const char* name, const std::string& value) {
    key(name);
    append_json_text(text_, value);
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  void key(const char* name) {
    if (!fresh_) text_.push_back(',');
    fresh_ = false;
    if (name == nullptr) return;
    append_json_text(text_, name);
    text_.push_back(':');
  }
  std::string text_;
  bool fresh_ = true;
};

void write_lags(Json& json, const char* name, const std::vector<Lag>& lags) {
  json.open(name, '[');
  for (const Lag& lag : lags) {
    json.open(nullptr, '{');
    json.text("name", lag.name);
    json.count("waiting_bytes", lag.waiting_bytes);
    json.count("capacity_bytes", lag.capacity_bytes);
    json.number("fill", lag.fill());
    json.count("oldest_age_us", static_cast<std::uint64_t>(lag.oldest_age_us));
    json.close('}');
  }
  json.close(']');
}

void write_process(Json& json, const ProcessView& process, std::int64_t now_us) {
  json.open(nullptr, '{');
  json.text("name", process.name);
  json.count("pid", static_cast<std::uint64_t>(process.pid));
  json.count("starts", process.starts);
  json.number("up_s", static_cast<double>(now_us - process.started_us) / 1e6);
  json.number("heartbeat_age_us", static_cast<double>(now_us - process.heartbeat_us));
  json.open("counters", '{');
  for (const auto& counter : process.counters) json.count(counter.name.c_str(), counter.value);
  json.close('}');
  json.open("histograms", '{');
  for (const auto& histogram : process.histograms) {
    json.open(histogram.name.c_str(), '{');
    json.count("count", histogram.copy.count);
    json.count("p50_ns", histogram.copy.quantile(0.5));
    json.count("p99_ns", histogram.copy.quantile(0.99));
    json.count("p999_ns", histogram.copy.quantile(0.999));
    json.count("max_ns", histogram.copy.max);
    json.close('}');
  }
  json.close('}');
  json.close('}');
}

double rate_of(std::uint64_t count, std::int64_t up_us) {
  return up_us <= 0 ? 0 : static_cast<double>(count) / (static_cast<double>(up_us) / 1e6);
}

std::string lag_line(const Lag& lag) {
  std::string text = padded(lag.name, 12) + human_bytes(lag.waiting_bytes) + " of " +
                     human_bytes(lag.capacity_bytes) + " waiting";
  if (lag.oldest_age_us > 0) text += ", the oldest for " + human_age(lag.oldest_age_us);
  return text;
}

bool is_seconds(const std::string& name) {
  return counter_family(name).ends_with("_seconds");
}

}  // namespace

ApplianceState gather_state(const Segment& segment, const std::string& path) {
  ApplianceState state;
  const SuperblockLayout& superblock = segment.superblock();
  state.name.assign(superblock.appliance,
                    strnlen(superblock.appliance, sizeof superblock.appliance));
  state.segment = path;
  state.state = state_name(superblock.state.load(std::memory_order_acquire));
  state.incarnation = superblock.incarnation;
  state.now_us = wall_us();
  state.up_us = state.now_us - superblock.created_us;
  state.heartbeat_age_us = state.now_us - superblock.heartbeat_us.load(std::memory_order_relaxed);
  state.rings = ring_lags(segment, state.now_us);
  state.logs = log_lags(segment, state.now_us);
  state.processes = read_processes(segment);
  if (const char* orphaned = orphan_state(superblock, state)) state.state = orphaned;
  state.totals = event_totals(state.processes);
  std::map<std::string, std::uint64_t> codes;
  for (const ProcessView& process : state.processes) {
    for (const auto& counter : process.counters) {
      if (counter_family(counter.name) != "deja_events_rejected_total" || counter.value == 0) {
        continue;
      }
      codes[std::string(label_of(counter.name, "code"))] += counter.value;
    }
  }
  state.rejected.assign(codes.begin(), codes.end());
  state.profiles = sum_of(state.processes, "deja_profiles");
  state.profiles_max =
      std::uint64_t{superblock.blocks_per_shard - superblock.reuse_blocks} * superblock.shard_count;
  state.flush_lag_events = sum_of(state.processes, "deja_flush_lag_events");
  state.flush_lag_us = sum_of(state.processes, "deja_flush_lag_microseconds");
  state.redis_connected = sum_of(state.processes, "deja_redis_connected") != 0;
  auto report = StartReport::read(segment.path("report"));
  if (report.ok()) state.report = std::move(report.value());
  for (const ProcessView& process : state.processes) {
    for (const auto& counter : process.counters) {
      if (counter.name == "deja_io_backend{kind=\"epoll\"}" && counter.value != 0) {
        state.report.notes.push_back(process.name +
                                     " uses epoll in place of io_uring; deja serve's log says why");
      }
      if (counter_family(counter.name) != "deja_thread_not_pinned" || counter.value == 0) continue;
      const std::string thread(label_of(counter.name, "thread"));
      state.report.notes.push_back(process.name + (thread.empty() ? "" : " thread " + thread) +
                                   " could not be pinned to its core and may run on any");
    }
  }
  return state;
}

std::string state_json(const ApplianceState& state) {
  Json json;
  json.open(nullptr, '{');
  json.text("name", state.name);
  json.text("segment", state.segment);
  json.text("state", state.state);
  json.count("incarnation", state.incarnation);
  json.number("up_s", static_cast<double>(state.up_us) / 1e6);
  json.number("heartbeat_age_us", static_cast<double>(state.heartbeat_age_us));
  json.count("profiles", state.profiles);
  json.count("profiles_max", state.profiles_max);
  const EventTotals& totals = state.totals;
  json.open("totals", '{');
  json.count("received", totals.received);
  json.count("applied", totals.applied);
  json.count("duplicate", totals.duplicate);
  json.count("unmatched", totals.unmatched);
  json.count("alias", totals.alias);
  json.count("abandoned", totals.abandoned);
  json.count("rejected", totals.rejected);
  json.count("dead", totals.dead);
  json.number("on_their_way",
              static_cast<double>(totals.received) - static_cast<double>(totals.accounted()));
  json.close('}');
  json.open("rejected", '{');
  for (const auto& [code, count] : state.rejected) json.count(code.c_str(), count);
  json.close('}');
  json.open("rates_per_s", '{');
  json.number("received", rate_of(totals.received, state.up_us));
  json.number("applied", rate_of(totals.applied, state.up_us));
  json.close('}');
  write_lags(json, "rings", state.rings);
  write_lags(json, "logs", state.logs);
  json.open("redis", '{');
  json.truth("connected", state.redis_connected);
  json.count("flush_lag_events", state.flush_lag_events);
  json.count("flush_lag_us", state.flush_lag_us);
  json.close('}');
  json.open("processes", '[');
  for (const ProcessView& process : state.processes) write_process(json, process, state.now_us);
  json.close(']');
  json.open("start", '{');
  json.text("http", state.report.http);
  json.open("streams", '[');
  for (const std::string& stream : state.report.streams) json.text(nullptr, stream);
  json.close(']');
  json.text("console", state.report.console);
  json.text("features", state.report.features);
  json.open("notes", '[');
  for (const std::string& note : state.report.notes) json.text(nullptr, note);
  json.close(']');
  json.close('}');
  json.close('}');
  std::string text = json.take();
  return text.front() == ',' ? text.substr(1) : text;
}

std::string state_text(const ApplianceState& state, const Style& style) {
  std::string text;
  const auto row = [&](const std::string& key, const std::string& value) {
    text += "  " + padded(key, 12) + value + "\n";
  };
  const auto part = [&](const char* title) {
    text += std::string(style.bold) + title + style.plain + "\n";
  };
  text += std::string(style.bold) + state.name + style.plain + " is " + state.state + ", up " +
          human_age(state.up_us) + "\n";
  constexpr std::int64_t kHeartbeatUsMax = 2'000'000;
  if (std::string_view(state.state) == "unsupervised") {
    text += std::string(style.red) + "  its supervisor is gone, the others serve on: " +
            "start deja serve again, it adopts them" + style.plain + "\n";
  } else if (state.heartbeat_age_us > kHeartbeatUsMax) {
    text += std::string(style.red) + "  its supervisor gave no sign of life for " +
            human_age(state.heartbeat_age_us) + "; start deja serve again" + style.plain + "\n";
  }
  row("profiles", human_count(state.profiles) + " of " + human_count(state.profiles_max));

  const EventTotals& totals = state.totals;
  part("events");
  char rate[48];
  std::snprintf(rate, sizeof rate, "  (%.4g/s since the start)",
                rate_of(totals.received, state.up_us));
  row("received", human_count(totals.received) + rate);
  row("applied", human_count(totals.applied));
  row("duplicate", human_count(totals.duplicate));
  row("unmatched",
      human_count(totals.unmatched) + (totals.unmatched > 0 ? "  (deja errors names them)" : ""));
  row("alias", human_count(totals.alias));
  if (totals.abandoned > 0) {
    row("abandoned",
        human_count(totals.abandoned) +
            "  (unanswered when an ingest was killed; their producers send them again)");
  }
  std::string codes;
  for (const auto& [code, count] : state.rejected) {
    codes += (codes.empty() ? "  (" : ", ") + code + " " + human_count(count);
  }
  row("rejected", human_count(totals.rejected) + codes + (codes.empty() ? "" : ")"));
  row("dead", human_count(totals.dead) + (totals.dead > 0 ? "  (deja dlq list names them)" : ""));
  if (totals.received >= totals.accounted()) {
    const std::uint64_t way = totals.received - totals.accounted();
    row("sum", way == 0 ? std::string("every event received is in one of these")
                        : human_count(way) + " on their way");
  } else {
    row("sum", std::string(style.yellow) + human_count(totals.accounted() - totals.received) +
                   " more ended than were received: a process was killed between the two" +
                   style.plain);
  }

  part("lag");
  for (const Lag& lag : state.rings) text += "  " + lag_line(lag) + "\n";
  for (const Lag& lag : state.logs) text += "  " + lag_line(lag) + "\n";
  row("redis",
      (state.redis_connected ? std::string("connected, ")
                             : std::string(style.red) + "away" + style.plain + ", ") +
          human_count(state.flush_lag_events) + " events not flushed" +
          (state.flush_lag_us > 0
               ? ", the oldest for " + human_age(static_cast<std::int64_t>(state.flush_lag_us))
               : ""));

  part("latency");
  for (const ProcessView& process : state.processes) {
    for (const auto& histogram : process.histograms) {
      if (histogram.copy.count == 0 || !is_seconds(histogram.name)) continue;
      row(process.name, histogram.name + ": p50 " + human_ns(histogram.copy.quantile(0.5)) +
                            ", p99 " + human_ns(histogram.copy.quantile(0.99)) + ", p99.9 " +
                            human_ns(histogram.copy.quantile(0.999)) + ", max " +
                            human_ns(histogram.copy.max));
    }
  }

  part("processes");
  for (const ProcessView& process : state.processes) {
    const std::int64_t age_us = state.now_us - process.heartbeat_us;
    std::string line = "process " + padded(std::to_string(process.pid), 8) + "up " +
                       human_age(state.now_us - process.started_us);
    if (process.starts > 1) line += ", started " + std::to_string(process.starts) + " times";
    if (age_us > kHeartbeatUsMax) {
      line += std::string(style.red) + ", no sign of life for " + human_age(age_us) + style.plain;
    }
    row(process.name, line);
  }

  part("given at the start");
  if (!state.report.http.empty()) row("http", state.report.http);
  for (const std::string& stream : state.report.streams) row("stream", stream);
  if (!state.report.console.empty()) row("console", state.report.console);
  if (!state.report.features.empty()) row("features", state.report.features);
  for (const std::string& note : state.report.notes) row("note", note);
  return text;
}

}  // namespace deja
