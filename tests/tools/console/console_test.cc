#include <gtest/gtest.h>

#include <string>

#include "tools/console/console_request.h"
#include "tools/console/prometheus.h"

namespace deja {
namespace {

TEST(ConsoleRequest, DecodesPercentAndRefusesABrokenEscape) {
  EXPECT_EQ(percent_decoded("anon:x%2F1"), "anon:x/1");
  EXPECT_EQ(percent_decoded("a+b"), "a+b");
  EXPECT_EQ(percent_decoded("%e2%82%AC"), "\xe2\x82\xac");
  EXPECT_FALSE(percent_decoded("%"));
  EXPECT_FALSE(percent_decoded("%4"));
  EXPECT_FALSE(percent_decoded("%zz"));
}

TEST(ConsoleRequest, FindsAValueByItsWholeName) {
  EXPECT_EQ(query_value("fields=a,b&at=-2h", "at"), "-2h");
  EXPECT_EQ(query_value("xat=1&at=2", "at"), "2");
  EXPECT_EQ(query_value("at", "at"), "");
  EXPECT_FALSE(query_value("fields=a", "at"));
  EXPECT_FALSE(query_value("", "at"));
}

TEST(ConsoleRequest, SplitsFieldsAndReadsABearer) {
  EXPECT_EQ(comma_separated("a,,b,"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(bearer_key("bearer k"), "k");
  EXPECT_EQ(bearer_key("Basic k"), "");
  EXPECT_EQ(bearer_key(""), "");
}

ProcessView process_with(std::uint64_t value_ns, std::uint64_t count) {
  ProcessView process;
  process.name = "worker-0";
  process.counters = {{"deja_x_total{code=\"a\"}", 3, false}, {"deja_y", 4, true}};
  ProcessView::NamedHistogram histogram;
  histogram.name = "deja_z_seconds";
  histogram.copy.counts.resize(kHistogramBuckets);
  histogram.copy.counts[histogram_bucket(value_ns)] = count;
  histogram.copy.count = count;
  histogram.copy.sum = value_ns * count;
  process.histograms = {histogram};
  return process;
}

TEST(Prometheus, WritesEachFamilyOnceWithItsTypeAndProcess) {
  const ProcessView process = process_with(1500, 2);
  const std::string text = prometheus_text({process, process}, {}, SegmentState::kServing);
  EXPECT_NE(text.find("# TYPE deja_x_total counter\n"
                      "deja_x_total{process=\"worker-0\",code=\"a\"} 3\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("# TYPE deja_y gauge\ndeja_y{process=\"worker-0\"} 4\n"), std::string::npos);
  EXPECT_EQ(text.find("# TYPE deja_x_total"), text.rfind("# TYPE deja_x_total"));
}

TEST(Prometheus, AccumulatesBucketsUpToTheBoundThatAllOfThemLieBelow) {
  const std::string text = prometheus_text({process_with(1500, 2)}, {}, SegmentState::kServing);
  EXPECT_NE(text.find("deja_z_seconds_bucket{process=\"worker-0\",le=\"1e-06\"} 0\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("deja_z_seconds_bucket{process=\"worker-0\",le=\"2e-06\"} 2\n"),
            std::string::npos);
  EXPECT_NE(text.find("deja_z_seconds_bucket{process=\"worker-0\",le=\"+Inf\"} 2\n"),
            std::string::npos);
  EXPECT_NE(text.find("deja_z_seconds_sum{process=\"worker-0\"} 3e-06\n"), std::string::npos);
  EXPECT_NE(text.find("deja_z_seconds_count{process=\"worker-0\"} 2\n"), std::string::npos);
}

TEST(Prometheus, SaysMicrosecondsInSeconds) {
  ProcessView process;
  process.name = "keeper";
  process.counters = {{"deja_flush_lag_microseconds", 1'500'000, true}};
  const std::string text = prometheus_text({process}, {}, SegmentState::kServing);
  EXPECT_NE(text.find("# TYPE deja_flush_lag_seconds gauge\n"
                      "deja_flush_lag_seconds{process=\"keeper\"} 1.5\n"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("microseconds"), std::string::npos);
}

TEST(Prometheus, LeavesOutANameThatIsNone) {
  ProcessView process;
  process.name = "w\"1\n";
  process.counters = {{"not a name", 1, false}, {"0x", 1, false}, {"", 1, false}};
  const std::string text = prometheus_text({process}, {}, SegmentState::kServing);
  EXPECT_EQ(text.find("not a name"), std::string::npos);
  EXPECT_NE(text.find("process=\"w\\\"1\\n\""), std::string::npos) << text;
}

TEST(Prometheus, LeavesOutLabelsThatAreNone) {
  ProcessView process;
  process.name = "ingest";
  for (const char* labels : {
           "{",
           "{a}",
           "{a=}",
           "{a=\"b}",
           "{a=\"b\"",
           "{a=\"b\",}",
           "{a=\"b\"c=\"d\"}",
           "{=\"b\"}",
           "{1a=\"b\"}",
           "{a=\"b\",a=\"c\"}",
           "{a=\"\\t\"}",
           "{a=\"b\\\"}",
           "{a=\"\x80\"}",
           "{process=\"keeper\"}",
           "{le=\"1\"}",
           "{a=\"b\"} 1\ndeja_redis_connected{process=\"keeper\"}",
       }) {
    process.counters = {{"deja_x_total" + std::string(labels), 1, false}};
    process.histograms.clear();
    ProcessView::NamedHistogram histogram;
    histogram.name = "deja_z_seconds" + std::string(labels);
    histogram.copy.counts.resize(kHistogramBuckets);
    process.histograms = {histogram};
    const std::string text = prometheus_text({process}, {}, SegmentState::kServing);
    EXPECT_EQ(text.find("deja_x_total"), std::string::npos) << labels;
    EXPECT_EQ(text.find("deja_z_seconds"), std::string::npos) << labels;
    EXPECT_EQ(text.find("keeper"), std::string::npos) << labels;
  }
  for (const char* labels : {"{}", "{a=\"\"}", "{a=\"\\\\ \\\" \\n\",b_1=\"~ {}\"}"}) {
    process.counters = {{"deja_x_total" + std::string(labels), 1, false}};
    EXPECT_NE(
        prometheus_text({process}, {}, SegmentState::kServing).find("\ndeja_x_total{process="),
        std::string::npos)
        << labels;
  }
}

TEST(Prometheus, SaysThatItDrains) {
  const auto says = [](SegmentState state) {
    const std::string text = prometheus_text({}, {}, state);
    return text.substr(text.find("\ndeja_draining ") + 1, 15);
  };
  EXPECT_EQ(says(SegmentState::kServing), "deja_draining 0");
  EXPECT_EQ(says(SegmentState::kDraining), "deja_draining 1");
  EXPECT_EQ(says(SegmentState::kDrained), "deja_draining 1");
}

}  // namespace
}  // namespace deja
