// The sample config is right, uses every feature type, fits, and means what its tests say.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/tools/config/config_text.h"
#include "tools/config/memory_plan.h"
#include "tools/config/run_tests.h"
#include "tools/config/segment_plan.h"

namespace deja {
namespace {

const std::string kSample = DEJA_SOURCE_DIR "/tools/sample/shop.toml";

TEST(SampleConfig, UsesEveryFeatureTypeWithinThreeKibibytes) {
  const auto result = load_config(kSample, test_options());
  ASSERT_TRUE(std::holds_alternative<Config>(result)) << kSample;
  const Config& config = std::get<Config>(result);
  EXPECT_TRUE(config.warnings.empty());
  std::set<FeatureType> types;
  for (const FeatureConfig& feature : config.features) types.insert(feature.spec.type);
  EXPECT_EQ(types.size(), 12U);
  const MemoryPlan plan = plan_memory(config, segment_plan_of(config, "local"));
  EXPECT_LE(plan.profile_bytes(), 3U * 1024);
  EXPECT_LE(plan.overhead_percent(), 20);

  // Rings, logs and id sets included, on two cores; each further worker has 24 MiB of its own.
  LoadOptions two_cores = test_options();
  two_cores.cpus = {0, 1};
  const Config small = std::get<Config>(load_config(kSample, two_cores));
  const MemoryPlan whole = plan_memory(small, segment_plan_of(small, "local"));
  EXPECT_GE(whole.profiles, 100'000U);
  EXPECT_LE(whole.whole_overhead_percent(), 20);
}

TEST(SampleConfig, PassesItsTests) {
  const auto result = load_config(kSample, test_options());
  ASSERT_TRUE(std::holds_alternative<Config>(result)) << kSample;
  const auto outcomes = run_tests(std::get<Config>(result));
  ASSERT_TRUE(outcomes.ok());
  EXPECT_GE(outcomes.value().size(), 3U);
  for (const TestOutcome& outcome : outcomes.value()) {
    EXPECT_TRUE(outcome.passed()) << outcome.name;
  }
}

}  // namespace
}  // namespace deja
