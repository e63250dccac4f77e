// Where codecs hand over events: recognises them, builds the record in place in the ring of the
// worker that owns the user's shard, and keeps count of every one. One per ingest thread; that
// thread only. Allocates nothing after construction.
//
// Every event handed over ends in exactly one counter: here unmatched, rejected by code, or (alias)
// counted without effect; in the worker applied, duplicate, rejected by code or dead.
//
// Use: submit() for each event of what was received, then publish() once per pass of the loop
// (one release store per ring, and the bell of a worker that sleeps), then answer what positions()
// covers. A ring whose worker falls behind gives kFull: keep the event and try again later; past
// Settings.fullRingWaitUs give up with refuse_full().
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "ingest/extraction.h"
#include "ring/bell.h"
#include "ring/log_record.h"
#include "shm/process_file.h"
#include "shm/segment.h"

namespace deja {

enum class SinkOutcome : std::uint8_t {
  kCommitted,  ///< in a ring; acknowledge when positions() covers `placed`
  kDone,       ///< counted and complete (unmatched, alias): acknowledge at once
  kRefused,    ///< `refusal` says why
  kFull,       ///< the worker's ring has no room now; nothing was counted
};

/// Where a committed event lies: it has its effect once the worker's consumed position is >= end.
struct Placed {
  std::uint32_t worker = 0;
  std::uint64_t end_position = 0;
};

/// A worker's refusal of a committed event.
struct WorkerVerdict {
  std::uint32_t worker = 0;
  std::uint64_t end_position = 0;
  RefusalReason reason = RefusalReason::kNone;
};

class EventSink {
 public:
  /// `thread` is i of ring-<i>-<w>. The process file is the ingest process's own; counters of
  /// several threads are told apart by a label {thread="i"}.
  [[nodiscard]] static Result<std::unique_ptr<EventSink>> open(const Segment& segment,
                                                               std::uint32_t thread,
                                                               ProcessFile& process);
  ~EventSink();

  /// Takes one event. `received_us`: wall clock of its receipt. On kRefused fills `refusal`, on
  /// kCommitted `placed`. Counts it as received, unless the outcome is kFull.
  SinkOutcome submit(const Extraction& event, std::int64_t received_us, Refusal& refusal,
                     Placed& placed);

  /// Counts an event that a codec could not even extract (received and rejected by its code).
  void count_refused(const Refusal& refusal);
  /// Gives up on an event that met a full ring for too long: counted, `refusal` = "ring_full".
  void refuse_full(Refusal& refusal);

  /// Makes all committed events visible and wakes workers that sleep. True when there were any.
  bool publish();

  /// Loads the consumed position of every worker and then its new verdicts. To be called once per
  /// pass before covers() and verdicts().
  void refresh();
  /// Whether the event's effect is there (as of the last refresh()).
  [[nodiscard]] bool covers(const Placed& placed) const;
  /// Whether a refresh() would find something new: the last look before a sleep.
  [[nodiscard]] bool has_news() const;
  /// Finds the worker's refusal of `placed`, once covers() is true; kNone: it was taken. A verdict
  /// is kept until it was asked for.
  [[nodiscard]] RefusalReason take_verdict(const Placed& placed);

  /// The token for read-your-own-click: highest positions of the events of one answer, as text
  /// (shm/token.h). `ends[w]` = 0: none there. Returns bytes written (<= bytes).
  std::size_t format_token(const std::uint64_t* ends, char* text, std::size_t bytes) const;
  [[nodiscard]] std::uint32_t worker_count() const;

 private:
  EventSink();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace deja
