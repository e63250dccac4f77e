#include "ingest/loop.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ingest/loop_connection.h"
#include "ingest/loop_direct.h"
#include "ingest/loop_ends.h"
#include "ingest/loop_ring.h"
#include "shm/base/check.h"
#include "shm/base/clock.h"

namespace deja {
namespace {

constexpr std::int64_t kSpinNs = 30'000;       // before an adaptive loop sleeps
constexpr std::int64_t kLingerUs = 1'000'000;  // for the peer to read its last answer
constexpr std::int64_t kSweepUs = 1'000'000;   // between two looks at idle connections
constexpr std::uint32_t kCompletionsPerPass = 512;

// user_data: kind in the top 8 bits, 24 bits of generation, 32 bits of slot or listener.
enum class Operation : std::uint8_t { kAccept = 1, kReceive, kSend, kShutdown, kClose, kBell };
constexpr std::uint32_t kGenerationMask = 0xff'ffff;

constexpr std::uint64_t user_data_of(Operation operation, std::uint32_t generation,
                                     std::uint32_t number) {
  return std::uint64_t{static_cast<std::uint8_t>(operation)} << 56U |
         std::uint64_t{generation & kGenerationMask} << 32U | number;
}

}  // namespace

struct Loop::State final : CompletionHandler {
  struct Listener {
    LoopListener given;
    bool armed = false;
    std::vector<std::unique_ptr<ConnectionHandler>> handlers;  // pooled
  };

  LoopOptions options;
  LoopCounters counters;
  bool counted = false;
  std::unique_ptr<LoopRing> ring;
  std::vector<Listener> listeners;
  std::vector<std::unique_ptr<LoopConnection>> connections;
  std::vector<std::uint32_t> free_slots;
  std::vector<std::uint32_t> busy;
  DirectPlaces direct{0};
  UnseenEnds unseen_ends;
  std::uint32_t open_count = 0;
  std::int64_t now_us = 0;
  std::int64_t next_sweep_us = 0;
  bool bell_armed = false;
  bool draining = false;

  std::uint64_t data(const LoopConnection& connection, Operation operation) const {
    return user_data_of(operation, connection.generation, connection.number);
  }
  void count(Counter LoopCounters::*which, std::uint64_t amount) {
    if (counted) (counters.*which).add(amount);
  }
  void show_open() {
    if (counted) counters.connections_open.set(open_count);
  }

