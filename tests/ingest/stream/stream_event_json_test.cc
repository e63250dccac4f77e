// A stream's event as JSON for its dead letter: all of it where that can be, and never more than is
// kept, whatever the message says.
#include "ingest/stream_event_json.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "ring/rejected_event.h"
#include "tests/ingest/stream/stream_harness.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

using EventBuilder = stream_schema::Event::Builder;

struct Written {
  std::string text;
  bool whole = false;
};

Written write_frame(const Bytes& bytes) {
  const Frame frame = first_frame(bytes);
  Written written;
  if (frame.state != FrameState::kWhole) return written;
  auto message = capnp_view::Message::of_message(frame.message.data(), frame.message.size());
  const auto events = message.root().structure(0).list(0);
  if (events.size() == 0) return written;
  written.whole = stream_event_json(message, events[0], written.text);
  return written;
}
Written write(const FillEvent& fill) {
  return write_frame(batch_frame(1, {fill}));
}

TEST(StreamEventJson, SaysWhatTheEventSaid) {
  const Written all = write([](EventBuilder event) {
    event.setCall(stream_schema::Call::GROUP);
    event.setTimestampUs(1'700'000'000'000'000);
    event.setName("g\"1");
    event.setUserId("ada");
    event.setMessageId("m1");
    auto members = event.initProperties(5);
    members[0].setName("price");
    members[0].setNumber(9.5);
    members[1].setName("none");
    members[1].setNull();
    members[2].setName("flag");
    members[2].setBoolean(true);
    members[3].setName("list");
    auto list = members[3].initList(2);
    list[0].setText("a");
    list[1].initObject(0);
    members[4].setName("");
    members[4].initObject(1)[0].setName("deep");
  });
  EXPECT_TRUE(all.whole);
  EXPECT_EQ(all.text,
            "{\"type\":\"group\",\"groupId\":\"g\\\"1\",\"userId\":\"ada\",\"messageId\":\"m1\","
            "\"timestamp\":\"2023-11-14T22:13:20.000Z\",\"properties\":{\"price\":9.5,"
            "\"none\":null,\"flag\":true,\"list\":[\"a\",{}],\"\":{\"deep\":null}}}");
  EXPECT_EQ(write([](EventBuilder) {}).text, "{}");
  EXPECT_EQ(write([](EventBuilder event) { event.setTimestampUs(-5); }).text, "{\"timestamp\":-5}");
}

TEST(StreamEventJson, SaysWhereThatIsNotAllOrNotAsItWas) {
  EXPECT_FALSE(write([](EventBuilder event) { event.setUserId("\xff"); }).whole);
  EXPECT_FALSE(write([](EventBuilder event) {
                 event.initProperties(1)[0].setNumber(std::numeric_limits<double>::infinity());
               }).whole);
  EXPECT_FALSE(
      write([](EventBuilder event) { event.setCall(static_cast<stream_schema::Call>(7)); }).whole);
  const Written deep = write([](EventBuilder event) {
    auto member = event.initProperties(1)[0];
    for (std::uint32_t level = 0; level < 2 * kDepthMax; ++level) {
      member = member.initObject(1)[0];
      member.setName("m");
    }
  });
  EXPECT_FALSE(deep.whole);
  const Written long_text =
      write([](EventBuilder event) { event.setUserId(std::string(30'000, '\n').c_str()); });
  EXPECT_FALSE(long_text.whole);
  EXPECT_LE(long_text.text.size(), std::size_t{8} * kRejectedTextMax);
  const Written many = write([](EventBuilder event) { event.initProperties(3000); });
  EXPECT_FALSE(many.whole);
  EXPECT_LE(many.text.size(), 2 * kRejectedTextMax);
}

TEST(StreamEventJson, StaysWithinItsBoundWhateverTheBytesAre) {
  std::mt19937_64 random(test_seed());
  const Bytes good = batch_frame(1, {[](EventBuilder event) {
                                   event.setCall(stream_schema::Call::TRACK);
                                   event.setUserId("ada");
                                   auto members = event.initProperties(4);
                                   for (auto member : members) {
                                     auto list = member.initList(3);
                                     for (auto element : list) element.initObject(2);
                                   }
                                 }});
  std::string kept;
  kept.reserve(std::size_t{8} * kRejectedTextMax);
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes = good;
    for (std::uint64_t flips = 1 + random() % 4; flips != 0; --flips) {
      bytes[16 + random() % (bytes.size() - 16)] = static_cast<std::uint8_t>(random());
    }
    const Written written = write_frame(bytes);
    ASSERT_LE(written.text.size(), kept.capacity());
    ASSERT_TRUE(!written.whole || written.text.size() <= kRejectedTextMax);
  }
}

}  // namespace
}  // namespace deja
