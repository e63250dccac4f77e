// What measuring is made of, on recorded texts: counts of a core, causes, other tools' output,
// the report and the plot.
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>

#include "tests/tuning/fake_host.h"
#include "tuning/measure/cause.h"
#include "tuning/measure/interference.h"
#include "tuning/measure/plot.h"
#include "tuning/measure/probe.h"
#include "tuning/measure/report.h"
#include "tuning/measure/run_tool.h"
#include "tuning/measure/tool_output.h"

namespace deja::tuning {
namespace {

constexpr const char* kInterrupts =
    "           CPU0       CPU2       \n"
    " 24:          1          7  IO-APIC   5-edge      ACPI:Ged\n"
    " 41:       1683         12 PCI-MSIX-0000:00:04.0   1-edge      virtio3-rx\n"
    "LOC:      65772      72110   Local timer interrupts\n"
    "ERR:          0\n"
    " bad line\n"
    "NMI:          x          y   Non-maskable interrupts\n";

TEST(Interference, IsTheColumnOfTheCoreByItsNameNotItsPlace) {
  const Counts counts = counts_of_core(kInterrupts, 2);
  EXPECT_EQ(counts, (Counts{{"24 ACPI:Ged", 7}, {"41 virtio3-rx", 12}, {"LOC", 72110}}));
  EXPECT_EQ(counts_of_core(kInterrupts, 0).at("LOC"), 65772U);
  EXPECT_TRUE(counts_of_core(kInterrupts, 1).empty());
  EXPECT_TRUE(counts_of_core("", 0).empty());
}

TEST(Interference, StealIsOfTheCoreAndNotOfOneThatBeginsLikeIt) {
  const char* stat =
      "cpu  1 2 3 4 5 6 7 80 9 10\ncpu1 1 2 3 4 5 6 7 8 9 10\n"
      "cpu10 1 2 3 4 5 6 7 99 9 10\nintr 5\n";
  EXPECT_EQ(steal_of_core(stat, 1), 8U);
  EXPECT_EQ(steal_of_core(stat, 10), 99U);
  EXPECT_EQ(steal_of_core(stat, 2), 0U);
  EXPECT_EQ(steal_of_core("cpu1 1 2\n", 1), 0U);
}

TEST(Interference, GrowsAndNeverShrinks) {
  const Interference grown =
      growth({{{"LOC", 5}, {"41 x", 9}}, {}, 4}, {{{"LOC", 7}, {"41 x", 3}, {"NMI", 1}}, {}, 2});
  EXPECT_EQ(grown.interrupts, (Counts{{"LOC", 2}, {"NMI", 1}}));
  EXPECT_EQ(grown.steal_ticks, 0U);
}

TEST(Cause, TheThreadsOwnCountsComeFirstThenTheRarestOfTheCores) {
  Around around;
  around.length_ns = 100'000;
  EXPECT_EQ(cause_of(around), "unknown");
  around.core.interrupts = {{"LOC", 25}};
  EXPECT_EQ(cause_of(around), "tick");
  around.core.softirqs = {{"TIMER", 3}, {"NET_RX", 1}};
  EXPECT_EQ(cause_of(around), "softirq NET_RX");
  around.core.interrupts["41 virtio3-rx"] = 9;
  around.core.interrupts["NMI"] = 1;
  EXPECT_EQ(cause_of(around), "interrupt NMI");
  around.core.steal_ticks = 1;
  EXPECT_EQ(cause_of(around), "stolen by the hypervisor");
  around.run_delay_ns = 49'999;
  EXPECT_EQ(cause_of(around), "stolen by the hypervisor");
  around.run_delay_ns = 50'001;
  EXPECT_EQ(cause_of(around), "preemption");
  around.minor_faults = 1;
  EXPECT_EQ(cause_of(around), "fault");
}

TEST(ToolOutput, OfCyclictestIsReadThreadByThread) {
  const auto lines = read_cyclictest(
      "# /dev/cpu_dma_latency set to 0us\n"
      "T: 0 (12345) P:80 I:1000 C:   1000 Min:      9 Act:   20 Avg:   18 Max:      71\n"
      "T: 1 (12346) P:80 I:1000 C:   1000 Min:      8 Act:   20 Avg:   17 Max:     492\n"
      "T: 2 (12347) P:80 I:1000 C:   1000 Min:      8 Act:   20 Avg:   17 Max:     492\n"
      "T: x garbage\nT:\n",
      {3, 5});
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].core, 3);
  EXPECT_EQ(lines[1].core, 5);
  EXPECT_EQ(lines[1].values.at("max_us"), 492);
  EXPECT_EQ(lines[0].values.at("min_us"), 9);
}

TEST(ToolOutput, OfOsnoiseIsReadRowByRow) {
  const auto lines = read_osnoise(
      "                                          Operating System Noise\n"
      "duration:   0 00:00:10 | time is in us\n"
      "CPU Period       Runtime        Noise  % CPU Aval   Max Noise   Max Single          HW      "
      "    "
      "NMI          IRQ      Softirq       Thread\n"
      "  4 #9          8100000        12345    99.84759        2411          153         102       "
      "     0  "
      "       8123          411           17\n"
      "  5 #9          8100000            0   100.00000           0            0           0       "
      "     0  "
      "          0            0            0\n"
      "  6 #9          8100000\n");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].core, 4);
  EXPECT_EQ(lines[0].values.at("noise_us"), 12345);
  EXPECT_EQ(lines[0].values.at("max_single_us"), 153);
  EXPECT_EQ(lines[0].values.at("irq"), 8123);
  EXPECT_EQ(lines[0].values.at("thread"), 17);
}

