#include "tools/top/frame.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace deja {
namespace {

enum class Look : std::uint8_t { kPlain, kHead, kTitle, kBad };

struct Line {
  std::string text;
  Look look = Look::kPlain;
};

std::string right(const std::string& text, std::size_t columns) {
  const std::size_t have = text_columns(text);
  return have < columns ? std::string(columns - have, ' ') + text : text;
}

/// What fits. A control character, which only a file that somebody spoiled has, becomes '?'.
std::string cut(const std::string& text, std::size_t columns) {
  std::string out;
  std::size_t used = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool begins = (byte & 0xC0U) != 0x80U;
    if (begins && used == columns) break;
    if (begins) ++used;
    out.push_back(byte < 0x20 || byte == 0x7F ? '?' : c);
  }
  return out;
}

std::string rate_text(double rate) {
  if (rate >= 100 || rate == 0) return human_count(static_cast<std::uint64_t>(std::llround(rate)));
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", rate);
  return text;
}

std::string age_text(std::uint64_t age_us) {
  return age_us == 0 ? "-" : human_age(static_cast<std::int64_t>(age_us));
}

Line header(const ApplianceState& state) {
  const std::string_view word = state.state;
  return {state.name + "  " + state.state + ", up " + human_age(state.up_us) + "; " +
              human_count(state.profiles) + " of " + human_count(state.profiles_max) + " profiles",
          word == "serving" ? Look::kHead : Look::kBad};
}

constexpr std::size_t kFirst = 20;
constexpr std::size_t kOther = 12;

std::string row(const std::string& first, const std::vector<std::string>& others) {
  std::string text = padded(first, kFirst);
  for (const std::string& other : others) text += right(other, kOther);
  return text;
}

std::vector<Line> rate_lines(const LookHistory& history) {
  const ApplianceState* before = history.before(kRateUs);
  const auto rates =
      before != nullptr ? rates_between(*before, history.last()) : std::optional<EventRates>();
  const auto text = [&](double EventRates::*rate) {
    return rates ? rate_text((*rates).*rate) : std::string("-");
  };
  return {
      {row("events", {"received", "accepted", "applied", "duplicates", "rejected"}), Look::kTitle},
      {row("a second",
           {text(&EventRates::received), text(&EventRates::accepted), text(&EventRates::applied),
            text(&EventRates::duplicate), text(&EventRates::rejected)})}};
}

std::string fill_text(double fill) {
  constexpr int kCells = 10;
  const int full = std::clamp(static_cast<int>(std::lround(fill * kCells)), 0, kCells);
  char percent[16];
  std::snprintf(percent, sizeof percent, " %3.0f %%", fill * 100);
  return "   [" + std::string(static_cast<std::size_t>(full), '#') +
         std::string(static_cast<std::size_t>(kCells - full), '.') + "]" + percent;
}

Line queue_line(const Lag& lag) {
  constexpr double kFillBad = 0.5;
  return {
      row(lag.name,
          {human_count(lag.waiting_records),
           age_text(static_cast<std::uint64_t>(std::max<std::int64_t>(0, lag.oldest_age_us)))}) +
          fill_text(lag.fill()),
      lag.fill() > kFillBad ? Look::kBad : Look::kPlain};
}

/// The rings and logs that `rows_max` lines have room for: all, or the fullest and how many more.
std::vector<Line> queue_lines(const ApplianceState& state, std::size_t rows_max) {
  std::vector<Lag> lags = state.rings;
  lags.insert(lags.end(), state.logs.begin(), state.logs.end());
  std::vector<Line> lines;
  const bool all = lags.size() <= rows_max;
  if (!all) {
    std::stable_sort(lags.begin(), lags.end(), [](const Lag& a, const Lag& b) {
      return a.fill() != b.fill() ? a.fill() > b.fill() : a.oldest_age_us > b.oldest_age_us;
    });
  }
  const std::size_t shown = all ? lags.size() : std::max<std::size_t>(rows_max, 1) - 1;
  for (std::size_t at = 0; at < shown; ++at) lines.push_back(queue_line(lags[at]));
  if (!all) lines.push_back({"and " + human_count(lags.size() - shown) + " that are less full"});
  return lines;
}

std::vector<Line> store_lines(const ApplianceState& state) {
  const char* journal = "";
  if (state.journal == JournalState::kFull) journal = "   its disk is full";
  if (state.journal == JournalState::kFailed) journal = "   its disk refuses writes";
  if (state.journal == JournalState::kStarting) journal = "   not written yet";
  return {
      {row("journal", {human_count(state.journal_lag_events), age_text(state.journal_lag_us)}) +
           journal,
       *journal != '\0' ? Look::kBad : Look::kPlain},
      {row("redis", {human_count(state.flush_lag_events), age_text(state.flush_lag_us)}) +
           (state.redis_connected ? "" : "   away"),
       state.redis_connected ? Look::kPlain : Look::kBad},
  };
}

