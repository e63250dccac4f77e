// Copies and what they say: the answers must be those of shm/columns/finish.h on the same bytes.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "shm/columns/finish.h"
#include "tests/shm/libdeja/segment_by_hand.h"

namespace deja {
namespace {

using namespace libdeja_test;

std::uint64_t seed_of_test() {
  const char* text = std::getenv("DEJA_SEED");
  const std::uint64_t seed = text != nullptr ? std::strtoull(text, nullptr, 10) : 20261120;
  std::printf("DEJA_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

TEST(LibdejaProfile, AGetCopiesTheProfileAndItsFacts) {
  SegmentByHand segment;
  segment.put("ann", {}, 17, 5'000);
  segment.put("ann", {}, 18, 6'000, KeyNamespace::kAnonymous);
  Opened opened(segment);
  deja_profile* profile = opened.profile();
  ASSERT_EQ(deja_get(opened.get(), deja_user("ann", 3), profile), DEJA_OK);
  EXPECT_EQ(deja_sequence(profile), 17U);
  EXPECT_EQ(deja_updated_us(profile), 5'000);
  EXPECT_EQ(deja_age_us(profile, 5'250), 250);
  EXPECT_EQ(deja_age_us(profile, 4'000), 0);
  EXPECT_EQ(deja_age_us(profile, INT64_MIN), 0);
  EXPECT_EQ(deja_is_partial(profile), 0);
  EXPECT_EQ(deja_late(profile), 0U);
  const deja_key key = deja_profile_key(profile);
  EXPECT_EQ(std::string(key.bytes, key.size), "ann");
  EXPECT_EQ(key.name_space, 0U);
  ASSERT_EQ(deja_get(opened.get(), deja_anonymous("ann", 3), profile), DEJA_OK);
  EXPECT_EQ(deja_sequence(profile), 18U);
  EXPECT_EQ(deja_profile_key(profile).name_space, 1U);
}

TEST(LibdejaProfile, AFlaggedProfileSaysSo) {
  SegmentByHand segment;
  const Key key{KeyNamespace::kUser, "bob", 3};
  ShardWriter::Draft draft = segment.writer_of(key).begin(key);
  ASSERT_EQ(draft.room, Room::kNew);
  draft.flags = kFlagPartial;
  draft.late = 3;
  segment.writer_of(key).publish(draft);
  Opened opened(segment);
  ASSERT_EQ(deja_get(opened.get(), deja_user("bob", 3), opened.profile()), DEJA_OK);
  EXPECT_EQ(deja_is_partial(opened.profile()), 1);
  EXPECT_EQ(deja_late(opened.profile()), 3U);
}

TEST(LibdejaProfile, KeysThatAreNotThereAndKeysThatCanNotBeAreDifferentAnswers) {
  SegmentByHand segment;
  segment.put("ann", {}, 17);
  Opened opened(segment);
  deja_profile* profile = opened.profile();
  ASSERT_EQ(deja_get(opened.get(), user("ann"), profile), DEJA_OK);
  EXPECT_EQ(deja_get(opened.get(), user("bob"), profile), DEJA_UNKNOWN);
  EXPECT_EQ(deja_sequence(profile), 0U);  // unfilled again
  EXPECT_EQ(deja_profile_key(profile).size, 0U);
  double number = 0;
  EXPECT_EQ(deja_number(opened.get(), profile, 0, 0, &number), DEJA_MISUSE);
  EXPECT_EQ(deja_get(opened.get(), user(std::string(25, 'x')), profile), DEJA_UNKNOWN);
  EXPECT_EQ(deja_get(opened.get(), user(std::string(65, 'x')), profile), DEJA_MISUSE);
  EXPECT_EQ(deja_get(opened.get(), user(""), profile), DEJA_MISUSE);
  EXPECT_EQ(deja_get(opened.get(), deja_user(nullptr, 3), profile), DEJA_MISUSE);
  EXPECT_EQ(deja_get(opened.get(), deja_key{"ann", 3, 2}, profile), DEJA_MISUSE);
  EXPECT_EQ(deja_get(nullptr, user("ann"), profile), DEJA_MISUSE);
  EXPECT_EQ(deja_get(opened.get(), user("ann"), nullptr), DEJA_MISUSE);
  auto* crooked = reinterpret_cast<deja_profile*>(reinterpret_cast<char*>(profile) + 1);
  EXPECT_EQ(deja_get(opened.get(), user("ann"), crooked), DEJA_MISUSE);
}

TEST(LibdejaProfile, GetManyGivesWhatGetGives) {
  SegmentByHand segment;
  for (std::uint64_t at = 0; at < 100; ++at) {
    segment.put("user-" + std::to_string(at), {}, at + 1);
  }
  Opened opened(segment);
  constexpr std::size_t kKeys = 53;
  std::vector<std::string> names;
  for (std::size_t at = 0; at < kKeys; ++at) names.push_back("user-" + std::to_string(at * 3));
  names[7] = "";
  std::vector<deja_key> keys;
  for (const std::string& name : names) keys.push_back(user(name));
  std::vector<std::uint64_t> memory(deja_profile_bytes(opened.get()) / 8 * kKeys);
  auto* profiles = reinterpret_cast<deja_profile*>(memory.data());
  deja_status statuses[kKeys];
  ASSERT_EQ(deja_get_many(opened.get(), keys.data(), kKeys, profiles, statuses), DEJA_OK);
  for (std::size_t at = 0; at < kKeys; ++at) {
    EXPECT_EQ(statuses[at], deja_get(opened.get(), keys[at], opened.profile()));
    deja_profile* one = deja_profile_at(opened.get(), profiles, at);
    EXPECT_EQ(deja_sequence(one), deja_sequence(opened.profile()));
    EXPECT_EQ(deja_sequence(one), at == 7 || at * 3 >= 100 ? 0 : at * 3 + 1);
  }
  EXPECT_EQ(deja_get_many(opened.get(), nullptr, 0, nullptr, nullptr), DEJA_OK);
  EXPECT_EQ(deja_get_many(opened.get(), nullptr, 1, profiles, statuses), DEJA_MISUSE);
}

TEST(LibdejaProfile, AWalkMeetsEverybodyOnce) {
  SegmentByHand segment;
  std::set<std::string> expected;
  for (int at = 0; at < 150; ++at) {
    expected.insert("user-" + std::to_string(at));
    segment.put("user-" + std::to_string(at), {});
  }
  Opened opened(segment);
  deja_profile* profile = opened.profile();
  std::multiset<std::string> seen;
  deja_cursor cursor{};
  deja_status status = DEJA_OK;
  while ((status = deja_next(opened.get(), &cursor, profile)) == DEJA_OK) {
    const deja_key key = deja_profile_key(profile);
    seen.emplace(key.bytes, key.size);
  }
  EXPECT_EQ(status, DEJA_END);
  EXPECT_EQ(deja_next(opened.get(), &cursor, profile), DEJA_END);
  EXPECT_EQ(seen.size(), expected.size());
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()), expected);
}

TEST(LibdejaProfile, FeaturesAreFoundByName) {
  const SegmentByHand segment;
  Opened opened(segment);
  for (std::uint32_t at = 0; at < segment.features().size(); ++at) {
    const HandFeature& feature = segment.features()[at];
    deja_feature found = 99;
    ASSERT_EQ(deja_feature_find(opened.get(), feature.name.c_str(), &found), DEJA_OK);
    EXPECT_EQ(found, at);
    EXPECT_EQ(deja_feature_name(opened.get(), at), feature.name);
    EXPECT_EQ(deja_feature_type(opened.get(), at), static_cast<deja_type>(feature.spec.type));
  }
  deja_feature found = 99;
  EXPECT_EQ(deja_feature_find(opened.get(), "viewz", &found), DEJA_NO_FEATURE);
  EXPECT_EQ(deja_feature_name(opened.get(), 1000), nullptr);
}

TEST(LibdejaProfile, WhatFeaturesSayIsWhatTheirColumnsSay) {
  std::mt19937_64 random(seed_of_test());
  SegmentByHand segment;
  Opened opened(segment);
  deja_profile* profile = opened.profile();
  std::uint64_t items_seen = 0;
  for (int round = 0; round < 200; ++round) {
    // Any bytes make a frame: sparse ones, so that some columns are empty and some texts short.
    std::vector<std::uint8_t> frame(segment.geometry().frame_bytes);
    for (std::uint8_t& byte : frame) {
      byte = static_cast<std::uint8_t>(random() % (round % 2 == 0 ? 12 : 256));
      if (random() % 4 != 0) byte = 0;
    }
    segment.put("ann", frame);
    ASSERT_EQ(deja_get(opened.get(), user("ann"), profile), DEJA_OK);
    const auto now_us = static_cast<std::int64_t>(random() >> (random() % 64));
    for (std::uint32_t at = 0; at < segment.features().size(); ++at) {
      const FeatureSpec& spec = segment.features()[at].spec;
      const std::uint8_t* column = frame.data() + spec.offset;
      double number = -1;
      const deja_status number_status = deja_number(opened.get(), profile, at, now_us, &number);
      deja_scalar scalar{};
      const deja_status value_status = deja_value(opened.get(), profile, at, &scalar);
      deja_item items[6];
      std::uint32_t count = 99;
      const deja_status items_status =
          deja_items(opened.get(), profile, at, now_us, items, 6, &count);
      deja_session_state session{};
      const deja_status session_status = deja_session(opened.get(), profile, at, now_us, &session);
      EXPECT_EQ(deja_is_estimate(opened.get(), profile, at, now_us) != 0,
                is_estimate(spec, column, now_us));
      switch (spec.type) {
        case FeatureType::kFirst:
        case FeatureType::kLast:
        case FeatureType::kTrait: {
          const Value expected = finish_value(spec, column);
          ASSERT_EQ(value_status, expected.absent() ? DEJA_EMPTY : DEJA_OK);
          const char* text = nullptr;
          std::uint32_t bytes = 0;
          EXPECT_EQ(deja_text(opened.get(), profile, at, &text, &bytes),
                    expected.kind == ValueKind::kText ? DEJA_OK : DEJA_EMPTY);
          if (value_status == DEJA_OK) {
            EXPECT_EQ(static_cast<int>(scalar.kind), static_cast<int>(expected.kind));
            const Value got{expected.kind, scalar.number, scalar.text, scalar.text_bytes};
            EXPECT_EQ(compare(got, expected), 0);
          }
          EXPECT_EQ(number_status, DEJA_WRONG_TYPE);
          EXPECT_EQ(items_status, DEJA_WRONG_TYPE);
          break;
        }
        case FeatureType::kRecent: {
          RecentItem expected[6];
          ASSERT_EQ(items_status, DEJA_OK);
          ASSERT_EQ(count, finish_recent(spec, column, expected, 6));
          for (std::uint32_t item = 0; item < count; ++item, ++items_seen) {
            EXPECT_EQ(std::string(items[item].text, items[item].text_bytes),
                      std::string(expected[item].text, expected[item].text_bytes));
            EXPECT_EQ(items[item].time_us, expected[item].time_us);
          }
          EXPECT_EQ(session_status, DEJA_WRONG_TYPE);
          break;
        }
        case FeatureType::kTop: {
          TopItem expected[6];
          ASSERT_EQ(items_status, DEJA_OK);
          ASSERT_EQ(count, finish_top(spec, column, now_us, expected, 6));
          for (std::uint32_t item = 0; item < count; ++item, ++items_seen) {
            EXPECT_EQ(std::string(items[item].text, items[item].text_bytes),
                      std::string(expected[item].text, expected[item].text_bytes));
            EXPECT_EQ(items[item].weight, expected[item].weight);
          }
          break;
        }
        case FeatureType::kSession: {
          const FinishedSession expected = finish_session(spec, column, now_us);
          ASSERT_EQ(session_status, expected.present ? DEJA_OK : DEJA_EMPTY);
          if (expected.present) {
            EXPECT_EQ(session.started_us, expected.started_us);
            EXPECT_EQ(session.duration_us, expected.duration_us);
            EXPECT_EQ(session.events, expected.events);
            EXPECT_EQ(session.active != 0, expected.active);
            EXPECT_EQ(session.count, expected.count);
          }
          EXPECT_EQ(value_status, DEJA_WRONG_TYPE);
          break;
        }
        default: {
          const FinishedNumber expected = finish_number(spec, column, now_us);
          ASSERT_EQ(number_status, expected.empty ? DEJA_EMPTY : DEJA_OK);
          if (!expected.empty) {
            EXPECT_EQ(number, expected.number);
          }
          EXPECT_EQ(value_status, DEJA_WRONG_TYPE);
          EXPECT_EQ(session_status, DEJA_WRONG_TYPE);
          break;
        }
      }
    }
  }
  EXPECT_GT(items_seen, 100U);
}

TEST(LibdejaProfile, ALongTopListIsShownWhole) {
  SegmentByHand::Options options;
  options.features = {{"taste", spec_of(FeatureType::kTop)}};
  options.features[0].spec.keep = 100;
  options.features[0].spec.track = 120;
  SegmentByHand segment(options);
  std::mt19937_64 random(seed_of_test());
  std::vector<std::uint8_t> frame(segment.geometry().frame_bytes);
  for (std::uint8_t& byte : frame) byte = static_cast<std::uint8_t>(1 + random() % 60);
  segment.put("ann", frame);
  Opened opened(segment);
  ASSERT_EQ(deja_get(opened.get(), user("ann"), opened.profile()), DEJA_OK);
  EXPECT_EQ(deja_feature_keep(opened.get(), 0), 100U);
  for (const std::uint32_t capacity : {0U, 1U, 64U, 65U, 100U, 2000U}) {
    std::vector<deja_item> items(capacity);
    std::vector<TopItem> expected(capacity);
    const FeatureSpec& spec = segment.features()[0].spec;
    std::uint32_t count = 99;
    ASSERT_EQ(deja_items(opened.get(), opened.profile(), 0, 0, items.data(), capacity, &count),
              DEJA_OK);
    ASSERT_EQ(count, finish_top(spec, frame.data() + spec.offset, 0, expected.data(), capacity));
    for (std::uint32_t at = 0; at < count; ++at) {
      ASSERT_EQ(items[at].weight, expected[at].weight);
    }
  }
}

}  // namespace
}  // namespace deja
