#include "ingest/segment_exchange.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "ingest/json_scan.h"
#include "ingest/refusal_codes.h"
#include "ingest/trace_sink.h"
#include "shm/json_text.h"

namespace deja {
namespace {

constexpr std::size_t kKeptBytes = 16 * 1024;
constexpr std::size_t kTokenBytesMax = 4096;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  return first == std::string_view::npos ? text.substr(text.size()) : text.substr(first);
}

void append_number(std::string& out, std::uint32_t number) {
  char digits[16];
  const auto written = std::to_chars(digits, digits + sizeof digits, number);
  out.append(digits, written.ptr);
}

/// {"index":…,"code":…,"message":…,"path":…}; the path from the batch on.
void append_rejection(std::string& out, std::uint32_t index, bool batch, const Refusal& refusal) {
  out.append(R"({"index":)");
  append_number(out, index);
  out.append(R"(,"code":)");
  append_json_text(out, refusal.code);
  out.append(R"(,"message":)");
  append_json_text(out, refusal.message);
  out.append(R"(,"path":)");
  if (!batch) {
    append_json_text(out, refusal.path);
  } else {
    char path[sizeof refusal.path + 24];
    const int size = std::snprintf(path, sizeof path, "batch[%u]%s%s", index,
                                   refusal.path[0] == '\0' ? "" : ".", refusal.path);
    append_json_text(out, {path, static_cast<std::size_t>(size)});
  }
  out.append("}");
}

/// Names the request whose events a sink gets, as long as it lives.
class TracedRequest {
 public:
  TracedRequest(TraceSink& traces, const TraceContext& context) : traces_(traces) {
    traces_.of_request(&context);
  }
  ~TracedRequest() { traces_.of_request(nullptr); }
  TracedRequest(const TracedRequest&) = delete;
  TracedRequest& operator=(const TracedRequest&) = delete;

 private:
  TraceSink& traces_;
};

}  // namespace

SegmentExchange::SegmentExchange(SegmentApi& api) : api_(api) {
  ends_.resize(api.sink().worker_count());
}

HttpProgress SegmentExchange::begin(const HttpRequest& request, std::int64_t received_us,
                                    HttpAnswer& answer) {
  const SegmentApi::Events events = api_.route(request, answer);
  if (!events.wanted || !api_.read_body(request, document_, answer)) {
    return HttpProgress::kAnswered;
  }
  inflated_ = document_.data() != reinterpret_cast<const char*>(request.body.data());
  received_us_ = received_us;
  batch_ = events.batch;
  call_ = events.call;
  level_ = events.level;
  wants_letters_ = !equal_ignoring_case(request.header("deja-dead-letter"), "no");
  keeps_letters_ = wants_letters_ && events.authorized;
  index_ = accepted_ = rejected_ = 0;
  again_.code = table_full_.code = nullptr;
  blocked_since_us_ = 0;
  giving_up_ = false;
  placed_.clear();
  acked_ = 0;
  std::fill(ends_.begin(), ends_.end(), 0);
  rejected_text_.clear();
  trace_ = api_.sink().traces().on() ? trace_context_of(request.headers) : TraceContext{};
  const TracedRequest traced(api_.sink().traces(), trace_);
  if (!open_document(events, answer)) return HttpProgress::kAnswered;
  return take_events(received_us, answer);
}

HttpProgress SegmentExchange::resume(std::int64_t now_us, HttpAnswer& answer) {
  if (!taking_) return await_acks(now_us, answer);
  const TracedRequest traced(api_.sink().traces(), trace_);
  // Another exchange may have used the extractor meanwhile. What was shared once can be again.
  Refusal unused;
  if (batch_) {
    (void)api_.extractor().share(document_, unused);
  } else {
    api_.extractor().share_nothing();
  }
  return take_events(now_us, answer);
}

void SegmentExchange::forget() {
  // Verdicts that nobody asks for fall off their shelf. Events not yet taken were never accepted.
  taking_ = false;
  placed_.clear();
}

/// Not for whoever has shown no key.
void SegmentExchange::keep_letter(std::string_view text, RejectedForm form,
                                  const Refusal& refusal) {
  if (!keeps_letters_ || !api_.sink().letters().admit(refusal)) return;
  api_.sink().letters().put(refusal, {text, form, batch_ ? CallType::kNone : call_, false},
                            received_us_);
}

