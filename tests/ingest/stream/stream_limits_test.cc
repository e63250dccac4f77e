// One client of the stream that is too slow, sends too much, holds too much or guesses.
#include <gtest/gtest.h>

#include "tests/ingest/stream/stream_harness.h"

namespace deja {
namespace {

std::vector<FillEvent> many(std::size_t count) {
  return std::vector<FillEvent>(count, track("Product Viewed"));
}

TEST(StreamLimits, AHelloHasToComeSoon) {
  StreamHarness harness;
  EXPECT_FALSE(harness.handler->is_overdue(harness.now_us));
  const Bytes hello = hello_frame();
  harness.receive(Bytes(hello.begin(), hello.end() - 1));
  EXPECT_FALSE(harness.handler->is_overdue(harness.now_us + kHelloUs - 1));
  EXPECT_TRUE(harness.handler->is_overdue(harness.now_us + kHelloUs));
  EXPECT_EQ(harness.handler->on_overdue(), Next::kClose);
  EXPECT_EQ(harness.output->answers().at(0).code, "too_slow");
}

TEST(StreamLimits, AFrameThatHasBegunHasToEndSoon) {
  StreamHarness harness;
  harness.receive(hello_frame());
  EXPECT_FALSE(harness.handler->is_overdue(harness.now_us));
  EXPECT_FALSE(harness.handler->is_overdue(harness.now_us + 100 * kFrameUs)) << "idle is no crime";
  const Bytes batch = batch_frame(1, many(3));
  std::int64_t now_us = harness.now_us;
  for (std::size_t at = 0; at + 1 < batch.size() && at < 5; ++at) {
    harness.receive(Bytes(1, batch[at]));
    EXPECT_FALSE(harness.handler->is_overdue(now_us));
    now_us += kFrameUs / 5;
  }
  EXPECT_TRUE(harness.handler->is_overdue(now_us)) << "a byte now and then is no progress";
  EXPECT_EQ(harness.handler->on_overdue(), Next::kClose);
  EXPECT_EQ(harness.output->answers().back().code, "too_slow");
}

TEST(StreamLimits, WholeFramesInBetweenAreProgress) {
  StreamHarness harness;
  harness.receive(hello_frame());
  std::int64_t now_us = harness.now_us;
  const Bytes first = batch_frame(1, {});
  harness.receive(Bytes(first.begin(), first.begin() + 10));
  Bytes rest(first.begin() + 10, first.end());
  for (std::uint64_t sequence = 2; sequence < 20; ++sequence, now_us += kFrameUs - 1) {
    const Bytes next = batch_frame(sequence, {});
    rest.insert(rest.end(), next.begin(), next.begin() + 10);
    harness.receive(rest);
    rest.assign(next.begin() + 10, next.end());
    EXPECT_FALSE(harness.handler->is_overdue(now_us)) << sequence;
    while (harness.handler->busy()) harness.pass();
  }
}

TEST(StreamLimits, WhoNeverReadsItsAnswersIsLeftAlone) {
  StreamHarness harness;
  harness.receive(hello_frame());
  harness.output->pretend_unsent(1U << 20U);
  EXPECT_FALSE(harness.handler->is_overdue(harness.now_us));
  EXPECT_FALSE(harness.handler->is_overdue(harness.now_us + kUnreadUs - 1));
  EXPECT_TRUE(harness.handler->is_overdue(harness.now_us + kUnreadUs));
  EXPECT_EQ(harness.handler->on_overdue(), Next::kAbort);
}

TEST(StreamLimits, AFullRingIsNobodysSlowness) {
  auto options = StreamHarness::shop();
  options.ring_bytes = 4096;
  options.full_ring_wait_us = 1'000 * kFrameUs;
  StreamHarness harness(options);
  harness.receive(hello_frame());
  EXPECT_EQ(harness.receive(batch_frame(1, many(100))), Next::kPause);
  EXPECT_FALSE(harness.handler->is_overdue(harness.now_us));
  EXPECT_FALSE(harness.handler->is_overdue(harness.now_us + 100 * kFrameUs));
}

SinkAppliance::Options limited() {
  auto options = StreamHarness::shop();
  options.write_keys = {"first", "second"};
  options.address_events_per_s = 1;  // a batch of 1,000 is paid for by a quarter of an hour
  options.trusted_proxies = {"10.0.0.0/8"};
  return options;
}

/// Another connection to the same appliance, from an address of its own.
struct Peer {
  Peer(StreamHarness& the_harness, const char* address)
      : harness(the_harness), handler(harness.factory->make_handler()) {
    output.set_peer(PeerAddress::parse(address).value());
    handler->on_open(output);
  }
  ~Peer() { handler->on_close(); }
  std::vector<Answer> answers_to(const Bytes& bytes) {
    handler->on_receive(bytes, harness.now_us);
    while (handler->busy()) {
      harness.pass();
      handler->on_pass(harness.now_us);
    }
    return output.answers();
  }
  StreamHarness& harness;
  std::unique_ptr<ConnectionHandler> handler;
  CollectedOutput output;
};

TEST(StreamLimits, ABatchThatComesTooEarlyIsRejectedToBeSentAgain) {
  StreamHarness harness(limited());
  Peer peer(harness, "192.0.2.1");
  EXPECT_EQ(peer.answers_to(hello_frame("first")).size(), 1U);
  const auto taken = peer.answers_to(batch_frame(1, many(1000)));
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_TRUE(taken[0].rejects.empty());
  const auto refused = peer.answers_to(batch_frame(2, many(3)));
  ASSERT_EQ(refused.size(), 1U);
  ASSERT_EQ(refused[0].rejects.size(), 3U);
  for (std::uint32_t index = 0; index < 3; ++index) {
    EXPECT_EQ(refused[0].rejects[index].index, index);
    EXPECT_EQ(refused[0].rejects[index].code, "rate_limited");
    EXPECT_TRUE(refused[0].rejects[index].retry);
  }
  EXPECT_TRUE(refused[0].token.empty());
  EXPECT_EQ(harness.records.size(), 1000U);
  EXPECT_TRUE(harness.sums_agree());
  EXPECT_EQ(harness.appliance.counter("deja_rate_limited_total{by=\"address\",thread=\"0\"}"), 1U);

  Peer neighbour(harness, "192.0.2.2");
  neighbour.answers_to(hello_frame("first"));
  EXPECT_TRUE(neighbour.answers_to(batch_frame(1, many(1))).at(0).rejects.empty());
}

TEST(StreamLimits, GuessingKeysIsLimitedToo) {
  StreamHarness harness(limited());
  const auto guess = [&] {
    Peer peer(harness, "192.0.2.1");
    return peer.answers_to(hello_frame("guess")).at(0).code;
  };
  EXPECT_EQ(guess(), "bad_write_key");
  EXPECT_EQ(guess(), "bad_write_key") << "the bucket is empty, and refills a little at once";
  EXPECT_EQ(guess(), "rate_limited");
  Peer neighbour(harness, "192.0.2.2");
  EXPECT_EQ(neighbour.answers_to(hello_frame("guess")).at(0).code, "bad_write_key");
}

TEST(StreamLimits, WhoIsBehindAProxyOrAUnixSocketIsNotLimitedByAddress) {
  StreamHarness harness(limited());
  Peer proxied(harness, "10.1.2.3");
  proxied.answers_to(hello_frame("first"));
  harness.receive(hello_frame("second"));
  for (std::uint64_t sequence = 1; sequence < 5; ++sequence) {
    EXPECT_TRUE(proxied.answers_to(batch_frame(sequence, many(1000))).at(0).rejects.empty());
    const auto answers = harness.answers_to(batch_frame(sequence, many(1000)));
    EXPECT_TRUE(answers.back().rejects.empty());
  }
}

TEST(StreamLimits, AKeyIsLimitedFromWhereverItIsUsed) {
  auto options = limited();
  options.address_events_per_s = 0;
  options.key_events_per_s = 1;
  StreamHarness harness(options);
  Peer one(harness, "192.0.2.1");
  Peer two(harness, "192.0.2.2");
  Peer other_key(harness, "192.0.2.2");
  one.answers_to(hello_frame("first"));
  two.answers_to(hello_frame("first"));
  other_key.answers_to(hello_frame("second"));
  EXPECT_TRUE(one.answers_to(batch_frame(1, many(1000))).at(0).rejects.empty());
  EXPECT_EQ(two.answers_to(batch_frame(1, many(2))).at(0).rejects.size(), 2U);
  EXPECT_TRUE(other_key.answers_to(batch_frame(1, many(2))).at(0).rejects.empty());
}

}  // namespace
}  // namespace deja
