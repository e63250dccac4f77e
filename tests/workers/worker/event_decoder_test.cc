#include "workers/event_decoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "tests/support/seed.h"
#include "tests/support/test_appliance.h"
#include "tests/support/test_event.h"

namespace deja {
namespace {

constexpr std::uint32_t kShards = 4;

class EventDecoderTest : public testing::Test {
 protected:
  EventDecoderTest() {
    std::uint32_t frame_bytes = 0;
    catalog_bytes_ = build_catalog(TestAppliance::small(), frame_bytes);
    words_.resize(catalog_bytes_.size() / sizeof(std::uint64_t));
    std::memcpy(words_.data(), catalog_bytes_.data(), catalog_bytes_.size());
    reader_ = std::make_unique<capnp::FlatArrayMessageReader>(
        kj::arrayPtr(reinterpret_cast<const capnp::word*>(words_.data()), words_.size()));
    geometry_ = TableGeometry::plan(100, kShards, 1, 64, frame_bytes);
    for (const auto slot : reader_->getRoot<schema::Catalog>().getSlots()) {
      roots_.push_back(slot.getRoot());
    }
    event_ = std::make_unique<Event>(roots_);
  }

  [[nodiscard]] EventDecoder decoder(std::uint32_t worker = 0) const {
    return {reader_->getRoot<schema::Catalog>(), geometry_, worker};
  }
  bool decodes(const std::vector<std::uint8_t>& bytes) {
    return decoder().decode(bytes.data(), static_cast<std::uint32_t>(bytes.size()), *event_);
  }
  bool decodes(const TestEvent& event) { return decodes(kept_ = event.bytes(kShards)); }
  /// The good event with one thing changed by `change` behind TestEvent's back.
  template <typename Change>
  bool decodes_with(Change&& change) {
    capnp::MallocMessageBuilder message(64 * 1024);
    auto record = message.initRoot<schema::EventRecord>();
    good().fill(record, kShards);
    change(record);
    const auto words = message.getSegmentsForOutput()[0].asBytes();
    return decodes(std::vector<std::uint8_t>(words.begin(), words.end()));
  }
  static TestEvent good() {
    TestEvent event{"user-17"};
    event.kinds = 3;
    event.id_low = 5;
    event.id_high = 6;
    event.values = {{0, 0, ValueKind::kText, 0, "shoe"},
                    {2, 0, ValueKind::kNumber, 9.5},
                    {1, 0, ValueKind::kNull},
                    {3, 0, ValueKind::kBool, 1},
                    {4, 0, ValueKind::kNumber, 1},
                    {4, 2, ValueKind::kNumber, 3}};
    return event;
  }

