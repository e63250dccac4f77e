#include "tools/top/frame.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <utility>

namespace deja {
namespace {

ApplianceState look_at(std::int64_t up_us, std::uint64_t received, std::size_t workers) {
  ApplianceState state;
  state.name = "shop";
  state.state = "serving";
  state.now_us = 1'000'000'000 + up_us;
  state.up_us = up_us;
  state.journal = JournalState::kWriting;
  state.redis_connected = true;
  state.totals.received = received;
  state.totals.rejected = received / 10;
  for (std::size_t at = 0; at < workers; ++at) {
    Lag lag;
    lag.name = "ring-0-" + std::to_string(at);
    lag.capacity_bytes = 100;
    lag.waiting_bytes = at;
    state.rings.push_back(lag);
    ProcessView process;
    process.name = "worker-" + std::to_string(at);
    process.pid = getpid();
    process.heartbeat_us = state.now_us;
    state.processes.push_back(process);
  }
  return state;
}

ProcessView::NamedHistogram timed(const std::string& name, std::uint64_t value_ns,
                                  std::uint64_t count) {
  ProcessView::NamedHistogram histogram;
  histogram.name = name;
  histogram.copy.counts.resize(kHistogramBuckets);
  histogram.copy.counts[histogram_bucket(value_ns)] = count;
  histogram.copy.count = count;
  histogram.copy.max = value_ns;
  return histogram;
}

ProcessView::NamedHistogram visible(std::uint64_t value_ns, std::uint64_t count) {
  return timed("deja_event_visible_seconds", value_ns, count);
}

std::string text_of(const LookHistory& history, TerminalSize size, const Style& style = {}) {
  std::string text;
  for (const std::string& line : frame_lines(history, size, style, "")) text += line + "\n";
  return text;
}

TEST(Figures, RatesAreOfTheTimeBetweenTwoLooksOfOneIncarnation) {
  const ApplianceState before = look_at(1'000'000, 100, 1);
  ApplianceState after = look_at(3'000'000, 300, 1);
  const auto rates = rates_between(before, after);
  ASSERT_TRUE(rates);
  EXPECT_DOUBLE_EQ(rates->received, 100);
  EXPECT_DOUBLE_EQ(rates->accepted, 90);
  EXPECT_DOUBLE_EQ(rates->rejected, 10);
  EXPECT_DOUBLE_EQ(rates_between(after, look_at(4'000'000, 7, 1))->received, 0);
  EXPECT_FALSE(rates_between(after, before));
  after.incarnation = 8;
  EXPECT_FALSE(rates_between(before, after));
}

TEST(Figures, LatenciesAreOfTheTimeBetweenTwoLooksOverAllProcesses) {
  ApplianceState before = look_at(1'000'000, 0, 2);
  ApplianceState after = look_at(2'000'000, 0, 2);
  before.processes[0].histograms = {visible(1'000'000, 500)};
  after.processes[0].histograms = {visible(1'000'000, 500)};
  after.processes[1].histograms = {visible(2'000, 7)};
  const auto latencies = latencies_between(&before, after);
  ASSERT_EQ(latencies.size(), 1U);
  EXPECT_STREQ(latencies[0].stage, "receive → visible");
  EXPECT_EQ(latencies[0].copy.count, 7U);
  EXPECT_NEAR(static_cast<double>(latencies[0].copy.quantile(0.99)), 2'000, 100);
  EXPECT_EQ(latencies_between(nullptr, after)[0].copy.count, 507U);
}

TEST(LookHistory, KeepsAWhileAndBeginsAnewWithAnIncarnation) {
  LookHistory history(10'000'000);
  for (std::int64_t second = 0; second <= 30; ++second) {
    history.add(look_at(second * 1'000'000, 0, 0));
    if (second == 0) {
      EXPECT_EQ(history.before(1), nullptr);
    }
  }
  EXPECT_EQ(history.before(3'000'000)->up_us, 27'000'000);
  EXPECT_EQ(history.before(1'000'000'000)->up_us, 19'000'000);
  history.add(look_at(1, 0, 0));
  EXPECT_EQ(history.before(1), nullptr);
}

TEST(Frame, FitsWhateverTheSizeAndHowManyThereAre) {
  const Style red{.red = "\033[31m", .plain = "\033[0m"};
  for (const std::size_t workers : {0U, 1U, 4U, 64U}) {
    LookHistory history(kLatencyUs);
    history.add(look_at(1'000'000, 100, workers));
    history.add(look_at(2'000'000, 1'234'567'890, workers));
    for (std::size_t rows = 1; rows < 100; ++rows) {
      for (const std::size_t columns : {1U, 17U, 80U}) {
        const auto lines = frame_lines(history, {columns, rows}, red, "no news");
        EXPECT_LE(lines.size(), rows);
        EXPECT_EQ(lines[0], "\033[31m" + std::string("no news").substr(0, columns) + "\033[0m");
        for (const std::string& line : lines) EXPECT_LE(text_columns(line), columns + 9);
      }
    }
  }
}

TEST(Frame, SaysOfWhichTimeItsLatenciesAre) {
  LookHistory history(kLatencyUs);
  history.add(look_at(60'000'000, 0, 1));
  EXPECT_NE(text_of(history, {80, 24}).find("\nlatency, since start "), std::string::npos);
  history.add(look_at(61'000'000, 0, 1));
  EXPECT_NE(text_of(history, {80, 24}).find("\nlatency, last 10 s "), std::string::npos);
}

TEST(Frame, LeavesOutFirstWhoIsWell) {
  ApplianceState state = look_at(2'000'000, 0, 64);
  state.processes[40].heartbeat_us -= 2 * kSilentUs;
  LookHistory history(kLatencyUs);
  history.add(std::move(state));
  const std::string text = text_of(history, {80, 24});
  EXPECT_NE(text.find("\nring-0-63 "), std::string::npos) << text;
  EXPECT_EQ(text.find("\nring-0-0 "), std::string::npos) << text;
  EXPECT_NE(text.find("\nworker-40 "), std::string::npos) << text;
  EXPECT_NE(text.find(" that are less full\n"), std::string::npos) << text;
  EXPECT_NE(text.find(" that do no worse\n"), std::string::npos) << text;
}

TEST(Frame, LeavesOutWhatIsNoStageOfAnEventsWayBeforeItsStages) {
  const std::string stages[] = {"receive → commit",  "commit → applied", "receive → visible",
                                "applied → durable", "durable → acked",  "applied → in Redis"};
  ApplianceState state = look_at(2'000'000, 0, 3);
  for (const char* stage : {"receive_commit", "commit_applied", "applied_durable", "durable_acked",
                            "applied_flushed"}) {
    state.processes[0].histograms.push_back(
        timed("deja_event_stage_seconds{stage=\"" + std::string(stage) + "\"}", 1'000, 1));
  }
  for (const char* name :
       {"deja_event_visible_seconds", "deja_worker_batch_seconds", "deja_flush_seconds"}) {
    state.processes[0].histograms.push_back(timed(name, 1'000, 1));
  }
  LookHistory history(kLatencyUs);
  history.add(std::move(state));
  const auto shown = [&](std::size_t rows) {
    const std::string text = text_of(history, {80, rows});
    std::string found;
    for (const std::string& stage : stages) {
      found += text.find("\n" + stage) != std::string::npos ? 'x' : '.';
    }
    return found + (text.find("\na worker's batch") != std::string::npos ? 'x' : '.') +
           (text.find("\na write to Redis") != std::string::npos ? 'x' : '.');
  };
  // 8 lines have no list to shorten; three rings and three processes.
  EXPECT_EQ(shown(8 + 6 + 8), "xxxxxxxx");
  EXPECT_EQ(shown(8 + 6 + 7), "xxxxxx..");
  EXPECT_EQ(shown(8 + 6 + 3), ".xxx....");
  EXPECT_EQ(shown(8 + 6 + 1), "..x.....");
  EXPECT_EQ(shown(8 + 2), "..x.....");
}

TEST(Frame, LetsNoControlCharacterThrough) {
  ApplianceState state = look_at(2'000'000, 0, 1);
  state.processes[0].name = "w\033[2J\n";
  LookHistory history(kLatencyUs);
  history.add(std::move(state));
  const std::string text = text_of(history, {80, 24});
  EXPECT_NE(text.find("\nw?[2J? "), std::string::npos) << text;
}

}  // namespace
}  // namespace deja
