// Where codecs hand over events: recognises them, builds the record in place in the ring of the
// worker that owns the user's shard, and keeps count of every one. One per ingest thread; that
// thread only. Allocates nothing after construction.
//
// Every event handed over ends in exactly one counter: here unmatched, rejected by code, or (alias)
// counted without effect; in the worker applied, duplicate, rejected by code or dead.
//
// Use: submit() for each event of what was received, then publish() once per pass of the loop
// (one release store per ring, and the bell of a worker that sleeps), then settle() and answer what
// covers() says. A ring whose worker falls behind gives kFull: keep the event and try again later;
// past Settings.fullRingWaitUs give up with refuse_full().
//
// Acks: at level APPLIED an event is covered once its worker has consumed it, at level DURABLE once
// the journal has it as well. While the journal is full or broken, events of level DURABLE are
// refused before they are in a ring, and those that are in one lose their ack (ack_trouble()), not
// their effect: a resend meets the id. Level APPLIED goes on.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "ingest/extraction.h"
#include "ingest/rejected_letters.h"
#include "ring/bell.h"
#include "ring/log_record.h"
#include "shm/process_file.h"
#include "shm/segment.h"

namespace deja {

class TraceSink;

enum class SinkOutcome : std::uint8_t {
  kCommitted,  ///< in a ring; acknowledge when covers() says so of `placed`
  kDone,       ///< counted and complete (unmatched, alias): acknowledge at once
  kRefused,    ///< `refusal` says why
  kFull,       ///< the worker's ring has no room now; nothing was counted
};

/// Where a committed event lies: it has its effect once the worker's consumed position is >= end,
/// and is durable once the ring's durable position is, too.
struct Placed {
  std::uint32_t worker = 0;
  std::uint64_t end_position = 0;
};

class EventSink {
 public:
  /// `thread` is i of ring-<i>-<w>. The process file is the ingest process's own; counters of
  /// several threads are told apart by a label {thread="i"}.
  [[nodiscard]] static Result<std::unique_ptr<EventSink>> open(const Segment& segment,
                                                               std::uint32_t thread,
                                                               ProcessFile& process);
  ~EventSink();

  /// Takes one event that is to be acked at `level`. `received_us`: wall clock of its receipt. On
  /// kRefused fills `refusal`, on kCommitted `placed`. Counts it as received, unless the outcome is
  /// kFull.
  SinkOutcome submit(const Extraction& event, std::int64_t received_us, schema::AckLevel level,
                     Refusal& refusal, Placed& placed);

  /// Counts an event that a codec could not even extract (received and rejected by its code).
  void count_refused(const Refusal& refusal);
  /// Gives up on an event that met a full ring for too long: counted, `refusal` = "ring_full".
  void refuse_full(Refusal& refusal);

  /// Where what is left of a rejected event goes, of whichever sort it was.
  [[nodiscard]] RejectedLetters& letters();
  /// What is left of events that somebody follows: ingest/trace_sink.h.
  [[nodiscard]] TraceSink& traces();

  /// Makes all committed events visible and wakes workers that sleep. True when there were any.
  bool publish();

  /// The pass's last call, once its answers are written: publishes what it took.
  void end_pass();

  /// Loads the journal's state, the consumed position of every worker, then its new verdicts, and
  /// how far its ring is durable. To be called once per pass before all that follows.
  void refresh();
  /// Whether the event's effect is there and, at level DURABLE, on disk (as of the last refresh()).
  [[nodiscard]] bool covers(const Placed& placed, schema::AckLevel level) const;
  /// Whether a refresh() would find something new: the last look before a sleep.
  [[nodiscard]] bool has_news() const;
  /// Why acks of that level that have waited for so long are refused now; nullptr: they wait.
  [[nodiscard]] const char* ack_trouble(schema::AckLevel level, std::int64_t waited_us) const;
  /// Ends the wait for an event's ack, once covers() is true or `trouble` is the code of
  /// ack_trouble(). True: it was taken. False: `refusal` is its worker's or, where it is not
  /// covered, `trouble`. To be asked once for each event: a verdict is kept until then.
  [[nodiscard]] bool settle(const Placed& placed, schema::AckLevel level, const char* trouble,
                            Refusal& refusal);

  /// So many events are answered for in this pass, all covered at that level.
  void count_acked(schema::AckLevel level, std::size_t event_count);

  /// False: settle() of an event that is covered has nothing but true to say.
  [[nodiscard]] bool has_verdicts() const;

  /// The token for read-your-own-click: highest positions of the events of one answer, as text
  /// (shm/token.h). `ends[w]` = 0: none there. Returns bytes written (<= bytes).
  std::size_t format_token(const std::uint64_t* ends, char* text, std::size_t bytes) const;
  [[nodiscard]] std::uint32_t worker_count() const;
  [[nodiscard]] std::uint32_t thread() const;

 private:
  EventSink();
  struct State;
  SinkOutcome place(const Extraction& event, std::int64_t received_us, schema::AckLevel level,
                    Refusal& refusal, Placed& placed);
  std::unique_ptr<State> state_;
};

}  // namespace deja
