// What is said to a collector, as far as no collector is needed for it (tests/system/test_trace.py
// has one that reads it by OpenTelemetry's own schema).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ring/log_record.h"
#include "ring/trace_cell.h"
#include "tools/trace/otlp_address.h"
#include "tools/trace/otlp_exporter.h"
#include "tools/trace/otlp_request.h"

namespace deja {
namespace {

Story refused_story() {
  Story story;
  story.trace_high = 1;
  story.trace_low = 2;
  story.span = 0x33;
  story.wall_offset_ns = 1'700'000'000'000'000'000;
  story.slot.outcome = TraceOutcome::kRefused;
  story.slot.received_ns = 1000;
  story.slot.committed_ns = 3001;
  set_text(story.slot.code, "bad_timestamp", 13);
  set_text(story.slot.name, "a \"name\"", 8);
  return story;
}

TEST(OtlpRequest, IsWrittenAsTheProtocolsJsonAsksForIt) {
  const std::vector<Story> stories = {refused_story()};
  const std::string text = otlp_request(stories, {"shop", "host-1"});
  const auto has = [&](const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  };
  has(R"({"key":"service.name","value":{"stringValue":"deja"}})");
  has(R"({"key":"service.instance.id","value":{"stringValue":"shop"}})");
  has(R"({"key":"host.name","value":{"stringValue":"host-1"}})");
  has(R"("traceId":"00000000000000010000000000000002","spanId":"0000000000000033","flags":257)");
  has(R"("startTimeUnixNano":"1700000000000001000","endTimeUnixNano":"1700000000000003001")");
  has(R"({"key":"deja.event","value":{"stringValue":"a \"name\""}})");
  has(R"({"key":"deja.ring","value":{"intValue":"0"}})");
  has(R"("status":{"code":2,"message":"bad_timestamp"})");
  has(R"("parentSpanId":"0000000000000033","flags":257,"name":"committed","kind":1)");
  EXPECT_EQ(text.find("\"parentSpanId\":\"0000000000000000\""), std::string::npos);
  EXPECT_EQ(text.find("deja.message_id"), std::string::npos) << "it has none";
}

TEST(OtlpRequest, OfAClientsTraceIsItsSpansChild) {
  std::vector<Story> stories = {refused_story()};
  stories[0].slot.parent = 0xf0;
  const std::string text = otlp_request(stories, {"shop", ""});
  EXPECT_NE(text.find(R"("parentSpanId":"00000000000000f0","flags":769,"name":"event","kind":2)"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("host.name"), std::string::npos) << "unknown";
}

TEST(OtlpRequest, HasASpanForEachStageAndOneForAll) {
  const Story story = refused_story();
  EXPECT_EQ(span_count_of(story), 2U);
  EXPECT_EQ(span_count_of(Story{}), 0U);
  const std::vector<Story> none = {Story{}};
  EXPECT_NE(otlp_request(none, {"shop", ""}).find("\"spans\":[]"), std::string::npos);
}

TEST(OtlpAddress, IsAUrlInTheClear) {
  const auto full = parse_otlp_address("http://127.0.0.1:4318/v1/traces");
  ASSERT_TRUE(full.has_value());
  EXPECT_EQ(full->host_port, "127.0.0.1:4318");
  EXPECT_EQ(full->path, "/v1/traces");
  EXPECT_EQ(parse_otlp_address("http://collector")->host_port, "collector:4318");
  EXPECT_EQ(parse_otlp_address("http://collector/")->path, "/v1/traces");
  EXPECT_EQ(parse_otlp_address("http://collector/otel/v1/traces")->path, "/otel/v1/traces");
  EXPECT_EQ(parse_otlp_address("http://[::1]:1/x")->host_port, "[::1]:1");
  EXPECT_EQ(parse_otlp_address("http://[::1]")->host_port, "[::1]:4318");
  for (const char* wrong :
       {"", "collector:4318", "https://collector", "http://", "http:///x", "http://:4318",
        "http://collector:", "http://collector:0", "http://collector:65536", "http://collector:x",
        "http://user@collector", "http://col lector", "http://collector/a b",
        "http://collector/a\r\nX: y", "http://collector/?x", "http://collector/#x", "http://::1",
        "http://[]", "http://collector\r\n"}) {
    EXPECT_FALSE(parse_otlp_address(wrong).has_value()) << wrong;
  }
}

TEST(OtlpExporter, ReadsWhatACollectorDidNotTake) {
  EXPECT_EQ(rejected_spans_of(""), 0U);
  EXPECT_EQ(rejected_spans_of("{}"), 0U);
  EXPECT_EQ(rejected_spans_of(R"({"partialSuccess":{}})"), 0U);
  EXPECT_EQ(rejected_spans_of(R"({"partialSuccess":{"rejectedSpans":"3","errorMessage":"x"}})"),
            3U);
  EXPECT_EQ(rejected_spans_of(R"({"partialSuccess":{"rejectedSpans" : 12}})"), 12U);
  EXPECT_EQ(rejected_spans_of(R"({"rejectedSpans")"), 0U);
  EXPECT_EQ(rejected_spans_of(R"({"rejectedSpans":"-1"})"), 0U);
  EXPECT_EQ(rejected_spans_of(R"({"rejectedSpans":"99999999999999999999999"})"), 0U);
}

}  // namespace
}  // namespace deja