  std::vector<std::uint8_t> catalog_bytes_;
  std::vector<std::uint64_t> words_;
  std::unique_ptr<capnp::FlatArrayMessageReader> reader_;
  TableGeometry geometry_;
  std::vector<std::uint16_t> roots_;
  std::unique_ptr<Event> event_;
  std::vector<std::uint8_t> kept_;
};

TEST_F(EventDecoderTest, AGoodRecordHasAllItsFields) {
  ASSERT_TRUE(decodes(good()));
  EXPECT_EQ(event_->received_us, good().received_us);
  EXPECT_EQ(event_->time_us, good().time_us);
  EXPECT_EQ(event_->id_low, 5U);
  EXPECT_EQ(event_->id_high, 6U);
  EXPECT_EQ(event_->kinds, 3U);
  EXPECT_TRUE(event_->key == good().as_key());
  EXPECT_EQ(event_->shard, shard_of(good().as_key(), kShards));
  const Value item = event_->values.get(0, 0);
  ASSERT_EQ(item.kind, ValueKind::kText);
  EXPECT_EQ(std::string(item.text, item.text_bytes), "shoe");
  EXPECT_EQ(event_->values.get(1, 0).kind, ValueKind::kNull);
  EXPECT_EQ(event_->values.get(2, 0).number, 9.5);
  EXPECT_EQ(event_->values.get(3, 0).kind, ValueKind::kBool);
  EXPECT_EQ(event_->values.element_count(1), 3U);
  EXPECT_TRUE(event_->values.get(4, 1).absent());
  EXPECT_EQ(event_->values.get(4, 2).number, 3);
}

TEST_F(EventDecoderTest, TheNextEventHasNothingOfTheLast) {
  ASSERT_TRUE(decodes(good()));
  ASSERT_TRUE(decodes(TestEvent{"someone"}));
  for (std::uint32_t slot = 0; slot < roots_.size(); ++slot) {
    EXPECT_TRUE(event_->values.get(slot, 0).absent());
  }
  EXPECT_EQ(event_->values.element_count(1), 0U);
}

TEST_F(EventDecoderTest, EveryFieldIsChecked) {
  using Builder = schema::EventRecord::Builder;
  EXPECT_TRUE(decodes_with([](Builder) {}));
  EXPECT_FALSE(decodes_with([](Builder event) { event.setKinds(0); }));
  EXPECT_FALSE(decodes_with([](Builder event) { event.setKinds(4); }));
  EXPECT_FALSE(decodes_with([](Builder event) { event.setShard((event.getShard() + 1) % 4); }));
  EXPECT_FALSE(decodes_with([](Builder event) { event.setShard(4); }));
  EXPECT_FALSE(decodes_with([](Builder event) { event.setKeyNamespace(2); }));
  EXPECT_FALSE(decodes_with([](Builder event) { event.initKey(0); }));
  EXPECT_FALSE(decodes_with([](Builder event) { event.setTimeUs(-1); }));
  EXPECT_FALSE(decodes_with([](Builder event) { event.setTimeUs(kEventTimeMaxUs + 1); }));
  EXPECT_FALSE(decodes_with([](Builder event) { event.setReceivedUs(INT64_MIN); }));
  EXPECT_FALSE(decodes_with([](Builder event) { event.getValues()[0].setSlot(5); }));
  EXPECT_FALSE(decodes_with([](Builder event) { event.getValues()[0].setElement(1); }));
  EXPECT_FALSE(decodes_with([](Builder event) { event.getValues()[5].setElement(kElementsMax); }));
  EXPECT_FALSE(decodes_with([](Builder event) { event.getValues()[0].setKind(5); }));
  EXPECT_FALSE(decodes_with([](Builder event) { event.getValues()[0].setKind(0); }));
  EXPECT_FALSE(decodes_with([](Builder event) { event.getValues()[1].setNumber(NAN); }));
  EXPECT_FALSE(decodes_with([](Builder event) {
    event.getValues()[1].setNumber(-std::numeric_limits<double>::infinity());
  }));
  EXPECT_FALSE(decodes_with([](Builder event) { event.getValues()[3].setNumber(2); }));
  EXPECT_FALSE(decodes_with([](Builder event) { event.getValues()[3].setNumber(NAN); }));
  TestEvent long_key = good();
  long_key.key = std::string(65, 'x');
  EXPECT_FALSE(decodes(long_key));
  long_key.key.pop_back();
  EXPECT_TRUE(decodes(long_key));
}

TEST_F(EventDecoderTest, AnotherWorkersShardIsRefused) {
  geometry_.worker_count = 2;
  const std::uint32_t owner = geometry_.owner_of(shard_of(good().as_key(), kShards));
  kept_ = good().bytes(kShards);
  const auto size = static_cast<std::uint32_t>(kept_.size());
  EXPECT_TRUE(decoder(owner).decode(kept_.data(), size, *event_));
  EXPECT_FALSE(decoder(1 - owner).decode(kept_.data(), size, *event_));
}

TEST_F(EventDecoderTest, NoTruncatedRecordIsARecordWithMore) {
  const std::vector<std::uint8_t> whole = good().bytes(kShards);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(decodes(std::vector<std::uint8_t>(
        whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))))
        << size;
  }
}

TEST_F(EventDecoderTest, AnyBytesAreRefusedOrWithinThemselves) {
  std::mt19937_64 random(test_seed());
  const std::vector<std::uint8_t> whole = good().bytes(kShards);
  int accepted = 0;
  for (int round = 0; round < 200'000; ++round) {
    // In memory of its own size: reading outside of it is an error under AddressSanitizer.
    std::vector<std::uint8_t> bytes = whole;
    for (std::uint64_t flips = 1 + random() % 4; flips != 0; --flips) {
      bytes[random() % bytes.size()] ^= static_cast<std::uint8_t>(1U << (random() % 8));
    }
    if (!decodes(bytes)) continue;
    ++accepted;
    ASSERT_GE(reinterpret_cast<const std::uint8_t*>(event_->key.bytes), bytes.data());
    ASSERT_LE(reinterpret_cast<const std::uint8_t*>(event_->key.bytes) + event_->key.size,
              bytes.data() + bytes.size());
    for (std::uint32_t slot = 0; slot < roots_.size(); ++slot) {
      const Value value = event_->values.get(slot, 0);
      if (value.kind == ValueKind::kNumber) {
        ASSERT_TRUE(std::isfinite(value.number));
      }
    }
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace deja
