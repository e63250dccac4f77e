// What is built from a config: the catalog, the settings, and what a change of config means.
#include <capnp/serialize.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "shm/catalog.capnp.h"
#include "shm/columns/column_size.h"
#include "shm/settings.capnp.h"
#include "tests/tools/config/config_text.h"
#include "tools/config/catalog_builder.h"
#include "tools/config/compare_catalogs.h"
#include "tools/config/settings_builder.h"
#include "workers/features/feature_set.h"

namespace deja {
namespace {

const std::string kShop = kNamed + R"([events]
view = { track = "Viewed", item = "properties.id", tag = "properties.tags[].t" }
home = { page = "*" }
[features]
)";
const std::string kCount = "views = { type = 'count', event = 'view', window = '1h' }\n";
const std::string kTop =
    "taste = { type = 'top', event = 'view', of = 'item', where = \"item != 'x'\", half_life = "
    "'3d', weights = { view = 4 } }\n";
const std::string kTrait = "plan = { type = 'trait', of = 'traits.plan' }\n";

/// Segments of a flat message, and whether its table says its length exactly.
void expect_single_segment(const kj::Array<capnp::word>& words) {
  std::uint32_t table[2];
  ASSERT_GE(words.size(), 1U);
  std::memcpy(table, words.begin(), sizeof table);
  EXPECT_EQ(table[0], 0U);  // segments - 1
  EXPECT_EQ(table[1], words.size() - 1);
}

TEST(CatalogBuilder, SaysAllOfTheConfig) {
  const Config config = loaded(kShop + kCount + kTop + kTrait);
  const kj::Array<capnp::word> words = build_catalog(config);
  expect_single_segment(words);
  capnp::FlatArrayMessageReader message(words.asPtr());
  const auto catalog = message.getRoot<schema::Catalog>();
  EXPECT_EQ(std::string(catalog.getAppliance().cStr()), "shop");
  EXPECT_EQ(catalog.getKeyBytes(), 64U);
  EXPECT_EQ(catalog.getFrameBytes(), config.frame_bytes);

  ASSERT_EQ(catalog.getEvents().size(), 3U);
  const auto view = catalog.getEvents()[0];
  EXPECT_EQ(std::string(view.getName().cStr()), "view");
  EXPECT_EQ(view.getCall(), schema::Call::TRACK);
  EXPECT_EQ(std::string(view.getMatch().cStr()), "Viewed");
  ASSERT_EQ(view.getFields().size(), 2U);
  EXPECT_EQ(std::string(view.getFields()[1].getName().cStr()), "tag");
  EXPECT_EQ(view.getFields()[1].getSlot(), 1);
  const auto identify = catalog.getEvents()[2];
  EXPECT_EQ(std::string(identify.getName().cStr()), "$identify");
  EXPECT_EQ(identify.getCall(), schema::Call::IDENTIFY);
  EXPECT_EQ(std::string(identify.getMatch().cStr()), "*");

  ASSERT_EQ(catalog.getSlots().size(), 3U);
  EXPECT_EQ(std::string(catalog.getSlots()[1].getPath().cStr()), "properties.tags[].t");
  EXPECT_EQ(catalog.getSlots()[1].getRoot(), 1);
  EXPECT_EQ(std::string(catalog.getSlots()[2].getPath().cStr()), "traits.plan");

  ASSERT_EQ(catalog.getFeatures().size(), 3U);
  const auto top = catalog.getFeatures()[1];
  EXPECT_EQ(top.getType(), schema::FeatureType::TOP);
  EXPECT_EQ(top.getHalfLifeUs(), std::int64_t{3} * 86'400 * 1'000'000);
  EXPECT_EQ(top.getKeep(), 8U);
  EXPECT_EQ(top.getTrack(), 32U);
  EXPECT_EQ(top.getTextBytes(), 48U);
  EXPECT_EQ(std::string(top.getOf().cStr()), "item");
  EXPECT_EQ(std::string(top.getWhere().cStr()), "item != 'x'");
  ASSERT_EQ(top.getSources().size(), 1U);
  EXPECT_EQ(top.getSources()[0].getWeight(), 4);
  EXPECT_NE(top.getDefinition(), 0U);
  for (const auto feature : catalog.getFeatures()) {
    EXPECT_TRUE(column_fits(feature_spec(feature), catalog.getFrameBytes()));
  }
}

TEST(CatalogBuilder, MakesWhatTheWorkersCompile) {
  const Config config = loaded(kShop + kCount + kTop + kTrait);
  const kj::Array<capnp::word> words = build_catalog(config);
  capnp::FlatArrayMessageReader message(words.asPtr());
  EXPECT_TRUE(FeatureSet::compile(message.getRoot<schema::Catalog>()).ok());
}

TEST(CatalogBuilder, StaysOneSegmentHoweverLargeItIs) {
  std::string text = kNamed + "[events]\n";
  for (int event = 0; event < 63; ++event) {
    text += "e" + std::to_string(event) + " = { track = '" + std::string(250, 'n') + "'";
    for (int field = 0; field < 100; ++field) {
      const std::string name = "field_with_a_rather_long_name_" + std::to_string(field);
      text += ", " + name + " = 'properties." + name + "'";
    }
    text += " }\n";
  }
  const kj::Array<capnp::word> words = build_catalog(loaded(text));
  EXPECT_GT(words.size(), std::size_t{1} << 14U);  // more than the first try has room for
  expect_single_segment(words);
  capnp::FlatArrayMessageReader message(words.asPtr());
  EXPECT_EQ(message.getRoot<schema::Catalog>().getEvents()[62].getFields().size(), 100U);
}

TEST(SettingsBuilder, SaysWhatChildrenNeed) {
  const Config config = loaded(R"(
[appliance]
name = "shop"
huge_pages = "require"
[cpu]
ingest = [1]
workers = [2, 3]
wait = "spin"
[listen]
write_keys = ["env:DEJA_WRITE_KEY"]
read_keys = ["r"]
[durability]
dedup_window = 5000
group_commit = "3ms"
)");
  const kj::Array<capnp::word> words = build_settings(config, "unix:///run/redis.sock");
  expect_single_segment(words);
  capnp::FlatArrayMessageReader message(words.asPtr());
  const auto settings = message.getRoot<schema::Settings>();
  EXPECT_EQ(std::string(settings.getAppliance().cStr()), "shop");
  ASSERT_EQ(settings.getWorkerCpus().size(), 2U);
  EXPECT_EQ(settings.getIngestCpus()[0], 1);
  EXPECT_EQ(settings.getWorkerCpus()[1], 3);
  EXPECT_EQ(settings.getWait(), schema::Wait::SPIN);
  EXPECT_EQ(std::string(settings.getHttp().cStr()), "127.0.0.1:8080");
  EXPECT_EQ(std::string(settings.getStreams()[0].cStr()), "127.0.0.1:7400");
  EXPECT_EQ(std::string(settings.getConsole().cStr()), "127.0.0.1:8081");
  EXPECT_EQ(std::string(settings.getWriteKeys()[0].cStr()), "secret");
  EXPECT_EQ(std::string(settings.getReadKeys()[0].cStr()), "r");
  EXPECT_EQ(settings.getAck(), schema::AckLevel::DURABLE);
  EXPECT_EQ(settings.getDedupWindow(), 5'000U);
  EXPECT_EQ(settings.getMaxFutureUs(), 300'000'000);
  EXPECT_EQ(std::string(settings.getRedisUrl().cStr()), "unix:///run/redis.sock");
  EXPECT_EQ(settings.getFlushEveryUs(), 200'000);
  EXPECT_EQ(settings.getLossWindowUs(), 60'000'000);
  EXPECT_EQ(std::string(settings.getDurabilityDirectory().cStr()), "/var/lib/deja/shop");
  EXPECT_EQ(settings.getHugePages(), schema::HugePages::REQUIRE);
  EXPECT_EQ(settings.getRingBytes(), 4U << 20U);
  EXPECT_EQ(settings.getLogBytes(), 16U << 20U);
  EXPECT_EQ(settings.getReturnBytes(), 4U << 20U);
  EXPECT_EQ(settings.getVerdictBytes(), 64U << 10U);
  EXPECT_EQ(settings.getFullRingWaitUs(), 1'000'000);
  EXPECT_EQ(settings.getGroupCommitUs(), 3'000);
}

std::string changes(const std::string& before, const std::string& after) {
  const kj::Array<capnp::word> old_words = build_catalog(loaded(before));
  const kj::Array<capnp::word> new_words = build_catalog(loaded(after));
  capnp::FlatArrayMessageReader old_message(old_words.asPtr());
  capnp::FlatArrayMessageReader new_message(new_words.asPtr());
  return changes_text(compare_catalogs(old_message.getRoot<schema::Catalog>(),
                                       new_message.getRoot<schema::Catalog>()));
}

TEST(CompareCatalogs, KeepsWhatIsDefinedAsBefore) {
  EXPECT_EQ(changes(kShop + kCount + kTop, kShop + kTop + kCount), "keeps taste, views");
  EXPECT_EQ(changes(kShop + kCount + kTrait, kShop + kTrait), "keeps plan; drops views");
}

TEST(CompareCatalogs, StartsNewAndChangedFeaturesEmpty) {
  EXPECT_EQ(changes(kShop + kCount, kShop + kCount + kTrait),
            "keeps views; starts empty: plan (new)");
  EXPECT_EQ(changes(kShop + kCount + kTop,
                    kShop + "views = { type = 'count', event = 'view', window = '2h' }\n" + kTop),
            "keeps taste; starts empty: views (changed)");
  EXPECT_EQ(changes(kShop + kCount, kShop), "drops views");
}

}  // namespace
}  // namespace deja