TEST(ToolOutput, OfTimerlatIsReadRowByRow) {
  const auto lines = read_timerlat(
      "                                     Timer Latency\n"
      "  0 00:00:10   |          IRQ Timer Latency (us)        |         Thread Timer Latency "
      "(us)\n"
      "CPU COUNT      |      cur       min       avg       max |      cur       min       avg      "
      " max\n"
      "  4 #9998      |        1         0         1        15 |        7         3         5      "
      "  63\n"
      "  5 #9998      |        -         -         -         - |        -         -         -      "
      "   -\n");
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].core, 4);
  EXPECT_EQ(lines[0].values.at("irq_max_us"), 15);
  EXPECT_EQ(lines[0].values.at("thread_max_us"), 63);
}

TEST(RunProgram, GivesWhatItSaidOrWhyNot) {
  EXPECT_EQ(*run_program({"sh", "-c", "echo out; echo err >&2"}, 10), "out\nerr\n");
  const auto failed = run_program({"sh", "-c", "echo no such thing; exit 3"}, 10);
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().message().find("no such thing"), std::string::npos);
  EXPECT_FALSE(run_program({"deja-no-such-program"}, 10).ok());
}

TEST(RunProgram, EndsWhatSaysTooMuch) {
  EXPECT_FALSE(
      run_program({"sh", "-c", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done"}, 60)
          .ok());
}

TEST(MeasureWithTools, SaysWhatCouldNotBeHad) {
  const FakeHost host;
  Measurement measurement;
  measure_with_tools(host.tree(), "none", {0}, 1, measurement);
  EXPECT_TRUE(measurement.notes.empty() && measurement.tools.empty());
}

Probe probe_of(std::initializer_list<std::uint64_t> values) {
  Probe probe;
  probe.latency.counts.resize(kHistogramBuckets);
  for (const std::uint64_t value : values) {
    ++probe.latency.counts[histogram_bucket(value)];
    ++probe.latency.count;
    probe.latency.sum += value;
    probe.latency.max = std::max(probe.latency.max, value);
  }
  probe.watched_ns = 1'000'000'000;
  probe.causes = {{"tick", 3}, {"interrupt 41 <x>", 2}};
  return probe;
}

std::vector<Measurement> before_and_after() {
  Measurement before;
  before.label = "before";
  before.cores.push_back({4, true, probe_of({1000, 2000, 80'000}), probe_of({5000})});
  before.cores.push_back({5, false, probe_of({4000}), probe_of({})});
  Measurement after = before;
  after.label = "after";
  after.cores[0].wake = probe_of({500, 1000, 20'000});
  after.notes = {"no \"rtla\""};
  after.tools.push_back({"cyclictest", 4, {{"max_us", 12}}});
  return {before, after};
}

TEST(Report, ComparesTheLastWithTheFirst) {
  const std::string text = report_text(before_and_after());
  EXPECT_NE(text.find("after ÷ before"), std::string::npos);
  EXPECT_NE(text.find("worst 0.25"), std::string::npos) << text;
  EXPECT_NE(text.find("tick 3, interrupt 41 <x> 2"), std::string::npos);
  EXPECT_NE(text.find("could not be pinned"), std::string::npos);
  EXPECT_NE(text.find("cyclictest, core 4: max_us 12"), std::string::npos);
}

TEST(Report, OfNothingIsStillAReport) {
  Measurement empty;
  empty.label = "x";
  EXPECT_FALSE(report_text({empty, empty}).empty());
  EXPECT_NE(plot_svg({empty}).find("</svg>"), std::string::npos);
}

TEST(Plot, HasALineForEachLabelInBothPanels) {
  std::vector<Measurement> both = before_and_after();
  both[1].label = "<after>";
  const std::string svg = plot_svg(both);
  std::size_t lines = 0;
  for (std::size_t at = svg.find("<title>"); at != std::string::npos;
       at = svg.find("<title>", at + 1)) {
    ++lines;
  }
  EXPECT_EQ(lines, 4U);
  EXPECT_EQ(svg.find("<after>"), std::string::npos);
  EXPECT_NE(svg.find("&lt;after&gt; (4)"), std::string::npos);
}

TEST(Probe, MeasuresTheCoreThatItIsOn) {
  const auto measured = probe_cores({sched_getcpu()}, 0.2);
  ASSERT_EQ(measured.size(), 1U);
  EXPECT_TRUE(measured[0].is_pinned);
  EXPECT_GT(measured[0].wake.latency.count, 0U);
  EXPECT_GT(measured[0].jitter.watched_ns, 0U);
  std::uint64_t explained = 0;
  for (const auto& [cause, count] : measured[0].jitter.causes) explained += count;
  EXPECT_LE(explained, measured[0].jitter.latency.count);
  EXPECT_LE(measured[0].jitter.worst.size(), explained);
}

}  // namespace
}  // namespace deja::tuning
