#include "ingest/stream_handler.h"

#include <gtest/gtest.h>

#include "ingest/refusal_codes.h"
#include "tests/ingest/stream/stream_harness.h"

namespace deja {
namespace {

using Which = stream_schema::StreamMessage::Which;

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(StreamHandler, GreetsTakesABatchAndAcksItOnceItIsApplied) {
  StreamHarness harness;
  EXPECT_EQ(harness.receive(hello_frame()), Next::kReceive);
  const auto greeting = harness.output->answers();
  ASSERT_EQ(greeting.size(), 1U);
  EXPECT_EQ(greeting[0].which, Which::HELLO_REPLY);

  EXPECT_EQ(harness.receive(batch_frame(7, {track("Product Viewed"), track("Product Viewed")})),
            Next::kReceive);
  EXPECT_TRUE(harness.handler->busy());
  harness.pass(false);
  EXPECT_TRUE(harness.output->answers().empty());
  harness.pass(true);
  const auto acks = harness.output->answers();
  ASSERT_EQ(acks.size(), 1U);
  EXPECT_EQ(acks[0].which, Which::ACK);
  EXPECT_EQ(acks[0].sequence, 7U);
  EXPECT_TRUE(acks[0].rejects.empty());
  EXPECT_TRUE(acks[0].token.starts_with("v1."));
  EXPECT_FALSE(harness.handler->busy());
  EXPECT_EQ(harness.records.size(), 2U);
}

TEST(StreamHandler, ABatchIsTheSameHoweverItIsCut) {
  const Bytes all = hello_frame() + batch_frame(1, {track("Product Viewed")}) + batch_frame(2, {}) +
                    batch_frame(3, {track("Product Viewed"), track("x")});
  for (const std::size_t step : {std::size_t{1}, std::size_t{3}, std::size_t{64}, all.size()}) {
    StreamHarness harness;
    for (std::size_t at = 0; at < all.size(); at += step) {
      const std::size_t end = std::min(all.size(), at + step);
      harness.receive(Bytes(all.begin() + static_cast<std::ptrdiff_t>(at),
                            all.begin() + static_cast<std::ptrdiff_t>(end)));
    }
    while (harness.handler->busy()) harness.pass();
    const auto answers = harness.output->answers();
    ASSERT_EQ(answers.size(), 4U) << step;
    EXPECT_EQ(answers[1].sequence, 1U);
    EXPECT_EQ(answers[2].sequence, 2U);
    EXPECT_TRUE(answers[2].token.empty());
    EXPECT_EQ(answers[3].sequence, 3U);
    EXPECT_EQ(harness.records.size(), 2U);
    EXPECT_EQ(harness.total("events_unmatched"), 1U);
    EXPECT_TRUE(harness.sums_agree());
  }
}

TEST(StreamHandler, OneBadEventIsRejectedAndItsNeighboursAreTaken) {
  StreamHarness harness;
  const auto nobody = track("Product Viewed", "");
  const auto not_utf8 = track("Product Viewed", "\xff\xfe");
  const auto early = [](stream_schema::Event::Builder event) {
    track("Product Viewed")(event);
    event.setTimestampUs(-5);
  };
  const auto answers =
      harness.answers_to(hello_frame() + batch_frame(1, {track("Product Viewed"), nobody, not_utf8,
                                                         early, track("Product Viewed", "u2")}));
  ASSERT_EQ(answers.size(), 2U);
  ASSERT_EQ(answers[1].rejects.size(), 3U);
  EXPECT_EQ(answers[1].rejects[0].index, 1U);
  EXPECT_EQ(answers[1].rejects[0].code, "missing_user");
  EXPECT_FALSE(answers[1].rejects[0].retry);
  EXPECT_EQ(answers[1].rejects[1].code, "bad_utf8");
  EXPECT_EQ(answers[1].rejects[1].path, "userId");
  EXPECT_EQ(answers[1].rejects[2].code, "bad_timestamp");
  EXPECT_EQ(harness.records.size(), 2U);
  EXPECT_TRUE(harness.sums_agree());
}

TEST(StreamHandler, AWorkersRefusalIsARejectToTryAgain) {
  StreamHarness harness;
  harness.receive(hello_frame() + batch_frame(1, {track("Product Viewed"), track("x"),
                                                  track("Product Viewed", "u2")}));
  harness.appliance.sink().publish();
  const auto records = harness.appliance.records(0, false);
  ASSERT_EQ(records.size(), 2U);
  harness.appliance.give_verdict(0, records[1].end_position, RefusalReason::kTableFull);
  harness.appliance.consume(0);
  harness.pass();
  const auto answers = harness.output->answers();
  ASSERT_EQ(answers.size(), 2U);
  ASSERT_EQ(answers[1].rejects.size(), 1U);
  EXPECT_EQ(answers[1].rejects[0].index, 2U);
  EXPECT_EQ(answers[1].rejects[0].code, "table_full");
  EXPECT_TRUE(answers[1].rejects[0].retry);
}

SinkAppliance::Options small_ring() {
  auto options = StreamHarness::shop();
  options.ring_bytes = 4096;
  return options;
}

std::vector<FillEvent> many(std::size_t count) {
  return std::vector<FillEvent>(count, track("Product Viewed"));
}

TEST(StreamHandler, AFullRingPausesTheConnectionAndNothingIsLost) {
  StreamHarness harness(small_ring());
  EXPECT_EQ(harness.receive(hello_frame() + batch_frame(1, many(100)) + batch_frame(2, many(100))),
            Next::kPause);
  // What was already under way when the loop stopped receiving is kept.
  EXPECT_EQ(harness.receive(batch_frame(3, many(50))), Next::kPause);
  EXPECT_EQ(harness.pass(false), Next::kPause);
  int passes = 0;
  while (harness.handler->busy() && ++passes < 1000) harness.last = harness.pass();
  EXPECT_EQ(harness.last, Next::kReceive);
  const auto answers = harness.output->answers();
  ASSERT_EQ(answers.size(), 4U);
  for (std::size_t at = 1; at < 4; ++at) {
    EXPECT_EQ(answers[at].sequence, at);
    EXPECT_TRUE(answers[at].rejects.empty());
  }
  EXPECT_EQ(harness.records.size(), 250U);
  EXPECT_TRUE(harness.sums_agree());
}

TEST(StreamHandler, PastTheBoundAFullRingRejectsWhatDoesNotFit) {
  StreamHarness harness(small_ring());
  EXPECT_EQ(harness.receive(hello_frame() + batch_frame(1, many(100))), Next::kPause);
  harness.now_us += 49'999;
  EXPECT_EQ(harness.pass(false), Next::kPause);
  harness.now_us += 1;
  EXPECT_EQ(harness.pass(false), Next::kReceive);
  while (harness.handler->busy()) harness.pass();
  const auto answers = harness.output->answers();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[1].rejects.size() + harness.records.size(), 100U);
  ASSERT_FALSE(answers[1].rejects.empty());
  EXPECT_EQ(answers[1].rejects[0].code, "ring_full");
  EXPECT_TRUE(answers[1].rejects[0].retry);
  EXPECT_EQ(harness.appliance.rejected("ring_full"), answers[1].rejects.size());
  EXPECT_TRUE(harness.sums_agree());
}

TEST(StreamHandler, APeerThatDoesNotReadIsNotReadFrom) {
  StreamHarness harness;
  harness.receive(hello_frame());
  harness.output->pretend_unsent(1U << 20U);
  EXPECT_EQ(harness.receive(batch_frame(1, many(3))), Next::kPause);
  EXPECT_EQ(harness.pass(), Next::kPause);
  EXPECT_EQ(harness.output->answers().size(), 1U);
  harness.output->pretend_unsent(0);
  EXPECT_EQ(harness.pass(), Next::kReceive);
  EXPECT_EQ(harness.output->answers().size(), 1U);
}

TEST(StreamHandler, AfterTheLastByteAnswersStillGoOut) {
  StreamHarness harness;
  harness.receive(hello_frame() + batch_frame(1, many(3)));
  EXPECT_EQ(harness.handler->on_end(), Next::kPause);
  EXPECT_EQ(harness.pass(), Next::kClose);
  EXPECT_EQ(harness.output->answers().size(), 2U);
}

TEST(StreamHandler, APooledHandlerBeginsAnew) {
  StreamHarness harness;
  harness.receive(hello_frame() + batch_frame(9, many(3)) + Bytes(5, 0));
  harness.handler->on_close();
  CollectedOutput output;
  harness.handler->on_open(output);
  EXPECT_FALSE(harness.handler->busy());
  harness.receive(batch_frame(1, many(1)));
  const auto answers = output.answers();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].code, "hello_expected");
}

