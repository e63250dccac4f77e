#include "ingest/producer.h"

#include <capnp/serialize.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <random>
#include <vector>

#include "ingest/producer_encoder.h"
#include "ingest/producer_socket.h"
#include "shm/base/clock.h"
#include "shm/capnp_view.h"

namespace deja {
namespace {

constexpr std::size_t kReceiveBytes = 64 * 1024;
// What a frame holds beside its events: header, table, the structs around them.
constexpr std::size_t kBatchOverheadBytes = 128;
constexpr std::size_t kFillBytesMax = kFrameBytesMax - 4096;

enum class Stage : std::uint8_t { kApart, kConnecting, kGreeting, kReady, kFailed };

struct TakenEvent {
  ProducerEvent event;
  std::uint64_t number = 0;
  std::uint32_t attempts = 0;  // that met a full appliance
  std::size_t bytes = 0;
};

struct SentBatch {
  std::uint64_t sequence = 0;
  std::size_t frame_bytes = 0;
  bool written = false;  // to this connection
  std::vector<TakenEvent> events;
};

struct LaterEvent {
  std::int64_t due_us = 0;
  TakenEvent taken;
};

std::int64_t steady_us() {
  return steady_ns() / 1000;
}

std::string text_of(const capnp_view::Text& text) {
  return {text.data, text.size};
}

}  // namespace

struct Producer::State {
  ProducerOptions options;
  ProducerAddress address;
  bool may_reconnect = true;
  ProducerEncoder encoder;
  std::mt19937_64 random;
  std::string id_prefix;

  Stage stage = Stage::kApart;
  int socket = -1;
  std::int64_t stage_deadline_us = 0;
  std::int64_t reconnect_at_us = 0;
  std::int64_t reconnect_pause_us = 0;
  std::string failure;
  ProducerAck ack_level = ProducerAck::kOfServer;
  std::uint32_t credit_events = 0;
  std::uint32_t credit_bytes = 0;
  std::uint32_t batch_events_max = 0;

  std::deque<TakenEvent> queue;      // not in a batch yet
  std::size_t queue_bytes = 0;       // their encoded sizes
  std::int64_t oldest_since_us = 0;  // when the first of the queue came
  std::vector<LaterEvent> later;     // to be tried again
  std::deque<SentBatch> in_flight;
  std::uint64_t in_flight_events = 0;
  std::size_t in_flight_bytes = 0;
  std::uint64_t next_sequence = 1;

  std::vector<std::uint8_t> to_write;
  std::size_t written = 0;
  std::vector<std::uint8_t>
      received;          // never made smaller: clearing its room costs more than a send
  std::size_t held = 0;  // bytes of it that are there
  ProducerStats stats;
  std::string last_token;

  ~State() { drop_socket(); }

  [[nodiscard]] std::uint64_t held_events() const {
    return queue.size() + later.size() + in_flight_events;
  }
  void drop_socket();
  void disconnect(const std::string& why);
  void fail(const std::string& why);
  void connect(std::int64_t now_us);
  void greet(std::int64_t now_us);
  [[nodiscard]] bool batch_is_due(std::int64_t now_us, bool at_once) const;
  void make_batches(std::int64_t now_us, bool at_once);
  [[nodiscard]] bool make_batch();
  void append_batch(SentBatch& batch);
  void write_again();
  void write_some();
  void read_some();
  void handle(std::span<const std::uint8_t> message);
  void handle_hello(const capnp_view::Struct& reply);
  void handle_ack(const capnp_view::Struct& ack);
  void handle_error(const capnp_view::Struct& error);
  void report(const TakenEvent& taken, const capnp_view::Struct& reject);
  void bring_back_later(std::int64_t now_us);
  void pass(std::int64_t now_us, bool at_once);
  void wait(std::int64_t now_us, std::int64_t until_us);
  [[nodiscard]] std::int64_t jittered(std::int64_t pause_us) {
    return pause_us / 2 +
           static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(pause_us / 2 + 1));
  }
};

Producer::Producer() : state_(std::make_unique<State>()) {}
Producer::~Producer() = default;

// --- the connection ---------------------------------------------------------------------------

void Producer::State::drop_socket() {
  if (socket >= 0) close(socket);
  socket = -1;
}

