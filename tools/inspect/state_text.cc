// `deja stat` for a person.
#include <cstdio>

#include "tools/cli/terminal.h"
#include "tools/inspect/appliance_state.h"

namespace deja {
namespace {

std::string lag_line(const Lag& lag) {
  std::string text = padded(lag.name, 12) + human_count(lag.waiting_records) + " waiting, " +
                     human_bytes(lag.waiting_bytes) + " of " + human_bytes(lag.capacity_bytes);
  if (lag.oldest_age_us > 0) text += ", the oldest for " + human_age(lag.oldest_age_us);
  return text;
}

bool is_seconds(const std::string& name) {
  return counter_family(name).ends_with("_seconds");
}

std::string journal_text(const ApplianceState& state, const Style& style) {
  const std::string red(style.red);
  switch (state.journal) {
    case JournalState::kWriting:
      return "written, " + human_count(state.journal_segments) + " segments, " +
             human_count(state.journal_lag_events) + " events not on the disk" +
             (state.journal_lag_us > 0
                  ? ", the oldest for " + human_age(static_cast<std::int64_t>(state.journal_lag_us))
                  : "");
    case JournalState::kFull:
      return red + "its disk is full: durable acks are refused until it has room" + style.plain;
    case JournalState::kFailed:
      return red + "its disk refuses writes: durable acks are refused (deja errors)" + style.plain;
    case JournalState::kStarting:
      break;
  }
  return std::string(style.yellow) + "not written yet: durable acks wait" + style.plain;
}

}  // namespace

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
  if (std::string_view(state.state) == "unsupervised") {
    text += std::string(style.red) + "  its supervisor is gone, the others serve on: " +
            "start deja serve again, it adopts them" + style.plain + "\n";
  } else if (state.heartbeat_age_us > kSilentUs) {
    text += std::string(style.red) + "  its supervisor gave no sign of life for " +
            human_age(state.heartbeat_age_us) + "; start deja serve again" + style.plain + "\n";
  }
  row("profiles", human_count(state.profiles) + " of " + human_count(state.profiles_max) +
                      (state.partial > 0 ? ", " + human_count(state.partial) +
                                               " of them with a part still in the store"
                                         : ""));

  const EventTotals& totals = state.totals;
  part("events");
  char rate[48];
  std::snprintf(rate, sizeof rate, "  (%.4g/s since the start)", state.rate_of(totals.received));
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
  row("journal", journal_text(state, style));
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
    switch (health_of(process, state.now_us)) {
      case Health::kGone:
        line += std::string(style.red) + ", gone; its last sign of life was " + human_age(age_us) +
                " ago" + style.plain;
        break;
      case Health::kSilent:
        line += std::string(style.red) + ", no sign of life for " + human_age(age_us) + style.plain;
        break;
      case Health::kRestarted:
        line += std::string(style.red) + ", the one before it ended " +
                human_age(state.now_us - process.started_us) + " ago" + style.plain;
        break;
      case Health::kAlive:
        break;
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
