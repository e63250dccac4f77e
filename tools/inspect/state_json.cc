// `deja stat --json`.
#include "shm/json_text.h"
#include "tools/inspect/appliance_state.h"

namespace deja {
namespace {

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
    json.count("waiting_records", lag.waiting_records);
    json.count("waiting_bytes", lag.waiting_bytes);
    json.count("capacity_bytes", lag.capacity_bytes);
    json.number("fill", lag.fill());
    json.count("oldest_age_us", static_cast<std::uint64_t>(lag.oldest_age_us));
    json.close('}');
  }
  json.close(']');
}

/// Those that hold something, each as [what all in it lie below, how many]: who has two of these
/// documents has the percentiles of the time between them.
void write_buckets(Json& json, const HistogramCopy& copy) {
  json.open("buckets_ns", '[');
  for (std::uint32_t bucket = 0; bucket < copy.counts.size(); ++bucket) {
    if (copy.counts[bucket] == 0) continue;
    json.open(nullptr, '[');
    json.count(nullptr, histogram_lower_bound(bucket + 1));
    json.count(nullptr, copy.counts[bucket]);
    json.close(']');
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
  json.text("health", health_word(health_of(process, now_us)));
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
    write_buckets(json, histogram.copy);
    json.close('}');
  }
  json.close('}');
  json.close('}');
}

const char* journal_word(JournalState state) {
  switch (state) {
    case JournalState::kWriting:
      return "writing";
    case JournalState::kFull:
      return "full";
    case JournalState::kFailed:
      return "failed";
    case JournalState::kStarting:
      break;
  }
  return "starting";
}

}  // namespace

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
  json.count("profiles_partial", state.partial);
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
  json.number("received", state.rate_of(totals.received));
  json.number("applied", state.rate_of(totals.applied));
  json.close('}');
  write_lags(json, "rings", state.rings);
  write_lags(json, "logs", state.logs);
  json.open("journal", '{');
  json.text("state", journal_word(state.journal));
  json.count("segments", state.journal_segments);
  json.count("lag_events", state.journal_lag_events);
  json.count("lag_us", state.journal_lag_us);
  json.close('}');
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

}  // namespace deja
