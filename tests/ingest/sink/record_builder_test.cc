#include "ingest/record_builder.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/ingest/sink/test_appliance.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

// Builds the record into words that are all ones before: nothing may be left unwritten.
std::vector<std::uint64_t> built(const RecordFields& fields, const RecordValues& values) {
  const RecordSize size = record_size(fields, values);
  std::vector<std::uint64_t> words(size.bytes / 8);
  std::memset(words.data(), 0xff, size.bytes);
  build_record(fields, values, size, reinterpret_cast<std::uint8_t*>(words.data()));
  return words;
}

TEST(RecordBuilder, TheLibraryReadsEveryFieldAsItWasGiven) {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::uint64_t> kinds_of_slot(random() % 20 + 1);
    for (auto& kinds : kinds_of_slot) kinds = random() & random();
    std::vector<std::string> texts(random() % 12);
    for (auto& text : texts) {
      text.resize(random() % 40);
      for (char& letter : text) letter = static_cast<char>(random());
    }
    std::vector<CapturedValue> captured;
    for (std::uint64_t count = random() % 30; count != 0; --count) {
      CapturedValue value;
      value.slot = static_cast<std::uint16_t>(random() % (kinds_of_slot.size() + 2));
      value.element = static_cast<std::uint16_t>(random() % 5);
      value.value.kind = static_cast<ValueKind>(random() % 5);
      if (value.value.kind == ValueKind::kNumber) value.value.number = std::ldexp(random(), -20);
      if (value.value.kind == ValueKind::kBool) value.value.number = 1;
      if (value.value.kind == ValueKind::kText) {
        std::string_view text;
        if (!texts.empty()) text = texts[random() % texts.size()];
        value.value = Value::of(text.data(), static_cast<std::uint32_t>(text.size()));
      }
      captured.push_back(value);
    }
    const std::string key(random() % 64 + 1, 'k');
    RecordFields fields;
    fields.received_us = static_cast<std::int64_t>(random());
    fields.time_us = static_cast<std::int64_t>(random());
    fields.id_low = random();
    fields.id_high = random();
    fields.kinds = random() & random();
    fields.shard = static_cast<std::uint32_t>(random());
    fields.key = {random() % 2 == 0 ? KeyNamespace::kUser : KeyNamespace::kAnonymous, key.data(),
                  static_cast<std::uint32_t>(key.size())};
    const RecordValues values{captured, kinds_of_slot, fields.kinds};

    const std::vector<std::uint64_t> words = built(fields, values);
    const kj::ArrayPtr<const capnp::word> segments[] = {
        {reinterpret_cast<const capnp::word*>(words.data()), words.size()}};
    capnp::SegmentArrayMessageReader message(segments);
    const auto record = message.getRoot<schema::EventRecord>();
    ASSERT_EQ(record.getReceivedUs(), fields.received_us);
    ASSERT_EQ(record.getTimeUs(), fields.time_us);
    ASSERT_EQ(record.getIdLow(), fields.id_low);
    ASSERT_EQ(record.getIdHigh(), fields.id_high);
    ASSERT_EQ(record.getKinds(), fields.kinds);
    ASSERT_EQ(record.getShard(), fields.shard);
    ASSERT_EQ(record.getKeyNamespace(), static_cast<std::uint8_t>(fields.key.name_space));
    ASSERT_EQ(record.getKey().asChars(), kj::StringPtr(key.c_str()));
    std::vector<CapturedValue> wanted;
    for (const CapturedValue& value : captured) {
      if (value.slot < kinds_of_slot.size() && (kinds_of_slot[value.slot] & fields.kinds) != 0 &&
          value.value.kind != ValueKind::kAbsent) {
        wanted.push_back(value);
      }
    }
    const auto stored = record.getValues();
    ASSERT_EQ(stored.size(), wanted.size());
    for (unsigned at = 0; at < stored.size(); ++at) {
      ASSERT_EQ(stored[at].getSlot(), wanted[at].slot);
      ASSERT_EQ(stored[at].getElement(), wanted[at].element);
      ASSERT_EQ(stored[at].getKind(), static_cast<std::uint8_t>(wanted[at].value.kind));
      ASSERT_EQ(stored[at].getNumber(), wanted[at].value.number);
      const auto text = stored[at].getText().asChars();
      ASSERT_EQ(std::string_view(text.begin(), text.size()),
                std::string_view(wanted[at].value.text, wanted[at].value.text_bytes));
    }
    // The whole of it is what the library needs, and what lies between the texts is zero.
    ASSERT_LE(record.totalSize().wordCount + 1, words.size());
    ASSERT_GE(record.totalSize().wordCount + 1, words.size());
  }
}

TEST(RecordBuilder, PaddingBehindTextsIsZero) {
  const std::uint64_t kinds_of_slot[] = {1};
  const CapturedValue captured[] = {{0, 0, Value::of("abc", 3)}};
  RecordFields fields;
  fields.kinds = 1;
  fields.key = {KeyNamespace::kUser, "u", 1};
  const std::vector<std::uint64_t> words = built(fields, {captured, kinds_of_slot, 1});
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(words.data());
  const std::string expected_key("u\0\0\0\0\0\0\0", 8);
  const std::string expected_text("abc\0\0\0\0\0", 8);
  EXPECT_EQ(std::string(bytes + 9 * 8, bytes + 10 * 8), expected_key);
  EXPECT_EQ(std::string(bytes + (words.size() - 1) * 8, bytes + words.size() * 8), expected_text);
}

}  // namespace
}  // namespace deja
