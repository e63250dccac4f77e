// Counters, histograms and errors of a process, written by one mapping and read by another.
#include "shm/process_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <thread>
#include <vector>

namespace deja {
namespace {

class ProcessFileTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/deja-process-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    directory_ = path;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string path() const { return directory_ + "/process-test"; }
  [[nodiscard]] MappedFile create() const {
    MappedFile::Create options;
    options.path = path();
    options.bytes = ProcessFile::file_bytes();
    return std::move(*MappedFile::create(options));
  }
  [[nodiscard]] ProcessView view() const { return *ProcessView::read(path()); }

  std::string directory_;
};

TEST_F(ProcessFileTest, ACounterOfOneNameIsOneCounterAcrossLives) {
  {
    ProcessFile first(create(), "test");
    first.counter("deja_x_total").add(3);
    EXPECT_EQ(first.counter("deja_x_total").value(), 3U);
    first.gauge("deja_y").set(9);
  }
  Result<MappedFile> again = MappedFile::open(path(), MappedFile::Mode::kReadWrite);
  ASSERT_TRUE(again.ok());
  ProcessFile second(std::move(*again), "test");
  second.counter("deja_x_total").add(2);
  const ProcessView seen = view();
  EXPECT_EQ(seen.name, "test");
  EXPECT_EQ(seen.starts, 2U);
  EXPECT_EQ(seen.pid, getpid());
  ASSERT_EQ(seen.counters.size(), 2U);
  EXPECT_EQ(seen.counters[0].name, "deja_x_total");
  EXPECT_EQ(seen.counters[0].value, 5U);
  EXPECT_FALSE(seen.counters[0].is_gauge);
  EXPECT_TRUE(seen.counters[1].is_gauge);
}

TEST_F(ProcessFileTest, ThreadsMayShareAHistogram) {
  constexpr std::uint64_t kThreads = 4;
  constexpr std::uint64_t kTimes = 500'000;
  ProcessFile process(create(), "test");
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&process, thread] {
      Histogram histogram = process.histogram("deja_x_seconds");
      for (std::uint64_t value = 1; value <= kTimes; ++value) {
        histogram.record_shared(value * kThreads + thread, 2);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const HistogramCopy seen = view().histograms.at(0).copy;
  EXPECT_EQ(seen.count, 2 * kThreads * kTimes);
  EXPECT_EQ(seen.max, kTimes * kThreads + kThreads - 1);
  std::uint64_t sum = 0;
  for (std::uint64_t value = kThreads; value <= seen.max; ++value) sum += 2 * value;
  EXPECT_EQ(seen.sum, sum);
}

TEST_F(ProcessFileTest, CountersBeyondTheFileShareOneThatSaysSo) {
  ProcessFile process(create(), "test");
  for (std::uint32_t number = 0; number < kCountersMax + 20; ++number) {
    process.counter("deja_" + std::to_string(number) + "_total").add();
  }
  const ProcessView seen = view();
  ASSERT_EQ(seen.counters.size(), kCountersMax);
  EXPECT_EQ(seen.counters.back().name, "deja_counters_overflowed_total");
  EXPECT_EQ(seen.counters.back().value, 21U);
}

TEST_F(ProcessFileTest, ErrorsAreDistinctAndCounted) {
  ProcessFile process(create(), "test");
  for (int times = 0; times < 5; ++times) process.error("no event matches 'Product Veiwed'");
  process.error("another");
  process.error(std::string(1000, 'x'));
  process.error(std::string(1000, 'x'));
  for (std::uint32_t number = 0; number < 2 * kErrorsMax; ++number) {
    process.error("error " + std::to_string(number));
  }
  const ProcessView seen = view();
  ASSERT_EQ(seen.errors.size(), kErrorsMax);
  EXPECT_EQ(seen.errors[0].count, 5U);
  EXPECT_LE(seen.errors[0].first_us, seen.errors[0].last_us);
  EXPECT_EQ(seen.errors[2].count, 2U);
  EXPECT_EQ(seen.errors.back().text, "further distinct errors");
  std::uint64_t total = 0;
  for (const auto& error : seen.errors) total += error.count;
  EXPECT_EQ(total, 8U + 2U * kErrorsMax);
}

TEST_F(ProcessFileTest, AFileOfGarbageIsReadWithoutHarm) {
  MappedFile file = create();
  std::mt19937_64 random(7);
  for (std::uint64_t at = 0; at < file.bytes(); at += 8) *file.at<std::uint64_t>(at) = random();
  EXPECT_EQ(view().pid, 0);  // no magic: nothing is believed
  file.at<ProcessHeaderLayout>()->magic = kProcessMagic;
  const ProcessView seen = view();
  for (const auto& counter : seen.counters) EXPECT_LE(counter.name.size(), 112U);
  for (const auto& error : seen.errors) EXPECT_LE(error.text.size(), 224U);
  EXPECT_LE(seen.counters.size(), kCountersMax);
}

TEST(Histogram, BucketsAreThreePercentWideAndInOrder) {
  std::uint32_t last = 0;
  for (std::uint64_t value = 0; value < 1'000'000; value += 1 + value / 64) {
    const std::uint32_t bucket = histogram_bucket(value);
    EXPECT_GE(bucket, last);
    last = bucket;
    EXPECT_LE(histogram_lower_bound(bucket), value);
    EXPECT_GT(histogram_lower_bound(bucket + 1), value);
    EXPECT_LE(histogram_lower_bound(bucket + 1) - histogram_lower_bound(bucket), 1 + value / 31);
  }
  EXPECT_EQ(histogram_bucket(~0ULL), kHistogramBuckets - 1);
}

TEST(Histogram, QuantilesAgreeWithSortingWithinAStep) {
  auto layout = std::make_unique<HistogramLayout>();
  Histogram histogram(layout.get());
  std::mt19937_64 random(11);
  std::lognormal_distribution<double> latencies(9, 2);
  std::vector<std::uint64_t> values;
  for (int count = 0; count < 20'000; ++count) {
    values.push_back(static_cast<std::uint64_t>(latencies(random)));
    histogram.record(values.back());
  }
  std::sort(values.begin(), values.end());
  const HistogramCopy copy = HistogramCopy::of(*layout);
  EXPECT_EQ(copy.count, values.size());
  EXPECT_EQ(copy.max, values.back());
  for (const double fraction : {0.0, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto exact = static_cast<double>(
        values[static_cast<std::size_t>(fraction * static_cast<double>(values.size() - 1))]);
    EXPECT_NEAR(static_cast<double>(copy.quantile(fraction)), exact, 1 + exact * 0.035) << fraction;
  }
  EXPECT_EQ(HistogramCopy{}.quantile(0.5), 0U);
}

}  // namespace
}  // namespace deja