/// A document that can't be read counts as one event.
bool SegmentExchange::refuse_document(HttpAnswer& answer, const Refusal& refusal) {
  api_.sink().count_refused(refusal);
  if (api_.sink().traces().on()) api_.sink().traces().unreadable(refusal, received_us_);
  keep_letter(document_, RejectedForm::kBody, refusal);
  SegmentApi::fail(answer, 400, refusal.code, refusal.message, refusal.path);
  return false;
}

bool SegmentExchange::open_document(const SegmentApi::Events& events, HttpAnswer& answer) {
  Refusal refusal;
  if (!is_utf8_document(document_)) {
    deja::refuse(refusal, code::kBadUtf8, "the body is not UTF-8");
    return refuse_document(answer, refusal);
  }
  document_ = trimmed(document_);
  JsonEnvelope envelope;
  const ScanOutcome outcome = scan_document(document_, envelope);
  if (outcome == ScanOutcome::kBroken) {
    deja::refuse(refusal, code::kBadJson, "the body is not JSON, or not all of it");
    return refuse_document(answer, refusal);
  }
  if (outcome == ScanOutcome::kTooDeep) {
    deja::refuse(refusal, code::kTooDeep, "objects and arrays are nested too deeply");
    return refuse_document(answer, refusal);
  }
  std::int32_t key = events.key;
  if (!events.authorized) {
    if (outcome == ScanOutcome::kObject) key = api_.auth().number_of(envelope.write_key);
    if (key < 0) {
      SegmentApi::fail(answer, 401, "bad_key",
                       "a write key is needed: as the user name of Basic authorization, or as "
                       "writeKey in the body");
      return false;
    }
    if (!api_.admit_key(key, answer)) return false;
    keeps_letters_ = wants_letters_;
  }
  if (outcome == ScanOutcome::kNotObject) {
    deja::refuse(refusal, code::kBadType, "the body is a JSON object");
    return refuse_document(answer, refusal);
  }
  offset_ = 0;
  taking_ = true;
  if (!batch_) {
    api_.extractor().share_nothing();
    api_.charge(events.client, key, 1);
    return true;
  }
  if (envelope.batch.empty() || envelope.batch.front() != '[') {
    deja::refuse(refusal, code::kBadType, "batch is an array of events", "batch");
    return refuse_document(answer, refusal);
  }
  if (envelope.batch_count > kBatchEventsMax) {
    deja::refuse(refusal, code::kEventTooLarge, "the batch has too many events", "batch");
    return refuse_document(answer, refusal);
  }
  api_.extractor().share_nothing();
  if (envelope.has_shared && !api_.extractor().share(document_, refusal, envelope.batch)) {
    return refuse_document(answer, refusal);
  }
  JsonCursor cursor{envelope.batch.data() + 1, envelope.batch.data() + envelope.batch.size()};
  offset_ = static_cast<std::size_t>(cursor.at - document_.data());
  taking_ = !cursor.take(']');
  api_.charge(events.client, key, envelope.batch_count);
  return true;
}

HttpProgress SegmentExchange::take_events(std::int64_t now_us, HttpAnswer& answer) {
  EventSink& sink = api_.sink();
  Extraction& extraction = api_.extraction();
  const RejectedForm form = batch_ ? RejectedForm::kElement : RejectedForm::kBody;
  while (taking_) {
    JsonCursor cursor{document_.data() + offset_, document_.data() + document_.size()};
    std::string_view event;
    if (!scan_value(cursor, event)) break;  // open_document() has seen that there is one
    Refusal refusal;
    if (!api_.extractor().extract(event, call_, extraction, refusal)) {
      sink.count_refused(refusal);
      if (sink.traces().on()) {
        sink.traces().submitted(extraction, received_us_, SinkOutcome::kRefused, refusal, {});
      }
      reject(index_, refusal);
      keep_letter(event, form, refusal);
    } else {
      Placed placed;
      switch (sink.submit(extraction, received_us_, level_, refusal, placed)) {
        case SinkOutcome::kCommitted:
          ++accepted_;
          placed_.push_back({placed, index_});
          ends_[placed.worker] = std::max(ends_[placed.worker], placed.end_position);
          break;
        case SinkOutcome::kDone:
          ++accepted_;
          break;
        case SinkOutcome::kRefused:
          reject(index_, refusal);
          keep_letter(event, form, refusal);
          break;
        case SinkOutcome::kFull:
          if (blocked_since_us_ == 0) blocked_since_us_ = now_us;
          giving_up_ = giving_up_ || now_us - blocked_since_us_ >= api_.options().full_ring_wait_us;
          if (!giving_up_) {
            keep_document();
            return HttpProgress::kBlocked;
          }
          sink.refuse_full(refusal);
          reject(index_, refusal);
          break;
      }
    }
    ++index_;
    taking_ = batch_ && cursor.take(',');
    offset_ = static_cast<std::size_t>(cursor.at - document_.data());
  }
  taking_ = false;
  waiting_since_us_ = now_us;
  return await_acks(now_us, answer);
}

