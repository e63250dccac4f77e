// What one ingest thread leaves of the events that `deja trace` follows (ring/trace_layout.h):
// which they are, and when they were received, built, published and answered. Beside EventSink,
// which asks it of every event only while on(). That thread only; allocates in open() alone.
//
// Off, as it nearly always is: one relaxed load per pass of the loop (refresh()), and of each event
// a look at a bool.
//
//   killed after               the next ingest thread finds
//   the slot, before publish   a slot of an event beyond what was published: abandoned (settle())
//   publish, before a stamp    a slot without that time: its story says what is not known
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ingest/event_sink.h"
#include "ingest/extraction.h"
#include "ingest/trace_context.h"
#include "ring/trace_cell.h"
#include "shm/keyed_hash.h"
#include "shm/segment.h"

namespace deja {

class TraceSink {
 public:
  [[nodiscard]] static Result<TraceSink> open(const Segment& segment, std::uint32_t thread);
  /// What a predecessor left in the lane of `worker`, whose ring was published up to there.
  void settle(std::uint32_t worker, std::uint64_t published_position);

  /// Looks whether anybody follows events now. Once per pass.
  void refresh() {
    const std::int64_t until_ns = control().until_ns.load(std::memory_order_relaxed);
    if (until_ns == ended_until_ns_) return;
    look(until_ns);
  }
  /// As of the last refresh().
  [[nodiscard]] bool on() const { return on_; }

  /// The context of the request whose events come now, until it is told otherwise; nullptr: none.
  /// Outlives that.
  void of_request(const TraceContext* context) { request_ = context; }

  // All that follows: only while on().

  /// What submit() made of an event, before it is published; or one that a codec refused, as far as
  /// it was extracted.
  void submitted(const Extraction& event, std::int64_t received_us, SinkOutcome outcome,
                 const Refusal& refusal, const Placed& placed);
  /// The event of the last submitted(), which found a full ring, is given up.
  void gave_up(const Refusal& refusal);
  /// A document whose events can't be told apart, which counts as one.
  void unreadable(const Refusal& refusal, std::int64_t received_us);
  /// Everything committed is published now.
  void publishing();
  /// The ack of a placed event is refused, for `code`.
  void refused(const Placed& placed, const char* code);
  /// The answer for a placed event is written, and says that it has reached that level.
  void answered(const Placed& placed, schema::AckLevel level) {
    // Nearly all are before the next one that is followed.
    if (placed.end_position >= lanes_[placed.worker].awaited_end) note_answer(placed, level);
  }

 private:
  /// One lane as this thread knows it.
  struct Lane {
    TraceLaneLayout* shared = nullptr;
    std::uint64_t unpublished = 0;  ///< the first number that is
    std::uint64_t unanswered = 0;   ///< likewise; those before it are, or will not be
    std::uint64_t awaited_end =
        ~std::uint64_t{0};  ///< where its event ends; all ones: there is none
  };

  TraceSink(MappedFile control, MappedFile file, const Segment& segment, std::uint32_t thread);
  [[nodiscard]] const TraceControlLayout& control() const {
    return *control_.at<const TraceControlLayout>();
  }
  void look(std::int64_t until_ns);
  [[nodiscard]] bool asked_for() const {
    return (flags_ & kTraceRequests) != 0 && request_ != nullptr && request_->sampled;
  }
  [[nodiscard]] bool follows(const Extraction& event, const Key& key);
  [[nodiscard]] bool sampled(std::string_view message_id);
  void add(std::uint32_t lane, const TraceSlot& slot);
  void note_answer(const Placed& placed, schema::AckLevel level);
  void await_next(Lane& lane);
  [[nodiscard]] std::uint64_t find(Lane& lane, std::uint64_t end_position);
  [[nodiscard]] std::uint64_t& end_of(const Lane& lane, std::uint64_t number);

  MappedFile control_;
  MappedFile file_;  // trace-ingest-<i>
  std::uint32_t thread_;
  std::uint32_t worker_count_;
  HashSecret secret_;
  std::vector<Lane> lanes_;          // by worker, and the last one for events that are in no ring
  std::vector<std::uint64_t> ends_;  // kTraceSlots of each lane: where its events end
  bool on_ = false;
  std::int64_t ended_until_ns_ = 0;  // a lease that is known to have ended
  std::uint64_t flags_ = 0;
  std::uint64_t threshold_ = 0;
  std::uint64_t user_hash_ = 0;
  std::uint64_t random_state_;
  const TraceContext* request_ = nullptr;
  TraceSlot full_{};  // of an event that met a full ring
  bool any_full_ = false;
};

}  // namespace deja
