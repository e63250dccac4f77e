#include "tools/trace/otlp_request.h"

#include <string_view>
#include <utility>
#include <vector>

#include "ingest/message_id.h"
#include "shm/json_text.h"

namespace deja {
namespace {

// opentelemetry/proto/trace/v1/trace.proto
constexpr int kSpanKindInternal = 1;
constexpr int kSpanKindServer = 2;
constexpr int kStatusCodeError = 2;
constexpr unsigned kFlagsSampled = 0x01;
constexpr unsigned kFlagsParentKnown = 0x100;  // it is said below whether the parent is remote
constexpr unsigned kFlagsParentRemote = 0x200;

class Attributes {
 public:
  explicit Attributes(std::string& out) : out_(out) { out_ += "\"attributes\":["; }
  void text(std::string_view key, std::string_view value) {
    if (value.empty()) return;
    begin(key);
    out_ += "\"stringValue\":";
    append_json_text(out_, value);
    out_ += "}}";
  }
  void number(std::string_view key, std::uint64_t value) {
    begin(key);
    out_.append("\"intValue\":\"").append(std::to_string(value)).append("\"}}");
  }
  void end() { out_ += ']'; }

 private:
  void begin(std::string_view key) {
    out_ += first_ ? "{\"key\":" : ",{\"key\":";
    first_ = false;
    append_json_text(out_, key);
    out_ += ",\"value\":{";
  }
  std::string& out_;
  bool first_ = true;
};

struct Span {
  std::uint64_t id = 0;
  std::uint64_t parent = 0;
  bool parent_remote = false;
  std::string_view name;
  int kind = kSpanKindInternal;
  std::int64_t start_ns = 0;  // CLOCK_MONOTONIC
  std::int64_t end_ns = 0;
};

/// All but its attributes and its end.
void begin_span(std::string& out, const Story& story, const Span& span) {
  const unsigned flags =
      kFlagsSampled | kFlagsParentKnown | (span.parent_remote ? kFlagsParentRemote : 0);
  out += "{\"traceId\":\"" + hex_word(story.trace_high) + hex_word(story.trace_low) +
         "\",\"spanId\":\"" + hex_word(span.id) + "\"";
  if (span.parent != 0) out += ",\"parentSpanId\":\"" + hex_word(span.parent) + "\"";
  out += ",\"flags\":" + std::to_string(flags) + ",\"name\":";
  append_json_text(out, span.name);
  out += ",\"kind\":" + std::to_string(span.kind) + ",\"startTimeUnixNano\":\"" +
         std::to_string(span.start_ns + story.wall_offset_ns) + "\",\"endTimeUnixNano\":\"" +
         std::to_string(span.end_ns + story.wall_offset_ns) + "\"";
}

bool has_failed(std::string_view outcome) {
  return outcome == "refused" || outcome == "dead" || outcome == "abandoned";
}

void append_event(std::string& out, const Story& story, const std::vector<Stage>& stages) {
  begin_span(out, story,
             {story.span, story.slot.parent, story.slot.parent != 0, "event", kSpanKindServer,
              stages.front().at_ns, stages.back().at_ns});
  const std::string code = code_of(story);
  out += ',';
  Attributes attributes(out);
  attributes.text("deja.event", text_of(story.slot.name));
  attributes.text("deja.message_id", text_of(story.slot.message_id));
  if (story.slot.user_hash != 0) {
    attributes.text("deja.user_hash", hex_word(story.slot.user_hash));
  }
  attributes.text("deja.outcome", outcome_of(story));
  attributes.text("deja.code", code);
  attributes.text("deja.ack", ack_of(story));
  attributes.number("deja.ring", story.ring);
  if (story.placed) attributes.number("deja.worker", story.worker);
  if (story.worker_mark && story.worker_mark->sequence != 0) {
    attributes.number("deja.shard", story.worker_mark->shard);
    attributes.number("deja.sequence", story.worker_mark->sequence);
  }
  attributes.end();
  if (has_failed(outcome_of(story))) {
    out += ",\"status\":{\"code\":" + std::to_string(kStatusCodeError) + ",\"message\":";
    append_json_text(out, code.empty() ? outcome_of(story) : code);
    out += '}';
  }
  out += '}';
}

/// Spans of one event that are told apart for sure, and never 0.
std::uint64_t stage_span(const Story& story, std::size_t stage) {
  return internal::final_mix(story.span + stage) | 1U;
}

}  // namespace

std::size_t span_count_of(const Story& story) {
  return stages_of(story).size();  // its own, and one from each stage to the next
}

std::string otlp_request(std::span<const Story> stories, const OtlpResource& resource) {
  std::string out = "{\"resourceSpans\":[{\"resource\":{";
  Attributes of_resource(out);
  of_resource.text("service.name", "deja");
  of_resource.text("service.version", DEJA_VERSION);
  of_resource.text("service.instance.id", resource.appliance);
  of_resource.text("host.name", resource.host);
  of_resource.end();
  out += "},\"scopeSpans\":[{\"scope\":{\"name\":\"deja.trace\",\"version\":\"" DEJA_VERSION
         "\"},\"spans\":[";
  bool first = true;
  for (const Story& story : stories) {
    const std::vector<Stage> stages = stages_of(story);
    if (stages.empty()) continue;
    if (!std::exchange(first, false)) out += ',';
    append_event(out, story, stages);
    for (std::size_t at = 1; at < stages.size(); ++at) {
      out += ',';
      begin_span(out, story,
                 {stage_span(story, at), story.span, false, stages[at].name, kSpanKindInternal,
                  stages[at - 1].at_ns, stages[at].at_ns});
      out += '}';
    }
  }
  out += "]}]}]}";
  return out;
}

}  // namespace deja