void Producer::State::disconnect(const std::string& why) {
  drop_socket();
  failure = why;
  ack_level = ProducerAck::kOfServer;
  to_write.clear();
  written = 0;
  held = 0;
  for (SentBatch& batch : in_flight) batch.written = false;
  if (!may_reconnect) {
    stage = Stage::kFailed;
    return;
  }
  stage = Stage::kApart;
  reconnect_pause_us = std::clamp(reconnect_pause_us * 2, options.reconnect_min_us,
                                  std::max(options.reconnect_min_us, options.reconnect_max_us));
  reconnect_at_us = steady_us() + jittered(reconnect_pause_us);
}

void Producer::State::fail(const std::string& why) {
  disconnect(why);
  stage = Stage::kFailed;
}

void Producer::State::connect(std::int64_t now_us) {
  const Result<int> made = start_connecting(address);
  if (!made) {
    disconnect(made.error().message());
    return;
  }
  socket = made.value();
  stage = Stage::kConnecting;
  stage_deadline_us = now_us + options.connect_timeout_us;
}

void Producer::State::greet(std::int64_t now_us) {
  const auto hello = encoder.hello(options);
  to_write.assign(hello.begin(), hello.end());
  written = 0;
  stage = Stage::kGreeting;
  stage_deadline_us = now_us + options.connect_timeout_us;
}

void Producer::State::write_some() {
  while (socket >= 0 && written < to_write.size()) {
    const ssize_t count =
        ::send(socket, to_write.data() + written, to_write.size() - written, MSG_NOSIGNAL);
    if (count > 0) {
      written += static_cast<std::size_t>(count);
    } else if (count < 0 && errno == EINTR) {
      continue;
    } else if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return;
    } else {
      const std::string why = system_error("send to the appliance").message();
      read_some();  // what it said before it closed may still be there, and says why
      if (socket >= 0) disconnect(why);
      return;
    }
  }
  to_write.clear();
  written = 0;
}

void Producer::State::read_some() {
  while (socket >= 0) {
    if (received.size() - held < kReceiveBytes) received.resize(held + kReceiveBytes);
    const ssize_t count = recv(socket, received.data() + held, kReceiveBytes, 0);
    const int error_number = errno;
    if (count < 0 && error_number == EINTR) continue;
    if (count < 0 && (error_number == EAGAIN || error_number == EWOULDBLOCK)) return;
    if (count <= 0) {
      disconnect(count == 0 ? "the appliance closed the connection"
                            : Error{"receive from the appliance", error_number, ""}.message());
      return;
    }
    held += static_cast<std::size_t>(count);
    std::size_t used = 0;
    while (socket >= 0) {
      const Frame frame = first_frame(std::span(received).first(held).subspan(used));
      if (frame.state == FrameState::kPartial) break;
      if (frame.state == FrameState::kBad) {
        disconnect("the appliance sent something that is not a frame");
        return;
      }
      handle(frame.message);
      used += frame.bytes;
    }
    if (socket < 0) return;
    held -= used;
    std::memmove(received.data(), received.data() + used, held);
    if (count < static_cast<ssize_t>(kReceiveBytes)) return;
  }
}

// --- what the appliance says --------------------------------------------------------------------

void Producer::State::handle(std::span<const std::uint8_t> bytes) {
  auto message = capnp_view::Message::of_message(bytes.data(), bytes.size());
  const capnp_view::Struct root = message.root();
  const auto tag = static_cast<stream_schema::StreamMessage::Which>(root.get<std::uint16_t>(0));
  const capnp_view::Struct body = root.structure(0);
  if (tag == stream_schema::StreamMessage::HELLO_REPLY && stage == Stage::kGreeting) {
    handle_hello(body);
  } else if (tag == stream_schema::StreamMessage::ACK && stage == Stage::kReady) {
    handle_ack(body);
  } else if (tag == stream_schema::StreamMessage::ERROR) {
    handle_error(body);
  } else {
    disconnect("the appliance sent what this version does not know");
  }
  if (socket >= 0 && message.damaged()) disconnect("the appliance sent a damaged message");
}

void Producer::State::handle_hello(const capnp_view::Struct& reply) {
  ack_level = static_cast<ProducerAck>(reply.get<std::uint16_t>(2));
  credit_events = reply.get<std::uint32_t>(4);
  credit_bytes = reply.get<std::uint32_t>(8);
  batch_events_max = reply.get<std::uint32_t>(12);
  stage = Stage::kReady;
  failure.clear();
  ++stats.connections;
  write_again();
}

