#include "shm/capnp_view.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ring/event_record.capnp.h"
#include "shm/catalog.capnp.h"

namespace deja {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::mt19937_64 seeded() {
  const char* text = std::getenv("DEJA_SEED");
  const std::uint64_t seed = text != nullptr ? std::strtoull(text, nullptr, 10) : 20261120;
  std::printf("DEJA_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return std::mt19937_64(seed);
}

std::string random_text(std::mt19937_64& random) {
  std::string text(random() % 20, 'x');
  for (char& letter : text) letter = static_cast<char>('a' + random() % 26);
  return text;
}

void fill(schema::Catalog::Builder catalog, std::mt19937_64& random) {
  catalog.setAppliance(random_text(random));
  catalog.setFrameBytes(static_cast<std::uint32_t>(random()));
  catalog.setKeyBytes(static_cast<std::uint32_t>(random()));
  const auto count = [&] { return static_cast<unsigned>(random() % 6); };
  if (random() % 5 != 0) {
    for (auto event : catalog.initEvents(count())) {
      event.setName(random_text(random));
      event.setCall(static_cast<schema::Call>(random() % 5));
      for (auto field : event.initFields(count())) {
        field.setName(random_text(random));
        field.setSlot(static_cast<std::uint16_t>(random()));
      }
    }
  }
  for (auto feature : catalog.initFeatures(count())) {
    if (random() % 4 != 0) feature.setName(random_text(random));
    feature.setType(static_cast<schema::FeatureType>(random() % 12));
    feature.setWindowUs(static_cast<std::int64_t>(random()));
    feature.setTumbling(random() % 2 == 0);
    feature.setTextBytes(static_cast<std::uint32_t>(random()));
    for (auto source : feature.initSources(count())) {
      source.setEvent(static_cast<std::uint16_t>(random()));
      source.setWeight(static_cast<double>(random() % 1000) / 8);
    }
  }
}

Bytes flat(capnp::MessageBuilder& message) {
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  return {bytes.begin(), bytes.end()};
}

void expect_text(const capnp_view::Text& text, capnp::Text::Reader expected) {
  EXPECT_EQ(std::string(text.data, text.size), std::string(expected.cStr(), expected.size()));
}

TEST(CapnpView, ReadsWhatTheRealReaderReads) {
  std::mt19937_64 random = seeded();
  for (int round = 0; round < 300; ++round) {
    capnp::MallocMessageBuilder builder(1U << 14U);
    fill(builder.initRoot<schema::Catalog>(), random);
    const Bytes bytes = flat(builder);
    const auto catalog = builder.getRoot<schema::Catalog>().asReader();

    auto message = capnp_view::Message::of_message(bytes.data(), bytes.size());
    const capnp_view::Struct root = message.root();
    expect_text(root.text(0), catalog.getAppliance());
    EXPECT_EQ(root.get<std::uint32_t>(0), catalog.getFrameBytes());
    EXPECT_EQ(root.get<std::uint32_t>(4), catalog.getKeyBytes());
    const capnp_view::List events = root.list(1);
    ASSERT_EQ(events.size(), catalog.getEvents().size());
    for (std::uint32_t at = 0; at < events.size(); ++at) {
      const auto expected = catalog.getEvents()[at];
      expect_text(events[at].text(0), expected.getName());
      expect_text(events[at].text(1), expected.getMatch());
      EXPECT_EQ(events[at].get<std::uint16_t>(0), static_cast<std::uint16_t>(expected.getCall()));
      const capnp_view::List fields = events[at].list(2);
      ASSERT_EQ(fields.size(), expected.getFields().size());
      for (std::uint32_t field = 0; field < fields.size(); ++field) {
        expect_text(fields[field].text(0), expected.getFields()[field].getName());
        EXPECT_EQ(fields[field].get<std::uint16_t>(0), expected.getFields()[field].getSlot());
      }
    }
    const capnp_view::List features = root.list(3);
    ASSERT_EQ(features.size(), catalog.getFeatures().size());
    for (std::uint32_t at = 0; at < features.size(); ++at) {
      const auto expected = catalog.getFeatures()[at];
      expect_text(features[at].text(0), expected.getName());
      EXPECT_EQ(features[at].get<std::int64_t>(16), expected.getWindowUs());
      EXPECT_EQ(features[at].get_bool(16), expected.getTumbling());
      EXPECT_EQ(features[at].get<std::uint32_t>(32), expected.getTextBytes());
      const capnp_view::List sources = features[at].list(1);
      ASSERT_EQ(sources.size(), expected.getSources().size());
      for (std::uint32_t source = 0; source < sources.size(); ++source) {
        EXPECT_EQ(sources[source].get<double>(8), expected.getSources()[source].getWeight());
      }
    }
    EXPECT_FALSE(message.damaged());
  }
}

TEST(CapnpView, ReadsAnEventRecordWithoutASegmentTable) {
  capnp::MallocMessageBuilder builder(1U << 10U);
  auto record = builder.initRoot<schema::EventRecord>();
  record.setReceivedUs(-5);
  record.setKinds(0x8000000000000001U);
  const capnp::byte key[] = {'a', 0, 'b'};
  record.setKey(capnp::Data::Reader(key, 3));
  auto value = record.initValues(2)[1];
  value.setNumber(-2.5);
  value.setKind(3);
  const auto segment = builder.getSegmentsForOutput()[0].asBytes();
  auto message = capnp_view::Message::of_segment(segment.begin(), segment.size());
  const capnp_view::Struct root = message.root();
  EXPECT_EQ(root.get<std::int64_t>(0), -5);
  EXPECT_EQ(root.get<std::uint64_t>(32), 0x8000000000000001U);
  EXPECT_EQ(std::string(root.data(0).data, root.data(0).size), std::string("a\0b", 3));
  const capnp_view::List values = root.list(1);
  ASSERT_EQ(values.size(), 2U);
  EXPECT_EQ(values[1].get<double>(0), -2.5);
  EXPECT_EQ(values[1].get<std::uint8_t>(12), 3);
  EXPECT_EQ(values[0].data(0).size, 0U);
  EXPECT_FALSE(message.damaged());
}

TEST(CapnpView, WhatAnOlderWriterDidNotKnowReadsAsTheDefault) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<schema::Slot>();  // 8 bytes, 1 pointer, read as a Catalog
  const Bytes bytes = flat(builder);
  auto message = capnp_view::Message::of_message(bytes.data(), bytes.size());
  const capnp_view::Struct root = message.root();
  EXPECT_EQ(root.get<std::uint32_t>(8, 17U), 17U);
  EXPECT_EQ(root.list(3).size(), 0U);
  EXPECT_EQ(root.text(2).size, 0U);
  EXPECT_EQ(root.list(3)[5].structure(0).get<std::uint8_t>(0), 0U);
  EXPECT_FALSE(message.damaged());
}

TEST(CapnpView, NumbersAndTextsInListsAreRead) {
  // A struct of two pointers: List(UInt32) {7, 9} and List(Text) {"hi"}.
  const std::uint64_t words[] = {
      0x0002000000000000U,                               // root: 0 data words, 2 pointers
      (4U | 1U) | std::uint64_t{4 | (2U << 3U)} << 32U,  // +1: two 32-bit numbers
      (4U | 1U) | std::uint64_t{6 | (1U << 3U)} << 32U,  // +1: one pointer
      7U | (std::uint64_t{9} << 32U),
      1U | (std::uint64_t{2 | (3U << 3U)} << 32U),  // three bytes, next word
      std::uint64_t{'h'} | std::uint64_t{'i'} << 8U};
  auto message = capnp_view::Message::of_segment(words, sizeof words);
  const capnp_view::List numbers = message.root().list(0);
  ASSERT_EQ(numbers.size(), 2U);
  EXPECT_EQ(numbers.number<std::uint32_t>(0), 7U);
  EXPECT_EQ(numbers.number<std::uint32_t>(1), 9U);
  EXPECT_EQ(numbers.number<std::uint32_t>(2), 0U);
  EXPECT_EQ(numbers.number<std::uint64_t>(0), 0U);
  const capnp_view::List texts = message.root().list(1);
  ASSERT_EQ(texts.size(), 1U);
  EXPECT_EQ(std::string(texts.text(0).data, texts.text(0).size), "hi");
  EXPECT_FALSE(message.damaged());
}

TEST(CapnpView, BadBytesAreNamedDamaged) {
  struct Case {
    const char* name;
    std::vector<std::uint64_t> words;
  };
  const std::uint64_t list_of = 0x0001000000000000U;  // root: one pointer
  const Case cases[] = {
      {"empty", {}},
      {"root out of bounds", {0x0000000100000000U}},
      {"root behind the start", {0x00000001fffffff0U, 0}},
      {"root is a list", {0x0000000100000001U, 0}},
      {"far pointer", {list_of, 2}},
      {"capability", {list_of, 3}},
      {"struct for a list", {list_of, 0x0000000100000000U, 0}},
      {"list out of bounds", {list_of, 1U | std::uint64_t{5U | (2U << 3U)} << 32U, 0}},
      {"half a billion nothings", {list_of, 1U | std::uint64_t{0xfffffff8U} << 32U}},
      {"a tag with too many elements",
       {list_of, 1U | std::uint64_t{7U | (1U << 3U)} << 32U, 8U | std::uint64_t{1} << 32U, 0}},
      {"a tag of nothings", {list_of, 1U | std::uint64_t{7U} << 32U, 0xfffffffcU}},
      {"a tag that is no struct", {list_of, 1U | std::uint64_t{7U} << 32U, 1U}},
  };
  for (const Case& test : cases) {
    auto message = capnp_view::Message::of_segment(test.words.data(),
                                                   test.words.size() * sizeof(std::uint64_t));
    EXPECT_EQ(message.root().list(0).size(), 0U) << test.name;
    EXPECT_TRUE(message.damaged()) << test.name;
  }
  const std::uint64_t no_zero[] = {list_of, 1U | std::uint64_t{2U | (2U << 3U)} << 32U, 0x4141U};
  auto message = capnp_view::Message::of_segment(no_zero, sizeof no_zero);
  EXPECT_EQ(message.root().text(0).size, 0U);
  EXPECT_TRUE(message.damaged());
  const std::uint32_t two_segments[] = {1, 1, 1, 0, 0, 0, 0, 0};
  EXPECT_TRUE(capnp_view::Message::of_message(two_segments, sizeof two_segments).damaged());
  const std::uint32_t too_long[] = {0, 2, 0, 0};
  EXPECT_TRUE(capnp_view::Message::of_message(too_long, sizeof too_long).damaged());
  EXPECT_TRUE(capnp_view::Message::of_message(too_long, 3).damaged());
}

/// Reads everything there is, bounded, so that a sanitizer sees every access.
std::uint64_t read_all(const capnp_view::Struct& view, int depth, std::uint32_t& budget) {
  std::uint64_t sum = view.get<std::uint64_t>(0) + view.get<std::uint8_t>(63);
  for (std::uint32_t pointer = 0; pointer < 4 && budget != 0; ++pointer) {
    const capnp_view::Text text = view.text(pointer);
    for (std::uint32_t at = 0; at < text.size; ++at)
      sum += static_cast<unsigned char>(text.data[at]);
    const capnp_view::List list = view.list(pointer);
    for (std::uint32_t at = 0; at < list.size() && budget != 0; ++at) {
      --budget;
      sum += list.number<std::uint16_t>(at) + list.text(at).size;
      if (depth != 0) sum += read_all(list[at], depth - 1, budget);
    }
    if (depth != 0) sum += read_all(view.structure(pointer), depth - 1, budget);
  }
  return sum;
}

TEST(CapnpView, RandomDamageNeverLeadsOutside) {
  std::mt19937_64 random = seeded();
  std::uint64_t sum = 0;
  for (int round = 0; round < 4000; ++round) {
    capnp::MallocMessageBuilder builder(1U << 14U);
    fill(builder.initRoot<schema::Catalog>(), random);
    const Bytes whole = flat(builder);
    // Memory of exactly that size, so that AddressSanitizer sees one byte too many.
    const std::size_t size = random() % 4 == 0 ? random() % (whole.size() + 1) : whole.size();
    const auto bytes = std::make_unique<std::uint8_t[]>(size);
    if (size != 0) std::memcpy(bytes.get(), whole.data(), size);
    for (std::uint64_t flips = random() % 8; flips > 0 && size > 0; --flips) {
      bytes[random() % size] ^= static_cast<std::uint8_t>(1U << (random() % 8));
    }
    for (const bool with_table : {true, false}) {
      auto message = with_table ? capnp_view::Message::of_message(bytes.get(), size)
                                : capnp_view::Message::of_segment(bytes.get(), size);
      std::uint32_t budget = 2000;
      sum += read_all(message.root(), 3, budget);
    }
  }
  EXPECT_NE(sum, 0U);
}

}  // namespace
}  // namespace deja
