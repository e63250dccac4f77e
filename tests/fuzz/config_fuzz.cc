// A config: an input is a TOML file. One that is wrong names every mistake with a place that the
// file has. One that is right has a plan: a catalog that the engine, the keeper and a segment take,
// sizes that add up, and tests that run.
#include <capnp/serialize.h>

#include <algorithm>
#include <string>

#include "shm/table_layout.h"
#include "tests/fuzz/fuzz.h"
#include "tools/config/catalog_builder.h"
#include "tools/config/load_config.h"
#include "tools/config/memory_plan.h"
#include "tools/config/run_tests.h"
#include "tools/config/segment_plan.h"
#include "tools/config/settings_builder.h"
#include "workers/features/feature_set.h"
#include "workers/keeper/stored_catalog.h"

namespace deja::fuzz {
namespace {

constexpr std::uint64_t kTestEventsMax = 5000;  // more cost time and say nothing new

LoadOptions host() {
  LoadOptions options;
  options.cpus = {0, 1, 2, 3};
  options.environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "DEJA_WRITE_KEY") return "secret";
    return std::nullopt;
  };
  return options;
}

void check_mistakes(const std::vector<ConfigError>& errors, std::string_view document) {
  CHECK(!errors.empty());
  const auto lines =
      static_cast<std::uint32_t>(1 + std::count(document.begin(), document.end(), '\n'));
  for (const ConfigError& error : errors) {
    CHECK(!error.message().empty());
    CHECK(error.line <= lines + 1);
  }
}

void check_plan(const Config& config) {
  const kj::Array<capnp::word> words = build_catalog(config);
  const auto bytes = words.asChars();
  const Result<StoredCatalog> stored = StoredCatalog::parse({bytes.begin(), bytes.size()});
  CHECK(stored.ok() && stored->features.size() == config.features.size());
  capnp::FlatArrayMessageReader message(words.asPtr());
  const Result<FeatureSet> features = FeatureSet::compile(message.getRoot<schema::Catalog>());
  CHECK(features.ok());
  CHECK(features->frame_bytes() == config.frame_bytes &&
        config.frame_bytes <= kProfileFrameBytesMax);

  const SegmentPlan segment = segment_plan_of(config, "redis://127.0.0.1:6379/0");
  CHECK(geometry_is_sane(segment.geometry()));
  const MemoryPlan plan = plan_memory(config, segment);
  CHECK(plan.whole_bytes >= plan.table_bytes);
  CHECK(plan.table_bytes >= plan.profiles * plan.profile_bytes());
  CHECK(plan.table_bytes / plan.geometry.shard_count == plan.geometry.shard_bytes());
  CHECK(plan.overhead_percent() >= 0 && plan.whole_overhead_percent() >= 0);
  for (const SegmentFile& file : segment.files) CHECK(file.bytes > 0 && file.bytes < 1ULL << 60U);
}

void check_tests(const Config& config) {
  std::uint64_t events = 0;
  for (const TestConfig& test : config.tests) {
    for (const SentEvent& sent : test.send) events += sent.count;
  }
  if (events > kTestEventsMax) return;
  const Result<std::vector<TestOutcome>> outcomes = run_tests(config);
  CHECK(outcomes.ok() && outcomes->size() == config.tests.size());
}

void run(std::string_view document) {
  const auto loaded = load_config_text(document, "shop.toml", host());
  if (const auto* errors = std::get_if<std::vector<ConfigError>>(&loaded)) {
    return check_mistakes(*errors, document);
  }
  const Config& config = std::get<Config>(loaded);
  check_plan(config);
  check_tests(config);
}

}  // namespace
}  // namespace deja::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  deja::fuzz::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