void Producer::State::handle_ack(const capnp_view::Struct& ack) {
  if (in_flight.empty() || in_flight.front().sequence != ack.get<std::uint64_t>(0) ||
      !in_flight.front().written) {
    disconnect("the appliance acked a batch out of order");
    return;
  }
  SentBatch batch = std::move(in_flight.front());
  in_flight.pop_front();
  in_flight_events -= batch.events.size();
  in_flight_bytes -= batch.frame_bytes;
  ++stats.batches;
  reconnect_pause_us = 0;  // not before: one that greets and then closes is not to be hammered
  const capnp_view::Text token = ack.text(0);
  if (token.size != 0) last_token = text_of(token);
  const capnp_view::List rejects = ack.list(1);
  std::vector<bool> rejected(batch.events.size());
  std::size_t reject_count = 0;
  for (std::uint32_t at = 0; at < rejects.size(); ++at) {
    const capnp_view::Struct reject = rejects[at];
    const auto index = reject.get<std::uint32_t>(0);
    if (index >= batch.events.size() || rejected[index]) continue;
    rejected[index] = true;
    ++reject_count;
    TakenEvent& taken = batch.events[index];
    if (reject.get_bool(32) && taken.attempts < options.retry_count) {
      const std::int64_t pause_us = options.retry_min_us << std::min(taken.attempts, 10U);
      ++taken.attempts;
      ++stats.retried;
      later.push_back({steady_us() + jittered(pause_us), std::move(taken)});
    } else {
      report(taken, reject);
    }
  }
  stats.acked += batch.events.size() - reject_count;
}

void Producer::State::report(const TakenEvent& taken, const capnp_view::Struct& reject) {
  ++stats.rejected;
  if (!options.on_reject) return;
  options.on_reject(
      {taken.number, text_of(reject.text(0)), text_of(reject.text(1)), text_of(reject.text(2))});
}

void Producer::State::handle_error(const capnp_view::Struct& error) {
  const std::string error_code = text_of(error.text(0));
  const std::string why = error_code + ": " + text_of(error.text(1));
  if (error_code == stream_error::kBadWriteKey || error_code == stream_error::kAckUnavailable ||
      error_code == stream_error::kUnsupportedVersion) {
    fail(why);
  } else {
    disconnect(why);
  }
}

// --- batches ------------------------------------------------------------------------------------

bool Producer::State::batch_is_due(std::int64_t now_us, bool at_once) const {
  if (queue.empty()) return false;
  return at_once || queue.size() >= options.batch_events || queue_bytes >= options.batch_bytes ||
         now_us - oldest_since_us >= options.linger_us;
}

void Producer::State::make_batches(std::int64_t now_us, bool at_once) {
  while (stage == Stage::kReady && batch_is_due(now_us, at_once)) {
    if (!make_batch()) return;
    oldest_since_us = now_us;
  }
}

// False: the credits do not allow one now.
bool Producer::State::make_batch() {
  const std::size_t events_max =
      std::min<std::size_t>({options.batch_events, kBatchEventsMax, batch_events_max});
  const std::size_t bytes_max = std::min<std::size_t>(options.batch_bytes, kFillBytesMax);
  std::size_t count = 0;
  std::size_t bytes = kBatchOverheadBytes;
  while (count < queue.size() && count < events_max) {
    if (count != 0 && bytes + queue[count].bytes > bytes_max) break;
    bytes += queue[count++].bytes;
  }
  if (in_flight_events + count > credit_events || in_flight_bytes + bytes > credit_bytes) {
    return false;
  }
  SentBatch batch;
  batch.sequence = next_sequence++;
  batch.frame_bytes = bytes;
  batch.events.reserve(count);
  for (; count != 0; --count) {
    queue_bytes -= queue.front().bytes;
    batch.events.push_back(std::move(queue.front()));
    queue.pop_front();
  }
  append_batch(batch);
  in_flight_events += batch.events.size();
  in_flight_bytes += batch.frame_bytes;
  in_flight.push_back(std::move(batch));
  return true;
}