struct HostileCase {
  const char* what;
  Bytes bytes;
  const char* code;
};

Bytes with_u32(Bytes frame, std::size_t at, std::uint32_t value) {
  std::memcpy(frame.data() + at, &value, 4);
  return frame;
}

TEST(StreamHandler, EachMistakeInTheProtocolHasItsError) {
  const Bytes hello = hello_frame();
  const Bytes batch = batch_frame(5, many(2));
  const auto level = [](auto of) { return hello_frame("", 1, of); };
  const HostileCase cases[] = {
      {"length 0", with_u32(hello, 0, 0), "bad_frame"},
      {"length 8: no segment", with_u32(hello, 0, 8), "bad_frame"},
      {"length no multiple of 8", with_u32(hello, 0, 33), "bad_frame"},
      {"length beyond the limit", with_u32(hello, 0, 512 * 1024 + 8), "bad_frame"},
      {"length of 4 GiB", with_u32(hello, 0, 0xfffffff8U), "bad_frame"},
      {"flags", with_u32(hello, 4, 1), "bad_frame"},
      {"two segments", with_u32(hello, 8, 1), "bad_frame"},
      {"segment shorter than the frame", with_u32(hello, 12, 1), "bad_frame"},
      {"HTTP", Bytes{'P', 'O', 'S', 'T', ' ', '/', 'v', '1', '/', 't', 'r', 'a'}, "bad_frame"},
      {"root pointer out of the segment", with_u32(hello, 16, 0x7ffffffcU), "bad_message"},
      {"root is a list", with_u32(hello, 16, 1), "bad_message"},
      {"far pointer", with_u32(hello, 16, 2), "bad_message"},
      {"nothing", frame_of([](auto message) { message.setNothing(); }), "bad_message"},
      {"a server's message", frame_of([](auto message) { message.initAck(); }), "bad_message"},
      {"an unknown message", with_u32(hello, 24, 99), "bad_message"},
      {"batch before hello", batch, "hello_expected"},
      {"hello twice", hello + hello, "hello_repeated"},
      {"version 0", hello_frame("", 0), "unsupported_version"},
      {"version 2", hello_frame("", 2), "unsupported_version"},
      {"unknown ack level", level(static_cast<stream_schema::AckLevel>(3)), "ack_unavailable"},
      {"far ack level", level(static_cast<stream_schema::AckLevel>(65535)), "ack_unavailable"},
      {"same sequence", hello + batch + batch, "bad_sequence"},
      {"smaller sequence", hello + batch + batch_frame(4, {}), "bad_sequence"},
      {"too many events", hello + batch_frame(1, many(1025)), "batch_too_large"},
      {"events list broken", hello + with_u32(batch, 16 + 8 * 5, 0x7ffffffdU), "bad_message"},
  };
  for (const HostileCase& hostile : cases) {
    StreamHarness harness;
    EXPECT_EQ(harness.receive(hostile.bytes), Next::kClose) << hostile.what;
    const auto answers = harness.output->answers();
    ASSERT_FALSE(answers.empty()) << hostile.what;
    EXPECT_EQ(answers.back().which, Which::ERROR) << hostile.what;
    EXPECT_EQ(answers.back().code, hostile.code) << hostile.what;
    EXPECT_FALSE(harness.handler->busy()) << hostile.what;
    EXPECT_EQ(harness.receive(batch), Next::kClose) << hostile.what;
    EXPECT_TRUE(harness.output->answers().empty()) << hostile.what;
    EXPECT_TRUE(harness.sums_agree()) << hostile.what;
    EXPECT_EQ(harness.appliance.view().errors.size(), 1U) << hostile.what;
  }
}

