#include "ingest/trace_context.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/support/seed.h"

namespace deja {
namespace {

constexpr const char* kValid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(Traceparent, NamesTraceSpanAndFlag) {
  const TraceContext context = read_traceparent(kValid);
  EXPECT_EQ(context.trace_high, 0x4bf92f3577b34da6U);
  EXPECT_EQ(context.trace_low, 0xa3ce929d0e0e4736U);
  EXPECT_EQ(context.parent, 0x00f067aa0ba902b7U);
  EXPECT_TRUE(context.sampled);
}

TEST(Traceparent, IsSampledByItsLowestBitAlone) {
  const auto sampled = [](const std::string& flags) {
    const TraceContext context =
        read_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-" + flags);
    EXPECT_NE(context.parent, 0U) << flags;
    return context.sampled;
  };
  EXPECT_FALSE(sampled("00"));
  EXPECT_TRUE(sampled("03")) << "level 2's random-trace-id flag beside it";
  EXPECT_FALSE(sampled("02"));
  EXPECT_TRUE(sampled("ff"));
  EXPECT_FALSE(sampled("fe"));
}

TEST(Traceparent, OfALaterVersionMaySayMore) {
  const std::string rest = "-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  for (const char* version : {"01", "cc", "fe"}) {
    EXPECT_TRUE(read_traceparent(version + rest).sampled) << version;
    EXPECT_TRUE(read_traceparent(version + rest + "-what-the-future-will-be-like").sampled);
    EXPECT_TRUE(read_traceparent(version + rest + "-").sampled);
    EXPECT_EQ(read_traceparent(version + rest + ".what").parent, 0U) << "no more without a dash";
  }
  EXPECT_EQ(read_traceparent("ff" + rest).parent, 0U);
  EXPECT_EQ(read_traceparent("00" + rest + "-more").parent, 0U) << "version 00 says no more";
}

TEST(Traceparent, ToTheLetterOrNotAtAll) {
  for (const char* text : {
           "",
           "00",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
           " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01",
           "0X-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
           "00-4bf92f3577b34da6-a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b701",
           "0-04bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
       }) {
    const TraceContext context = read_traceparent(text);
    EXPECT_EQ(context.trace_high | context.trace_low | context.parent, 0U) << text;
    EXPECT_FALSE(context.sampled) << text;
  }
}

TEST(Traceparent, AnybodysBytesAreReadWithinTheirBounds) {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 100'000; ++round) {
    std::string text = kValid;
    for (auto damage = 1 + random() % 3; damage > 0; --damage) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    text.resize(random() % (text.size() + 1));
    const std::string exact(text.begin(), text.end());
    const TraceContext context = read_traceparent(exact);
    if (context.parent == 0) {
      EXPECT_FALSE(context.sampled);
    }
  }
}

TEST(Traceparent, TwiceInARequestIsNone) {
  const std::vector<HttpHeader> once = {{"host", "x"}, {"TraceParent", kValid}};
  EXPECT_TRUE(trace_context_of(once).sampled);
  std::vector<HttpHeader> twice = once;
  twice.push_back({"traceparent", kValid});
  EXPECT_EQ(trace_context_of(twice).parent, 0U);
  EXPECT_EQ(trace_context_of({}).parent, 0U);
}

}  // namespace
}  // namespace deja