// Puts a batch's frame behind what is to be written.
void Producer::State::append_batch(SentBatch& batch) {
  std::vector<const ProducerEvent*> events;
  events.reserve(batch.events.size());
  for (const TakenEvent& taken : batch.events) events.push_back(&taken.event);
  const std::int64_t sent_at_us = options.correct_clock ? wall_us() : 0;  // 0: none given
  const auto frame = encoder.batch(batch.sequence, sent_at_us, events);
  CHECK(!frame.empty());  // encoded_bytes_max() kept it below a frame's limit
  if (written == to_write.size()) {
    to_write.clear();
    written = 0;
  }
  to_write.insert(to_write.end(), frame.begin(), frame.end());
  batch.written = true;
}

// After a reconnect: what was in flight, in its order, ahead of everything new. The new appliance
// may grant less than the old one did: what is beyond goes back to the queue.
void Producer::State::write_again() {
  while (!in_flight.empty() &&
         (in_flight_events > credit_events || in_flight_bytes > credit_bytes)) {
    SentBatch& last = in_flight.back();
    in_flight_events -= last.events.size();
    in_flight_bytes -= last.frame_bytes;
    for (auto taken = last.events.rbegin(); taken != last.events.rend(); ++taken) {
      queue_bytes += taken->bytes;
      queue.push_front(std::move(*taken));
    }
    in_flight.pop_back();
  }
  for (SentBatch& batch : in_flight) {
    append_batch(batch);
    stats.sent_again += batch.events.size();
  }
}

void Producer::State::bring_back_later(std::int64_t now_us) {
  for (std::size_t at = 0; at < later.size();) {
    if (later[at].due_us > now_us) {
      ++at;
      continue;
    }
    if (queue.empty()) oldest_since_us = now_us;
    queue_bytes += later[at].taken.bytes;
    queue.push_back(std::move(later[at].taken));
    later[at] = std::move(later.back());
    later.pop_back();
  }
}

// --- the duty -----------------------------------------------------------------------------------

// Everything that can be done without waiting.
void Producer::State::pass(std::int64_t now_us, bool at_once) {
  if (stage == Stage::kFailed) return;
  if (stage == Stage::kApart && now_us >= reconnect_at_us) connect(now_us);
  if (stage == Stage::kConnecting) {
    pollfd waiting{socket, POLLOUT, 0};
    if (::poll(&waiting, 1, 0) > 0) {
      const int error_number = connect_error(socket);
      if (error_number == 0) {
        greet(now_us);
      } else {
        disconnect(Error{"connect to " + options.address, error_number, ""}.message());
      }
    }
  }
  if ((stage == Stage::kConnecting || stage == Stage::kGreeting) && now_us >= stage_deadline_us) {
    disconnect("no answer from " + options.address);
  }
  // What can go goes at once, and does not wait until it was looked what came. Where nothing was
  // under way before, no ack can have come.
  if (stage == Stage::kReady && !queue.empty()) {
    const bool ack_may_be_there = !in_flight.empty();
    make_batches(now_us, at_once);
    write_some();
    if (!ack_may_be_there && queue.empty() && stage == Stage::kReady) return;
  }
  // Then comes reading: a greeting or an ack may allow the batch that is due, and wait() takes it
  // that nothing more could be sent.
  if (stage == Stage::kGreeting || stage == Stage::kReady) read_some();
  bring_back_later(now_us);
  make_batches(now_us, at_once);
  if (stage == Stage::kGreeting || stage == Stage::kReady) write_some();
}

// Sleeps until the socket has news or something is due, `until_us` at the latest.
void Producer::State::wait(std::int64_t now_us, std::int64_t until_us) {
  if (stage == Stage::kApart) until_us = std::min(until_us, reconnect_at_us);
  if (stage == Stage::kConnecting || stage == Stage::kGreeting) {
    until_us = std::min(until_us, stage_deadline_us);
  }
  if (stage == Stage::kReady && !queue.empty()) {
    const std::int64_t due_us = oldest_since_us + options.linger_us;
    // One that is due already waits for credits, that is for an ack.
    if (due_us > now_us) until_us = std::min(until_us, due_us);
  }
  for (const LaterEvent& event : later) until_us = std::min(until_us, event.due_us);
  if (until_us <= now_us || stage == Stage::kFailed) return;
  const bool wants_to_write = stage == Stage::kConnecting || written < to_write.size();
  pollfd waiting{socket, static_cast<short>(POLLIN | (wants_to_write ? POLLOUT : 0)), 0};
  const std::int64_t pause_us = until_us - now_us;
  const timespec pause{pause_us / 1'000'000, pause_us % 1'000'000 * 1000};
  (void)ppoll(&waiting, socket >= 0 ? 1 : 0, &pause, nullptr);
}