  void on_completion(const LoopCompletion& completion) override;
  void on_bell(const LoopCompletion& completion);
  void on_accept(std::uint32_t number, const LoopCompletion& completion);
  void on_receive(LoopConnection& connection, const LoopCompletion& completion);
  void on_send(LoopConnection& connection, std::int32_t result);
  void arm_bell();
  void arm_accept(std::uint32_t number);
  void open(int descriptor, std::uint32_t listener);
  void follow(LoopConnection& connection, Next next);
  void push(LoopConnection& connection);
  void arm_receive(LoopConnection& connection);
  void cancel_receive(LoopConnection& connection);
  std::uint32_t receive_directly();
  void offer_place(LoopConnection& connection);
  void give_place_up(LoopConnection& connection);
  void give_quiet_places_up();
  void note_bytes(LoopConnection& connection);
  bool look_for_ends();
  void release_handler(LoopConnection& connection);
  void finish(LoopConnection& connection);
  void tear(LoopConnection& connection);
  void close_when_quiet(LoopConnection& connection);
  void run_busy();
  void sweep();
};

Loop::Loop() : state_(std::make_unique<State>()) {}

Loop::~Loop() {
  // The ring goes first: nothing is under way any more when buffers and descriptors go.
  state_->ring.reset();
  for (auto& connection : state_->connections) {
    if (connection->phase == ConnectionPhase::kFree) continue;
    if (connection->handler) connection->handler->on_close();
    if (connection->phase != ConnectionPhase::kClosing) ::close(connection->descriptor);
  }
}

Result<std::unique_ptr<Loop>> Loop::create(const LoopOptions& options,
                                           std::unique_ptr<LoopRing> ring) {
  if (Status enabled = ring->enable(); !enabled.ok()) return enabled.error();
  std::unique_ptr<Loop> loop(new Loop());
  State& state = *loop->state_;
  state.options = options;
  if (options.counters != nullptr) {
    state.counters = *options.counters;
    state.counted = true;
  }
  state.ring = std::move(ring);
  if (options.wait == IdleWait::kSpin) state.direct = DirectPlaces(DirectPlaces::kPlaces);
  state.now_us = wall_us();
  state.busy.reserve(options.connections_max);
  state.free_slots.reserve(options.connections_max);
  state.unseen_ends.reserve(options.connections_max);
  for (const LoopListener& listener : options.listeners) {
    state.listeners.push_back({listener, false, {}});
    state.ring->prepare_listener(listener.descriptor);
  }
  for (std::uint32_t number = 0; number < state.listeners.size(); ++number) {
    state.arm_accept(number);
  }
  if (options.bell != nullptr) state.arm_bell();
  state.show_open();
  return loop;
}

void Loop::State::on_completion(const LoopCompletion& completion) {
  const auto operation = static_cast<Operation>(completion.user_data >> 56U);
  const auto generation = static_cast<std::uint32_t>(completion.user_data >> 32U) & kGenerationMask;
  const auto number = static_cast<std::uint32_t>(completion.user_data);
  if (operation == Operation::kAccept) return on_accept(number, completion);
  if (operation == Operation::kBell) return on_bell(completion);
  LoopConnection& connection = *connections[number];
  if ((connection.generation & kGenerationMask) != generation) return;
  switch (operation) {
    case Operation::kReceive:
      on_receive(connection, completion);
      break;
    case Operation::kSend:
      on_send(connection, completion.result);
      break;
    case Operation::kShutdown:
      connection.shutdown_armed = false;
      if (connection.phase == ConnectionPhase::kTearing) close_when_quiet(connection);
      break;
    case Operation::kClose:
      if (options.gate != nullptr) options.gate->leave(connection.peer_address);
      connection.reset();
      ++connection.generation;
      free_slots.push_back(number);
      --open_count;
      show_open();
      break;
    default:
      break;
  }
}

void Loop::State::arm_bell() {
  bell_armed = true;
  ring->poll_readable(options.bell->descriptor(), user_data_of(Operation::kBell, 0, 0));
}

void Loop::State::on_bell(const LoopCompletion& completion) {
  options.bell->awake();
  if (completion.more) return;
  // One that can't be watched is tried again by the sweep; sleeps are bounded meanwhile.
  bell_armed = false;
  if (completion.result >= 0) arm_bell();
}

void Loop::State::arm_accept(std::uint32_t number) {
  listeners[number].armed = true;
  ring->accept(listeners[number].given.descriptor, user_data_of(Operation::kAccept, 0, number));
}

void Loop::State::on_accept(std::uint32_t number, const LoopCompletion& completion) {
  const std::int32_t result = completion.result;
  if (result >= 0) open(result, number);
  if (completion.more) return;
  listeners[number].armed = false;
  // Out of descriptors: the sweep arms it again, instead of a loop that fails as fast as it can.
  if (draining || result == -EMFILE || result == -ENFILE || result == -ENOBUFS ||
      result == -ENOMEM || result == -EBADF || result == -EINVAL || result == -ENOTSOCK) {
    return;
  }
  arm_accept(number);
}

void Loop::State::open(int descriptor, std::uint32_t listener) {
  const PeerAddress peer = PeerAddress::of_socket(descriptor);
  if (draining || open_count >= options.connections_max ||
      (options.gate != nullptr && !options.gate->admit(peer))) {
    count(&LoopCounters::connections_refused, 1);
    ring->close(descriptor, LoopRing::kNobody);
    return;
  }
  const int on = 1;  // refused by unix sockets, which don't need it
  (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  (void)setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  if (free_slots.empty()) {
    connections.push_back(std::make_unique<LoopConnection>());
    connections.back()->number = static_cast<std::uint32_t>(connections.size() - 1);
    free_slots.push_back(connections.back()->number);
  }
  LoopConnection& connection = *connections[free_slots.back()];
  free_slots.pop_back();
  ++open_count;
  show_open();
  count(&LoopCounters::connections_total, 1);
  connection.descriptor = descriptor;
  connection.listener = listener;
  connection.peer_address = peer;
  connection.phase = ConnectionPhase::kOpen;
  connection.active_us = now_us;
  auto& pool = listeners[listener].handlers;
  if (pool.empty()) {
    connection.handler = listeners[listener].given.factory->make_handler();
  } else {
    connection.handler = std::move(pool.back());
    pool.pop_back();
  }
  connection.handler->on_open(connection);
  follow(connection, Next::kReceive);
}

void Loop::State::on_receive(LoopConnection& connection, const LoopCompletion& completion) {
  if (!completion.more) {
    connection.receive_armed = false;
    connection.receive_cancelled = false;
    if (std::exchange(connection.place_promised, false)) direct.end_promise();
  }
  const std::int32_t result = completion.result;
  if (result > 0) {
    count(&LoopCounters::received_bytes, static_cast<std::uint64_t>(result));
    connection.active_us = now_us;
    note_bytes(connection);
    if (connection.phase == ConnectionPhase::kOpen) {
      follow(connection, connection.handler->on_receive(completion.bytes, now_us));
      return offer_place(connection);
    }
  } else if (result == 0) {
    connection.peer_ended = true;
    if (connection.phase == ConnectionPhase::kOpen) {
      return follow(connection, connection.handler->on_end());
    }
    if (connection.phase == ConnectionPhase::kLingering) return tear(connection);
  } else if (result != -ENOBUFS && result != -ECANCELED && result != -EAGAIN && result != -EINTR) {
    connection.peer_ended = true;
    if (connection.phase != ConnectionPhase::kTearing) return tear(connection);
  }
  // A receive that ended by itself (out of buffers, a cancel overtaken by a change of mind) goes
  // on.
  if (connection.phase == ConnectionPhase::kTearing) return close_when_quiet(connection);
  arm_receive(connection);
}

void Loop::State::on_send(LoopConnection& connection, std::int32_t result) {
  connection.send_armed = false;
  if (result < 0 && result != -EINTR && result != -EAGAIN) {
    if (connection.phase == ConnectionPhase::kTearing) return close_when_quiet(connection);
    return tear(connection);
  }
  if (result > 0) {
    connection.sent_bytes += static_cast<std::size_t>(result);
    connection.active_us = now_us;
    count(&LoopCounters::sent_bytes, static_cast<std::uint64_t>(result));
  }
  if (connection.phase == ConnectionPhase::kTearing) return close_when_quiet(connection);
  push(connection);
}

/// Does what a handler asked for.
void Loop::State::follow(LoopConnection& connection, Next next) {
  if (next == Next::kAbort) return tear(connection);
  connection.receive_wanted = next == Next::kReceive && !draining;
  if (next == Next::kClose) {
    connection.phase = ConnectionPhase::kFlushing;
    release_handler(connection);
  } else if (connection.handler->busy() && !connection.listed_busy) {
    connection.listed_busy = true;
    busy.push_back(connection.number);
  }
  push(connection);
  if (connection.phase != ConnectionPhase::kOpen) return;
  if (connection.receive_wanted) {
    arm_receive(connection);
  } else {
    cancel_receive(connection);
  }
}

/// Sends what is there; goes on with closing once all is out.
void Loop::State::push(LoopConnection& connection) {
  const std::span<const std::uint8_t> output = connection.next_output();
  if (!output.empty()) {
    connection.send_armed = true;
    ring->send(connection.descriptor, output, data(connection, Operation::kSend));
  } else if (!connection.send_armed && connection.phase == ConnectionPhase::kFlushing) {
    finish(connection);
  }
}

void Loop::State::arm_receive(LoopConnection& connection) {
  // While flushing and lingering the input is read on and dropped, to see the peer's end.
  const bool wanted = connection.phase != ConnectionPhase::kOpen || connection.receive_wanted;
  if (connection.receive_armed || connection.peer_ended || !wanted) return;
  connection.receive_armed = true;
  if (connection.phase == ConnectionPhase::kOpen && direct.has_room()) {
    connection.receives_directly = true;
    direct.take(connection.number);
    return;
  }
  ring->receive(connection.descriptor, data(connection, Operation::kReceive));
}

void Loop::State::cancel_receive(LoopConnection& connection) {
  if (!connection.receive_armed || connection.receive_cancelled) return;
  if (connection.receives_directly) {
    give_place_up(connection);
    connection.receive_armed = false;
    return;
  }
  connection.receive_cancelled = true;
  ring->cancel(connection.descriptor, data(connection, Operation::kReceive));
}

/// To one that sends: its next receive is the loop's own, once the ring's has ended.
void Loop::State::offer_place(LoopConnection& connection) {
  const bool goes_on = connection.phase == ConnectionPhase::kOpen && connection.receive_wanted;
  if (!goes_on || !connection.receives_at_ring() || connection.receive_cancelled) return;
  if (!direct.has_room()) return;
  connection.place_promised = true;
  direct.promise();
  cancel_receive(connection);
}

void Loop::State::give_place_up(LoopConnection& connection) {
  direct.give_up(connection.number);
  connection.receives_directly = false;
}

/// Reads those that have a place.
std::uint32_t Loop::State::receive_directly() {
  std::uint32_t count = 0;
  // From the last one: whoever is read may give his place up.
  for (std::size_t place = direct.taken(); place-- > 0;) {
    LoopConnection& connection = *connections[direct.at(place)];
    for (unsigned reads = 0; reads < DirectPlaces::kReadsPerPass; ++reads) {
      LoopCompletion completion;
      if (!connection.receives_directly) break;
      if (!direct.receive(connection.descriptor, completion)) break;
      if (!completion.more) give_place_up(connection);
      on_receive(connection, completion);
      ++count;
      if (!DirectPlaces::was_full(completion)) break;
    }
  }
  return count;
}

/// The kernel tells of them from now on.
void Loop::State::give_quiet_places_up() {
  for (std::size_t place = direct.taken(); place-- > 0;) {
    LoopConnection& connection = *connections[direct.at(place)];
    const std::int64_t quiet_us = now_us - connection.active_us;
    // Negative: the clock was set back.
    if (quiet_us >= 0 && quiet_us < options.direct_quiet_us) continue;
    give_place_up(connection);
    ring->receive(connection.descriptor, data(connection, Operation::kReceive));
  }
}

void Loop::State::note_bytes(LoopConnection& connection) {
  const bool may_be_missed =
      ring->misses_ends() && !connection.peer_address.known && connection.receives_at_ring();
  if (!may_be_missed || connection.listed_unseen) return;
  connection.listed_unseen = true;
  unseen_ends.note(connection.number);
}

/// Whoever has ended unseen is received from anew, which tells of it. False: there is nobody.
bool Loop::State::look_for_ends() {
  bool found = false;
  unseen_ends.take([&](std::uint32_t number) {
    LoopConnection& connection = *connections[number];
    connection.listed_unseen = false;
    if (!connection.receives_at_ring() || !UnseenEnds::has_ended(connection.descriptor)) return;
    cancel_receive(connection);
    found = true;
  });
  return found;
}

void Loop::State::release_handler(LoopConnection& connection) {
  if (!connection.handler) return;
  connection.handler->on_close();
  listeners[connection.listener].handlers.push_back(std::move(connection.handler));
}

/// All is sent: ends our side, and gives the peer time to read before the descriptor goes.
void Loop::State::finish(LoopConnection& connection) {
  if (connection.peer_ended) return tear(connection);
  connection.phase = ConnectionPhase::kLingering;
  connection.linger_until_us = now_us + kLingerUs;
  next_sweep_us = std::min(next_sweep_us, connection.linger_until_us);
  connection.shutdown_armed = true;
  ring->shutdown_write(connection.descriptor, data(connection, Operation::kShutdown));
  arm_receive(connection);
}

void Loop::State::tear(LoopConnection& connection) {
  release_handler(connection);
  connection.phase = ConnectionPhase::kTearing;
  cancel_receive(connection);
  if (connection.send_armed) {
    ring->cancel(connection.descriptor, data(connection, Operation::kSend));
  }
  close_when_quiet(connection);
}

void Loop::State::close_when_quiet(LoopConnection& connection) {
  if (connection.receive_armed || connection.send_armed || connection.shutdown_armed) return;
  connection.phase = ConnectionPhase::kClosing;
  ring->close(connection.descriptor, data(connection, Operation::kClose));
}

void Loop::State::run_busy() {
  std::size_t kept = 0;
  for (std::size_t at = 0; at < busy.size(); ++at) {
    LoopConnection& connection = *connections[busy[at]];
    if (connection.phase != ConnectionPhase::kOpen) {
      connection.listed_busy = false;
      continue;
    }
    const Next next = connection.handler->on_pass(now_us);
    const bool still = next != Next::kClose && next != Next::kAbort && connection.handler->busy();
    connection.listed_busy = still;
    if (still) busy[kept++] = connection.number;
    // Listed again only by a later pass: follow() sees it listed, or no longer busy.
    follow(connection, next);
  }
  busy.resize(kept);
}

void Loop::State::sweep() {
  next_sweep_us = now_us + kSweepUs;
  give_quiet_places_up();
  look_for_ends();
  for (auto& slot : connections) {
    LoopConnection& connection = *slot;
    if (connection.phase == ConnectionPhase::kLingering) {
      if (now_us >= connection.linger_until_us) {
        tear(connection);
      } else {
        next_sweep_us = std::min(next_sweep_us, connection.linger_until_us);
      }
      continue;
    }
    if (connection.phase == ConnectionPhase::kOpen && connection.handler->is_overdue(now_us)) {
      follow(connection, connection.handler->on_overdue());
      continue;
    }
    const std::int64_t timeout_us = listeners[connection.listener].given.idle_timeout_us;
    if (timeout_us == 0 || now_us - connection.active_us < timeout_us) continue;
    const bool stuck = connection.send_armed;
    if (connection.phase == ConnectionPhase::kFlushing ||
        (connection.phase == ConnectionPhase::kOpen && (stuck || !connection.handler->busy()))) {
      tear(connection);
    }
  }
  if (options.bell != nullptr && !bell_armed) arm_bell();
  if (draining) return;
  for (std::uint32_t number = 0; number < listeners.size(); ++number) {
    if (!listeners[number].armed) arm_accept(number);
  }
}

std::uint32_t Loop::pass() {
  State& state = *state_;
  state.now_us = wall_us();
  std::uint32_t work = state.receive_directly();
  work += state.ring->take_completions(kCompletionsPerPass, state);
  if (state.options.duty != nullptr) state.options.duty->on_pass(state.now_us);
  state.run_busy();
  if (state.options.duty != nullptr) state.options.duty->on_pass_end();
  // The clock may be set back: then the sweep is not to wait for the old time.
  if (state.now_us >= state.next_sweep_us || state.next_sweep_us - state.now_us > kSweepUs) {
    state.sweep();
  }
  if (state.draining) {
    for (auto& connection : state.connections) {
      if (connection->phase == ConnectionPhase::kOpen && !connection->handler->busy()) {
        state.follow(*connection, Next::kClose);
      }
    }
  }
  state.ring->submit();
  return work;
}

void Loop::idle() {
  State& state = *state_;
  const LoopDuty* duty = state.options.duty;
  const auto news = [&] { return state.ring->ready() || (duty != nullptr && duty->has_news()); };
  if (news()) return;
  // Whoever is to make the news may need this very core.
  if (state.options.wait == IdleWait::kSpin) {
    sched_yield();
    return;
  }
  if (state.options.wait == IdleWait::kAdaptive) {
    const std::int64_t until_ns = steady_ns() + kSpinNs;
    do {
      sched_yield();
      if (news()) return;
    } while (steady_ns() < until_ns);
  }
  if (state.look_for_ends()) return;
  Bell* bell = state.options.bell;
  if (bell != nullptr) bell->announce_sleep();
  if (news()) {
    if (bell != nullptr) bell->cancel_sleep();
    return;
  }
  state.ring->submit_and_wait(kSleepBoundNs);
  if (bell == nullptr) return;
  // Its bytes are read when the ring tells of them.
  if (state.bell_armed) {
    bell->cancel_sleep();
  } else {
    bell->awake();
  }
}

void Loop::begin_drain() {
  State& state = *state_;
  state.draining = true;
  for (std::uint32_t number = 0; number < state.listeners.size(); ++number) {
    if (!state.listeners[number].armed) continue;
    state.ring->cancel(state.listeners[number].given.descriptor,
                       user_data_of(Operation::kAccept, 0, number));
  }
  for (auto& connection : state.connections) {
    if (connection->phase != ConnectionPhase::kOpen) continue;
    connection->receive_wanted = false;
    state.cancel_receive(*connection);
  }
}

std::uint32_t Loop::open_connections() const {
  return state_->open_count;
}

void Loop::run(const std::atomic<bool>& stop, std::int64_t drain_bound_us) {
  while (!stop.load(std::memory_order_relaxed)) {
    (void)pass();
    idle();
  }
  begin_drain();
  const std::int64_t until_ns = steady_ns() + drain_bound_us * 1000;
  while (open_connections() != 0 && steady_ns() < until_ns) {
    (void)pass();
    idle();
  }
}

}  // namespace deja