/// Of the stages that `rows_max` lines leave room for: all, or the most telling. `lists` lines more
/// are wanted for queues and processes, which need some of them more than stages do.
void keep_stages(std::vector<StageLatency>& latencies, std::size_t rows_max, std::size_t lists) {
  if (rows_max >= latencies.size() + lists) return;
  constexpr std::size_t kListRows = 6;
  const std::size_t room = rows_max > kListRows ? rows_max - kListRows : 1;
  std::vector<unsigned> ranks;
  for (const StageLatency& latency : latencies) {
    if (latency.rank < kEventStages) ranks.push_back(latency.rank);
  }
  std::sort(ranks.begin(), ranks.end());
  if (ranks.size() > room) ranks.resize(room);
  std::erase_if(latencies, [&](const StageLatency& latency) {
    return ranks.empty() || latency.rank > ranks.back();
  });
}

std::vector<Line> latency_lines(const std::vector<StageLatency>& latencies, const char* title) {
  std::vector<Line> lines = {{row(title, {"count", "p50", "p99", "p99.9"}), Look::kTitle}};
  for (const StageLatency& latency : latencies) {
    const HistogramCopy& copy = latency.copy;
    const auto percentile = [&](double fraction) {
      return copy.count == 0 ? std::string("-") : human_ns(copy.quantile(fraction));
    };
    lines.push_back({row(latency.stage, {human_count(copy.count), percentile(0.5), percentile(0.99),
                                         percentile(0.999)})});
  }
  return lines;
}

std::vector<Line> process_lines(const ApplianceState& state, std::size_t rows_max) {
  std::vector<const ProcessView*> processes;
  for (const ProcessView& process : state.processes) processes.push_back(&process);
  const bool all = processes.size() <= rows_max;
  if (!all) {
    std::stable_sort(processes.begin(), processes.end(),
                     [&](const ProcessView* a, const ProcessView* b) {
                       return health_of(*a, state.now_us) > health_of(*b, state.now_us);
                     });
  }
  const std::size_t shown = all ? processes.size() : std::max<std::size_t>(rows_max, 1) - 1;
  std::vector<Line> lines;
  for (std::size_t at = 0; at < shown; ++at) {
    const ProcessView& process = *processes[at];
    const Health health = health_of(process, state.now_us);
    const std::int64_t silent_us = std::max<std::int64_t>(1, state.now_us - process.heartbeat_us);
    lines.push_back({row(process.name, {health_word(health), human_age(silent_us) + " ago",
                                        human_age(state.now_us - process.started_us),
                                        human_count(process.starts), std::to_string(process.pid)}),
                     health == Health::kAlive ? Look::kPlain : Look::kBad});
  }
  if (!all) lines.push_back({"and " + human_count(processes.size() - shown) + " that do no worse"});
  return lines;
}

void append(std::vector<Line>& to, std::vector<Line> lines) {
  to.insert(to.end(), std::make_move_iterator(lines.begin()), std::make_move_iterator(lines.end()));
}

}  // namespace

std::vector<std::string> frame_lines(const LookHistory& history, TerminalSize size,
                                     const Style& style, std::string_view trouble) {
  const ApplianceState& state = history.last();
  const std::size_t queues = state.rings.size() + state.logs.size();
  const std::size_t processes = state.processes.size();

  // Header, rates, three titles, journal and Redis: what has no list to shorten.
  const std::size_t fixed = (trouble.empty() ? 0 : 1) + 1 + 2 + 1 + 2 + 1 + 1;
  std::size_t room = size.rows > fixed ? size.rows - fixed : 0;
  const ApplianceState* before = history.before(kLatencyUs);
  std::vector<StageLatency> latencies = latencies_between(before, history.last());
  keep_stages(latencies, room, queues + processes);
  room -= std::min(room, latencies.size());
  constexpr std::size_t kGaps = 4;
  const bool gaps = room >= queues + processes + kGaps;
  if (gaps) room -= kGaps;
  // Half each; what one does not need is the other's.
  const std::size_t for_processes =
      std::min(processes, std::max(room / 2, room > queues ? room - queues : 0));
  const std::size_t for_queues = std::min(queues, room - std::min(room, for_processes));

  std::vector<Line> lines;
  const auto gap = [&] {
    if (gaps) lines.emplace_back();
  };
  if (!trouble.empty()) lines.push_back({std::string(trouble), Look::kBad});
  lines.push_back(header(state));
  gap();
  append(lines, rate_lines(history));
  gap();
  lines.push_back({row("lag", {"waiting", "oldest"}) + "   fill", Look::kTitle});
  append(lines, queue_lines(state, for_queues));
  append(lines, store_lines(state));
  gap();
  append(lines, latency_lines(latencies,
                              before != nullptr ? "latency, last 10 s" : "latency, since start"));
  gap();
  lines.push_back({row("process", {"state", "heartbeat", "up", "lives", "pid"}), Look::kTitle});
  append(lines, process_lines(state, for_processes));
  if (lines.size() > size.rows) lines.resize(size.rows);

  std::vector<std::string> out;
  for (const Line& line : lines) {
    const char* colour = line.look == Look::kBad     ? style.red
                         : line.look == Look::kHead  ? style.bold
                         : line.look == Look::kTitle ? style.dim
                                                     : "";
    const std::string text = cut(line.text, size.columns);
    out.push_back(*colour == '\0' ? text : colour + text + style.plain);
  }
  return out;
}

}  // namespace deja