TEST(StreamHandler, AnEndWithinAFrameIsAnError) {
  Bytes part = batch_frame(1, many(1));
  part.resize(20);
  StreamHarness harness;
  harness.receive(hello_frame() + part);
  EXPECT_EQ(harness.handler->on_end(), Next::kClose);
  const auto answers = harness.output->answers();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[1].code, "bad_frame");
}

TEST(StreamHandler, WriteKeysOpenTheDoor) {
  auto options = StreamHarness::shop();
  options.write_keys = {"first-key", "second-key"};
  for (const char* key : {"", "first", "first-keyfirst-key", "second-kez"}) {
    StreamHarness harness(options);
    EXPECT_EQ(harness.receive(hello_frame(key)), Next::kClose) << key;
    EXPECT_EQ(harness.output->answers().at(0).code, "bad_write_key") << key;
  }
  for (const char* key : {"first-key", "second-key"}) {
    StreamHarness harness(options);
    EXPECT_EQ(harness.receive(hello_frame(key)), Next::kReceive) << key;
    EXPECT_EQ(harness.output->answers().at(0).which, Which::HELLO_REPLY) << key;
  }
}

TEST(StreamHandler, WhoSendsBeyondTheCreditsIsClosed) {
  StreamHarness harness;
  harness.receive(hello_frame());
  Next next = Next::kReceive;
  std::uint64_t sequence = 0;
  while (next == Next::kReceive && sequence < 100) {
    next = harness.receive(batch_frame(++sequence, many(1000)));
  }
  EXPECT_EQ(next, Next::kClose);
  EXPECT_EQ(sequence, 5U);
  EXPECT_EQ(harness.output->answers().back().code, "over_credit");
}

TEST(StreamHandler, WhoSendsWithoutEndAtAFullRingIsClosed) {
  StreamHarness harness(small_ring());
  Next next = harness.receive(hello_frame() + batch_frame(1, many(100)));
  for (std::uint64_t sequence = 2; next == Next::kPause && sequence < 100; ++sequence) {
    next = harness.receive(batch_frame(sequence, many(1000)));
  }
  EXPECT_EQ(next, Next::kClose);
  EXPECT_EQ(harness.output->answers().back().code, "over_credit");
}

}  // namespace
}  // namespace deja