// --- the face -----------------------------------------------------------------------------------

Result<std::unique_ptr<Producer>> Producer::open(ProducerOptions options) {
  Result<ProducerAddress> address = ProducerAddress::parse(options.address);
  if (!address) return address.error();
  std::unique_ptr<Producer> producer = adopt(-1, std::move(options));
  producer->state_->address = std::move(*address);
  producer->state_->may_reconnect = true;
  return producer;
}

std::unique_ptr<Producer> Producer::adopt(int socket, ProducerOptions options) {
  std::unique_ptr<Producer> producer(new Producer);
  State& state = *producer->state_;
  options.batch_events = std::clamp(options.batch_events, 1U, kBatchEventsMax);
  options.queue_events = std::max(options.queue_events, 1U);
  options.reconnect_min_us = std::max<std::int64_t>(options.reconnect_min_us, 1);
  options.retry_min_us = std::max<std::int64_t>(options.retry_min_us, 1);
  state.options = std::move(options);
  std::random_device seed;
  state.random.seed(std::uint64_t{seed()} << 32U | seed());
  char prefix[40];
  const std::uint64_t first = state.random();
  std::snprintf(prefix, sizeof prefix, "%016llx%08x-", static_cast<unsigned long long>(first),
                static_cast<unsigned>(seed()));
  state.id_prefix = prefix;
  state.may_reconnect = false;
  if (socket >= 0) {
    state.socket = socket;
    prepare_socket(socket);
    state.greet(steady_us());
  }
  return producer;
}

SendOutcome Producer::send(ProducerEvent event) {
  State& state = *state_;
  if (state.stage == Stage::kFailed) return SendOutcome::kFailed;
  if (state.held_events() >= state.options.queue_events) return SendOutcome::kFull;
  TakenEvent taken;
  taken.number = state.stats.taken++;
  if (event.message_id.empty()) {
    event.message_id = state.id_prefix + std::to_string(taken.number);
  }
  taken.bytes = encoded_bytes_max(event);
  taken.event = std::move(event);
  if (taken.bytes > kFillBytesMax) {
    ++state.stats.rejected;
    if (state.options.on_reject) {
      state.options.on_reject({taken.number, "event_too_large", "larger than a frame takes", ""});
    }
    return SendOutcome::kTaken;
  }
  const std::int64_t now_us = steady_us();
  if (state.queue.empty()) state.oldest_since_us = now_us;
  state.queue_bytes += taken.bytes;
  state.queue.push_back(std::move(taken));
  const bool fills_a_batch = state.queue.size() % state.options.batch_events == 0;
  if (fills_a_batch || state.queue_bytes >= state.options.batch_bytes ||
      state.options.linger_us <= 0) {
    state.pass(now_us, false);
  }
  return state.stage == Stage::kFailed ? SendOutcome::kFailed : SendOutcome::kTaken;
}

void Producer::poll(std::int64_t timeout_us) {
  const std::int64_t now_us = steady_us();
  state_->pass(now_us, false);
  if (timeout_us <= 0 || failed()) return;
  state_->wait(now_us, now_us + timeout_us);
  state_->pass(steady_us(), false);
}

bool Producer::flush(std::int64_t timeout_us) {
  const std::int64_t until_us = steady_us() + timeout_us;
  for (;;) {
    const std::int64_t now_us = steady_us();
    state_->pass(now_us, true);
    if (state_->held_events() == 0) return true;
    if (failed() || now_us >= until_us) return false;
    state_->wait(now_us, until_us);
  }
}

bool Producer::connected() const {
  return state_->stage == Stage::kReady;
}
bool Producer::failed() const {
  return state_->stage == Stage::kFailed;
}
const std::string& Producer::failure() const {
  return state_->failure;
}
const ProducerStats& Producer::stats() const {
  return state_->stats;
}
const std::string& Producer::last_token() const {
  return state_->last_token;
}
ProducerAck Producer::ack_level() const {
  return state_->ack_level;
}

}  // namespace deja
