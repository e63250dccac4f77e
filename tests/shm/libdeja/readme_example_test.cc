// The example of the READMEs, compiled and run. The text between the two marks is the READMEs' to
// the letter; the last test holds them together.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

// [example
#include <cstdio>

#include "shm/deja.hpp"

int show(const char* directory, const char* user) {
  auto shop = deja::Appliance::open("shop", directory);  // nullptr: /dev/shm
  if (!shop) {
    std::fprintf(stderr, "shop: %s\n", shop.status_text());
    return 1;
  }
  const auto views = shop->feature("views_1h");
  const auto recent = shop->feature("recent");
  if (!views || !recent) return 1;

  deja::Profile profile = shop->make_profile();  // once; every get fills it again
  switch (shop->get(user, profile)) {
    case DEJA_OK:
      break;
    case DEJA_UNKNOWN:
      std::printf("%s: nothing known yet\n", user);
      return 0;
    case DEJA_STALE:  // the server was restarted: attach again, find the features again
      return shop->reattach() == DEJA_OK ? show(directory, user) : 1;
    default:
      return 1;
  }
  const auto now_us = shop->now_us();
  std::printf("%s: %.0f views in the last hour, as of %lld us ago\n", user,
              profile.number(*views, now_us).value_or(0),
              static_cast<long long>(profile.age_us(now_us)));
  for (const auto& item : profile.items(*recent, now_us).value_or({})) {
    std::printf("  saw %.*s\n", static_cast<int>(item.text.size()), item.text.data());
  }
  return 0;
}
// example]

#include "shm/columns/recent_column.h"
#include "tests/shm/libdeja/segment_by_hand.h"

namespace deja {
namespace {

using namespace libdeja_test;

SegmentByHand::Options shop_options() {
  SegmentByHand::Options options;
  options.features = {{"views_1h", spec_of(FeatureType::kCount)},
                      {"recent", spec_of(FeatureType::kRecent)}};
  return options;
}

std::string output_of(const SegmentByHand& segment, const char* user) {
  // The hand-made appliance is called "hand", the READMEs' one "shop".
  const std::string shop = std::string(segment.directory()) + "/deja-shop";
  if (!std::filesystem::exists(shop)) std::filesystem::create_symlink("deja-hand", shop);
  testing::internal::CaptureStdout();
  EXPECT_EQ(show(segment.directory(), user), 0);
  return testing::internal::GetCapturedStdout();
}

TEST(ReadmeExample, ShowsAProfile) {
  SegmentByHand segment(shop_options());
  std::vector<std::uint8_t> frame(segment.geometry().frame_bytes);
  frame[0] = 3;
  const FeatureSpec& spec = segment.features()[1].spec;
  std::uint8_t* column = frame.data() + spec.offset;
  columns::store(column + columns::recent_time_offset(0), columns::encode_instant(1));
  column[columns::recent_length_offset(spec, 0)] = 2;
  std::memcpy(column + columns::recent_text_offset(spec, 0), "p9", 2);
  segment.put("u17", frame, 1, deja_now_us() + 60'000'000);
  EXPECT_EQ(output_of(segment, "u17"), "u17: 3 views in the last hour, as of 0 us ago\n  saw p9\n");
  EXPECT_EQ(output_of(segment, "u18"), "u18: nothing known yet\n");
}

TEST(ReadmeExample, TheCppFaceSaysWhatTheCOneSays) {
  SegmentByHand segment;
  segment.put("ann", {}, 17, 5);
  segment.put("ann", {}, 18, 6, KeyNamespace::kAnonymous);
  Answer<Appliance> opened = Appliance::open("hand", segment.directory());
  ASSERT_TRUE(opened);
  EXPECT_EQ(Appliance::open("nobody", segment.directory()).status(), DEJA_ABSENT);
  const Appliance shop = std::move(*opened);
  Profile profile = shop.make_profile();
  ASSERT_EQ(shop.get(anonymous_key("ann"), profile), DEJA_OK);
  EXPECT_EQ(profile.key(), "ann");
  EXPECT_TRUE(profile.anonymous());
  EXPECT_EQ(profile.sequence(), 18U);
  EXPECT_EQ(profile.updated_us(), 6);
  EXPECT_EQ(profile.late(), 0U);
  EXPECT_FALSE(profile.partial());
  EXPECT_EQ(shop.feature_count(), segment.features().size());
  const deja_feature mean = *shop.feature("mean");
  EXPECT_EQ(profile.number(mean, 0).status(), DEJA_EMPTY);
  EXPECT_FALSE(profile.is_estimate(mean, 0));
  EXPECT_EQ(profile.text(mean).status(), DEJA_WRONG_TYPE);
  EXPECT_EQ(profile.value(*shop.feature("trait")).status(), DEJA_EMPTY);
  EXPECT_EQ(profile.text(*shop.feature("last")).status(), DEJA_EMPTY);
  EXPECT_EQ(profile.session(*shop.feature("session"), 0).status(), DEJA_EMPTY);
  EXPECT_TRUE(profile.items(*shop.feature("top"), 0));
  EXPECT_EQ(shop.feature_name(mean), "mean");
  EXPECT_EQ(shop.feature_type(mean), DEJA_MEAN);
  int seen = 0;
  EXPECT_EQ(shop.for_each([&](const Profile&) { ++seen; }), DEJA_END);
  EXPECT_EQ(seen, 2);
  EXPECT_EQ(shop.state(), DEJA_OK);
  EXPECT_EQ(shop.wait("v1.3e8.0:0:1", 0), DEJA_TIMEOUT);
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ReadmeExample, TheReadmesShowExactlyThis) {
  const std::filesystem::path root(DEJA_SOURCE_DIR);
  const std::string source = text_of(root / "tests/shm/libdeja/readme_example_test.cc");
  const std::size_t start = source.find("// [example\n") + 12;
  const std::string example = source.substr(start, source.find("// example]") - start);
  int found = 0;
  for (const char* readme : {"README.md", "shm/README.md"}) {
    const std::string text = text_of(root / readme);
    for (std::size_t at = text.find("```cpp\n"); at != std::string::npos;
         at = text.find("```cpp\n", at + 1)) {
      const std::string block = text.substr(at + 7, text.find("```", at + 7) - at - 7);
      if (block.find("deja::Appliance::open") == std::string::npos) continue;
      EXPECT_EQ(block, example) << readme;
      ++found;
    }
  }
  EXPECT_GE(found, 1);
}

}  // namespace
}  // namespace deja