/// A blocked exchange outlives this use of the inflater's memory.
void SegmentExchange::keep_document() {
  if (!inflated_) return;
  own_text_.assign(document_);
  own_text_.append(kHttpPaddingBytes, ' ');
  document_ = std::string_view(own_text_).substr(0, document_.size());
  inflated_ = false;
}

HttpProgress SegmentExchange::await_acks(std::int64_t now_us, HttpAnswer& answer) {
  EventSink& sink = api_.sink();
  const char* trouble = sink.ack_trouble(level_, now_us - waiting_since_us_);
  for (; acked_ < placed_.size(); ++acked_) {
    const PlacedEvent& event = placed_[acked_];
    if (trouble == nullptr && !sink.covers(event.placed, level_)) return HttpProgress::kWaiting;
    Refusal refusal;
    if (sink.settle(event.placed, level_, trouble, refusal)) continue;
    --accepted_;
    reject(event.index, refusal);
  }
  if (trouble == nullptr) sink.count_acked(level_, placed_.size());
  write_answer(answer);
  return HttpProgress::kAnswered;
}

void SegmentExchange::reject(std::uint32_t index, const Refusal& refusal) {
  if (rejected_++ == 0) {
    first_ = refusal;
    first_index_ = index;
  } else {
    rejected_text_ += ',';
  }
  if (worth_resending(refusal.code)) {
    Refusal& worth = refusal.code == code::kTableFull ? table_full_ : again_;
    if (worth.code == nullptr) worth = refusal;
  }
  append_rejection(rejected_text_, index, batch_, refusal);
}

void SegmentExchange::write_answer(HttpAnswer& answer) {
  // A full table refuses new users alone: with anybody taken the request was not in vain.
  if (again_.code == nullptr && accepted_ == 0) again_ = table_full_;
  if (again_.code != nullptr) {
    SegmentApi::fail(answer, 503, again_.code, again_.message);
    answer.header("Retry-After", "1");
  } else if (accepted_ == 0 && rejected_ != 0) {
    char path[sizeof first_.path + 24];
    const int size = batch_ ? std::snprintf(path, sizeof path, "batch[%u]%s%s", first_index_,
                                            first_.path[0] == '\0' ? "" : ".", first_.path)
                            : std::snprintf(path, sizeof path, "%s", first_.path);
    SegmentApi::fail(answer, 400, first_.code, first_.message,
                     {path, static_cast<std::size_t>(size)});
  } else {
    answer.begin(200);
    answer.body = R"({"success":true})";
    SegmentApi::add_cors(answer);
  }
  if (rejected_ != 0 && batch_) {
    answer.body.pop_back();
    answer.body.append(R"(,"rejected":[)").append(rejected_text_).append("]}");
  }
  if (accepted_ != 0) {
    answer.header("Deja-Ack", level_ == schema::AckLevel::DURABLE ? "durable" : "applied");
  }
  if (!placed_.empty()) {
    char token[kTokenBytesMax];
    const std::size_t bytes = api_.sink().format_token(ends_.data(), token, sizeof token);
    if (bytes != 0) answer.header("Deja-Token", {token, bytes});
  }
  if (TraceSink& traces = api_.sink().traces(); traces.on()) {
    for (const PlacedEvent& event : placed_) traces.answered(event.placed, level_);
  }
  if (placed_.capacity() * sizeof(PlacedEvent) > kKeptBytes) {
    std::vector<PlacedEvent>().swap(placed_);
  }
  if (rejected_text_.capacity() > kKeptBytes) std::string().swap(rejected_text_);
  if (own_text_.capacity() > kKeptBytes) std::string().swap(own_text_);
}

}  // namespace deja
