// Events that outlive their config: kinds by name, values by path, whatever lies in the bytes.
#include "workers/journal/event_translation.h"

#include <gtest/gtest.h>

#include <capnp/message.h>
#include <capnp/serialize.h>

#include "ring/event_record.capnp.h"
#include "shm/catalog.capnp.h"
#include "tests/support/test_event.h"

namespace deja {
namespace {

/// Kinds and slots of these names.
std::string catalog_of(const std::vector<std::string>& kinds,
                       const std::vector<std::string>& paths) {
  capnp::MallocMessageBuilder message;
  auto catalog = message.initRoot<schema::Catalog>();
  auto events = catalog.initEvents(static_cast<unsigned>(kinds.size()));
  for (unsigned at = 0; at < kinds.size(); ++at) events[at].setName(kinds[at]);
  auto slots = catalog.initSlots(static_cast<unsigned>(paths.size()));
  for (unsigned at = 0; at < paths.size(); ++at) slots[at].setPath(paths[at]);
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asChars();
  return {bytes.begin(), bytes.size()};
}

std::vector<std::uint64_t> words_of(const TestEvent& event) {
  const std::vector<std::uint8_t> bytes = event.bytes(4);
  std::vector<std::uint64_t> words(bytes.size() / 8);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

/// "kinds slot=number …"
std::string text_of(const std::vector<std::uint64_t>& words) {
  const kj::ArrayPtr<const capnp::word> segments[] = {
      {reinterpret_cast<const capnp::word*>(words.data()), words.size()}};
  capnp::SegmentArrayMessageReader message(segments);
  const auto event = message.getRoot<schema::EventRecord>();
  std::string text = std::to_string(event.getKinds());
  for (const auto value : event.getValues()) {
    text += " " + std::to_string(value.getSlot()) + "=" +
            std::to_string(static_cast<int>(value.getNumber()));
  }
  return text;
}

TEST(EventTranslation, FindsKindsAndValuesAgainAndLeavesOutWhatIsGone) {
  const auto between = EventTranslation::between(catalog_of({"view", "order"}, {"a", "b", "c"}),
                                                 catalog_of({"order", "view"}, {"c", "x", "a"}));
  ASSERT_TRUE(between.has_value());
  TestEvent event{"ada"};
  event.kinds = 1;
  event.values = {{0, 0, ValueKind::kNumber, 10},
                  {1, 0, ValueKind::kNumber, 11},
                  {2, 0, ValueKind::kNumber, 12}};
  std::vector<std::uint64_t> words = words_of(event);
  ASSERT_TRUE(between->translate(words));
  EXPECT_EQ(text_of(words), "2 2=10 0=12");
  event.kinds = 4;
  words = words_of(event);
  EXPECT_FALSE(between->translate(words));
}

TEST(EventTranslation, TheLargestConfigsCanBeCompared) {
  std::vector<std::string> kinds;
  std::vector<std::string> paths;
  for (int at = 0; at < 64; ++at)
    kinds.push_back("an_event_with_a_longer_name_" + std::to_string(at));
  for (int at = 0; at < 256; ++at)
    paths.push_back("properties.a.longer.path." + std::to_string(at));
  const std::string catalog = catalog_of(kinds, paths);
  const auto between = EventTranslation::between(catalog, catalog);
  ASSERT_TRUE(between.has_value());
  TestEvent event{"ada"};
  event.kinds = std::uint64_t{1} << 63U;
  event.values = {{255, 0, ValueKind::kNumber, 7}};
  std::vector<std::uint64_t> words = words_of(event);
  ASSERT_TRUE(between->translate(words));
  EXPECT_EQ(text_of(words), std::to_string(std::uint64_t{1} << 63U) + " 255=7");
}

TEST(EventTranslation, WhatIsNoCatalogOrNoEventIsRefused) {
  const std::string good = catalog_of({"view"}, {"a"});
  EXPECT_FALSE(EventTranslation::between("", good).has_value());
  EXPECT_FALSE(EventTranslation::between("nonsense", good).has_value());
  std::vector<std::uint64_t> none;
  EXPECT_FALSE(EventTranslation::between(good, good)->translate(none));
}

}  // namespace
}  // namespace deja
