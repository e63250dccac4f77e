// One request that brings events: from its body to its answer. Pooled with its connection; the
// ingest thread only.
//
//   body ──UTF-8, structure──▶ events, one by one ──▶ sink ──▶ rings ──▶ acks, verdicts ──▶ answer
//             │ broken: 400, nothing submitted     │ full ring: the exchange blocks, and goes on at
//             ▼                                    ▼ that very event
//
// The answer waits until every event has its effect and, at level durable, is on disk. Where the
// journal is full or broken, or takes longer than kJournalWaitUs, events that are not covered are
// listed as rejected and the answer is 503: sending them again is safe, their ids are known.
//
// A document is taken or refused by its structure before its first event is submitted; beyond that
// every event stands for itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/event_sink.h"
#include "ingest/http_connection.h"
#include "ingest/segment_api.h"
#include "ingest/trace_context.h"

namespace deja {

/// Events of one batch; shorter than 16 bytes an event can't be.
inline constexpr std::uint32_t kBatchEventsMax = kBatchBytesMax / 16;

class SegmentExchange final : public HttpExchange {
 public:
  explicit SegmentExchange(SegmentApi& api);

  HttpProgress begin(const HttpRequest& request, std::int64_t received_us,
                     HttpAnswer& answer) override;
  HttpProgress resume(std::int64_t now_us, HttpAnswer& answer) override;
  void forget() override;
  [[nodiscard]] std::size_t held_bytes() const override {
    return own_text_.capacity() + rejected_text_.capacity() +
           placed_.capacity() * sizeof(PlacedEvent);
  }

 private:
  struct PlacedEvent {
    Placed placed;
    std::uint32_t index;
  };
  /// Checks the document and finds its events. False: answered.
  bool open_document(const SegmentApi::Events& events, HttpAnswer& answer);
  HttpProgress take_events(std::int64_t now_us, HttpAnswer& answer);
  HttpProgress await_acks(std::int64_t now_us, HttpAnswer& answer);
  void reject(std::uint32_t index, const Refusal& refusal);
  void keep_letter(std::string_view text, RejectedForm form, const Refusal& refusal);
  bool refuse_document(HttpAnswer& answer, const Refusal& refusal);
  void write_answer(HttpAnswer& answer);
  void keep_document();

  SegmentApi& api_;
  std::string own_text_;       // of an inflated body, while blocked
  std::string_view document_;  // followed by readable padding
  std::size_t offset_ = 0;     // of the next event in it
  bool batch_ = false;
  CallType call_ = CallType::kNone;
  schema::AckLevel level_ = schema::AckLevel::APPLIED;
  bool inflated_ = false;    // the document lies in memory that others use too
  std::uint32_t index_ = 0;  // of the next event
  std::int64_t received_us_ = 0;
  std::int64_t blocked_since_us_ = 0;  // 0: no ring was full
  bool giving_up_ = false;             // waited for long enough: full rings refuse at once
  bool taking_ = false;                // events are left
  bool wants_letters_ = false;         // it does not ask for none of what is rejected
  bool keeps_letters_ = false;         // … and has shown a right key
  std::int64_t waiting_since_us_ = 0;  // since when all of them are taken
  TraceContext trace_;                 // as far as anybody follows events

  std::vector<PlacedEvent> placed_;
  std::size_t acked_ = 0;            // of them are covered
  std::vector<std::uint64_t> ends_;  // by worker: highest end, for the token
  std::uint32_t accepted_ = 0;
  std::uint32_t rejected_ = 0;
  std::string rejected_text_;  // the elements of "rejected"
  Refusal first_;              // the first rejection, and where
  std::uint32_t first_index_ = 0;
  Refusal again_;       // the first for which all is to be sent again; code nullptr: none
  Refusal table_full_;  // the first for want of room in the table; likewise
};

}  // namespace deja
