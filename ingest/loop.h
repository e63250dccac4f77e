// The event loop of one thread: accepts on inherited sockets, receives, calls the protocols'
// handlers (ingest/connection.h), sends their answers, and sleeps as the appliance is told to. One
// per ingest thread; the console has one too. create() and everything else belong to one thread
// (io_uring's single issuer), but for the flag that ends run(). What it asks of the kernel goes
// through a ring (ingest/loop_ring.h), io_uring or epoll, but for the few connections that a
// spinning loop reads itself (ingest/loop_direct.h); the loop is the same.
//
// Invariants
//  1. A connection's slot is given to another one only after every operation submitted for it has
//     completed and its descriptor was closed (cancel, then close); user_data carries the slot's
//     generation all the same, and a completion of another generation is dropped.
//  2. At most one receive, one send, one shutdown and one close are under way per connection.
//     A direct one is a receive like any other, except that it ends at once when it is cancelled.
//  3. A handler is called by its connection only, and not after on_close(); then it is pooled.
//  4. A sleep follows only a last look at completions and at the duty's news, after the bell said
//     that a sleep is coming, and lasts kSleepBoundNs at most.
//
// Steady state allocates nothing: slots, handlers and output buffers are pooled and kept.
//
//   open ──kClose──▶ flushing ──all sent──▶ lingering (write side shut, input dropped: a peer that
//    │                                        │           still sends must not lose its answer)
//    └──kAbort, error, both ends done──▶ tearing ◀──peer's end or 1 s
//                                             └──operations done──▶ closing ──▶ free
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "ingest/connection.h"
#include "ingest/loop_ring.h"
#include "ring/bell.h"
#include "shm/base/result.h"
#include "shm/process_file.h"

namespace deja {

enum class IdleWait : std::uint8_t { kAdaptive, kSpin, kSleep };

/// A listening socket, TCP or unix, made by somebody else and not closed by the loop.
struct LoopListener {
  int descriptor = -1;
  HandlerFactory* factory = nullptr;  ///< outlives the loop
  /// A connection that neither sends nor takes anything for so long, and waits for no answer, is
  /// closed; 0: never.
  std::int64_t idle_timeout_us = 0;
};

/// Counters of the process file; those left out are not counted.
struct LoopCounters {
  Counter connections_open;  ///< a gauge
  Counter connections_total;
  Counter connections_refused;
  Counter received_bytes;
  Counter sent_bytes;
};

struct LoopOptions {
  std::vector<LoopListener> listeners;
  LoopDuty* duty = nullptr;        ///< may be null; outlives the loop
  ConnectionGate* gate = nullptr;  ///< may be null: everybody is let in; outlives the loop
  Bell* bell = nullptr;            ///< may be null: then only sockets wake the loop
  IdleWait wait = IdleWait::kAdaptive;
  /// Spinning: a connection without a byte in either direction for so long is not read by the loop
  /// itself any more (ingest/loop_direct.h). Looked at about once a second.
  std::int64_t direct_quiet_us = 1'000'000;
  std::uint32_t connections_max = 4096;    ///< further ones are closed at once, counted
  const LoopCounters* counters = nullptr;  ///< copied
};

class Loop {
 public:
  /// On the thread that will run it; the ring may come from another one.
  [[nodiscard]] static Result<std::unique_ptr<Loop>> create(const LoopOptions& options,
                                                            std::unique_ptr<LoopRing> ring);
  ~Loop();

  /// Runs until `stop` (any thread, or a signal handler, may set it; seen within 10 ms), then
  /// drains: no new connection or byte is taken, answers under way go out, `drain_bound_us` at
  /// most.
  void run(const std::atomic<bool>& stop, std::int64_t drain_bound_us = 5'000'000);

  /// One pass: handles what completed, duty, busy handlers, submits. Returns how much there was.
  std::uint32_t pass();
  /// Idles once, according to `wait`; does nothing where there is news. After each pass, whatever
  /// that found: what it left undone waits for news, and those who make it may need this core.
  void idle();

  /// Stops accepting and receiving; connections close once their answers are out.
  void begin_drain();
  [[nodiscard]] std::uint32_t open_connections() const;

 private:
  Loop();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace deja
