// deja bench: the appliance it measures on, what it says, and that it leaves nothing behind.
#include "tools/bench/bench.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <sstream>
#include <string>

#include "tests/support/scratch.h"
#include "tools/bench/bench_cores.h"
#include "tools/bench/bench_host.h"
#include "tools/bench/bench_table.h"
#include "tools/bench/measured.h"
#include "tools/bench/scratch_appliance.h"
#include "tools/config/json_value.h"

namespace deja {
namespace {

class Bench : public testing::Test {
 protected:
  Bench() : directory_(make_scratch_directory("deja-unit")) {}
  ~Bench() override { std::filesystem::remove_all(directory_); }
  [[nodiscard]] bool is_empty() const { return std::filesystem::is_empty(directory_); }
  [[nodiscard]] std::unique_ptr<ScratchAppliance> appliance(std::uint64_t profiles) const {
    auto made = ScratchAppliance::make(directory_, profiles);
    EXPECT_TRUE(made.ok()) << made.error().message();
    return std::move(*made);
  }
  const std::string directory_;
};

std::uint64_t sequence_of(const ScratchAppliance& appliance, std::uint64_t user, double* views) {
  ProfileBuffer buffer(appliance.reader());
  const std::string name = ScratchAppliance::user_name(user);
  const deja_key key = deja_user(name.data(), static_cast<std::uint32_t>(name.size()));
  if (deja_get(appliance.reader(), key, buffer.get()) != DEJA_OK) return 0;
  deja_feature feature{};
  EXPECT_EQ(deja_feature_find(appliance.reader(), "views", &feature), DEJA_OK);
  EXPECT_EQ(deja_number(appliance.reader(), buffer.get(), feature, deja_now_us(), views), DEJA_OK);
  return deja_sequence(buffer.get());
}

TEST(Measured, QuantilesAreValuesThatWereSeen) {
  std::vector<double> values{5, 1, 4, 2, 3};
  EXPECT_EQ(median(values), 3);
  EXPECT_EQ(quantile(values, 0), 1);
  EXPECT_EQ(quantile(values, 0.99), 4);
  EXPECT_EQ(quantile(values, 1), 5);
  values.clear();
  EXPECT_EQ(median(values), 0);
}

TEST_F(Bench, ItsApplianceAppliesEventsWhereARendererReadsThem) {
  const auto appliance = this->appliance(1000);
  EXPECT_TRUE(is_empty()) << "its files are gone as soon as they are mapped";
  double views = 0;
  EXPECT_EQ(sequence_of(*appliance, 7, &views), 0U);
  for (int event = 0; event < 100; ++event) ASSERT_TRUE(appliance->put(7));
  const Result<std::int64_t> spent_ns = appliance->run();
  ASSERT_TRUE(spent_ns.ok());
  EXPECT_GT(*spent_ns, 0);
  EXPECT_GE(sequence_of(*appliance, 7, &views), 100U);
  EXPECT_GT(views, 50) << "most events are views";
  EXPECT_EQ(sequence_of(*appliance, 8, &views), 0U);
}

TEST_F(Bench, ItsRingGivesSpaceBackAndItsLogToo) {
  const auto appliance = this->appliance(1000);
  std::uint64_t events = 0;
  // Several times what ring and log hold.
  for (int round = 0; round < 8; ++round) {
    while (appliance->put(events % 1000)) ++events;
    ASSERT_TRUE(appliance->run().ok());
  }
  EXPECT_GT(events, 50'000U);
}

TEST_F(Bench, ItsTableGivesEveryUserAProfile) {
  const auto appliance = this->appliance(1000);
  ASSERT_TRUE(fill_table(*appliance).ok());
  double views = 0;
  for (const std::uint64_t user : {0U, 500U, 999U}) {
    EXPECT_GT(sequence_of(*appliance, user, &views), 0U) << user;
  }
  BenchFindings findings;
  EXPECT_TRUE(measure_reads(*appliance, true, findings).ok());
  EXPECT_EQ(findings.measured.size(), 3U);
}

TEST_F(Bench, ReadingProfilesThatAreNotThereIsAFault) {
  const auto appliance = this->appliance(1000);
  BenchFindings findings;
  EXPECT_FALSE(measure_reads(*appliance, true, findings).ok());
}

TEST_F(Bench, SyncsAreTimedInAFileThatIsGone) {
  BenchFindings findings;
  ASSERT_TRUE(measure_sync(directory_, true, findings).ok());
  EXPECT_TRUE(is_empty());
  ASSERT_EQ(findings.measured.size(), 1U);
  EXPECT_GT(findings.measured[0].value, 0);
  EXPECT_GE(findings.measured[0].p99.value_or(0), findings.measured[0].value);
  const Status refused = measure_sync(directory_ + "/nowhere", true, findings);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("--durability"), std::string::npos);
}

TEST_F(Bench, ItSaysAllOfItAsOneLineOfJson) {
  std::ostringstream out;
  std::ostringstream err;
  ASSERT_EQ(run_bench({directory_, directory_, 1000, true, true}, out, err), 0) << err.str();
  EXPECT_TRUE(is_empty());
  const auto json = parse_json(out.str());
  ASSERT_TRUE(json) << out.str();
  std::set<std::string> names;
  for (const TomlValue& line : json->find("measured")->elements) {
    names.insert(line.find("name")->text);
    EXPECT_GT(line.find("value")->number, 0) << line.find("name")->text;
    EXPECT_FALSE(line.find("means")->text.empty());
  }
  for (const TomlValue& line : json->find("not_measured")->elements) {
    names.insert(line.find("name")->text);
  }
  EXPECT_EQ(names, (std::set<std::string>{"read_independent", "read_serialised", "read_page_of_64",
                                          "worker_rate", "ring_throughput", "ring_round_trip",
                                          "line_round_trip", "wake_up", "clock_monotonic",
                                          "clock_coarse", "copy_bandwidth", "sync"}));
}

TEST_F(Bench, ItSaysEachWithASentenceForPeople) {
  std::ostringstream out;
  std::ostringstream err;
  ASSERT_EQ(run_bench({directory_, directory_, 1000, true, false}, out, err), 0) << err.str();
  EXPECT_NE(out.str().find("the figures mean nothing"), std::string::npos);
  EXPECT_NE(out.str().find("  read a profile  "), std::string::npos);
  EXPECT_NE(out.str().find("  make 4 KiB durable  "), std::string::npos);
  const bool in_memory = directory_.find("/dev/shm/") == 0;
  EXPECT_EQ(out.str().find("lies in memory") != std::string::npos, in_memory) << out.str();
}

TEST_F(Bench, DirectoriesThatCantBeUsedAreSentences) {
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(run_bench({directory_ + "/a", directory_, 1000, true, true}, out, err), 1);
  EXPECT_NE(err.str().find("--directory"), std::string::npos) << err.str();
  err.str("");
  EXPECT_EQ(run_bench({directory_, directory_ + "/b", 1000, true, true}, out, err), 1);
  EXPECT_NE(err.str().find("--durability"), std::string::npos) << err.str();
  EXPECT_EQ(out.str(), "");
  EXPECT_TRUE(is_empty());
}

}  // namespace
}  // namespace deja
