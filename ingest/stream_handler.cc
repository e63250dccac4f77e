#include "ingest/stream_handler.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "ingest/refusal_codes.h"
#include "ingest/segment_auth.h"
#include "ingest/stream_batches.h"
#include "ingest/stream_decoder.h"
#include "ingest/stream_event_json.h"
#include "ingest/stream_frame.h"
#include "ingest/stream_reply.h"
#include "ingest/trace_sink.h"
#include "shm/capnp_view.h"
#include "shm/token.h"

namespace deja {

using stream_schema::AckLevel;

struct StreamFactory::Shared {
  Shared(EventSink& the_sink, ProcessFile& the_process, const PathTrie& paths,
         IngestLimits& the_limits)
      : sink(the_sink), process(the_process), limits(the_limits), decoder(paths) {}

  EventSink& sink;
  ProcessFile& process;
  IngestLimits& limits;
  Counter limited_address;
  Counter limited_key;
  StreamDecoder decoder;
  StreamReply reply;
  Extraction extraction;
  std::string letter;  // of a rejected event
  SegmentAuth keys{{}};
  std::string appliance;
  AckLevel level = AckLevel::APPLIED;  // of clients that ask for none
  std::int64_t full_ring_wait_us = 0;
  std::vector<char> token;
};

namespace {

// Answers that a client does not read: beyond this it is not read from either.
constexpr std::size_t kUnsentBytesMax = 256 * 1024;
// What may lie here unread: the credits, and a hello. More is more than was ever granted.
constexpr std::size_t kBufferBytesMax = kCreditBytes + 64 * 1024;
// What a pooled handler keeps of it.
constexpr std::size_t kBufferKeptBytes = 16 * 1024;

enum MessageTag : std::uint16_t { kNothing, kHello, kHelloReply, kBatch, kAck, kError };

// Where ingest/event.capnp puts things.
constexpr std::uint32_t kHelloVersionByte = 0;
constexpr std::uint32_t kHelloAckLevelByte = 2;
constexpr std::uint32_t kBatchSequenceByte = 0;
constexpr std::uint32_t kBatchSentAtByte = 8;

class StreamHandler : public ConnectionHandler {
 public:
  explicit StreamHandler(StreamFactory::Shared& shared)
      : shared_(shared), batches_(shared.sink.worker_count()), share_(&shared.limits.buffers) {}

  void on_open(ConnectionOutput& output) override;
  Next on_receive(std::span<const std::uint8_t> bytes, std::int64_t received_us) override;
  Next on_pass(std::int64_t now_us) override;
  [[nodiscard]] bool busy() const override {
    return !failed_ && (batches_.oldest() != nullptr || stalled_ || overfull());
  }
  [[nodiscard]] bool is_overdue(std::int64_t now_us) override;
  Next on_overdue() override;
  Next on_end() override;
  void on_close() override;

 private:
  enum class Handled : std::uint8_t { kDone, kStalled, kFailed };

  std::size_t consume(std::span<const std::uint8_t> bytes, std::int64_t now_us);
  void consume_buffer(std::int64_t now_us);
  Handled handle(const Frame& frame, std::int64_t now_us);
  Handled handle_hello(const capnp_view::Message& message, const capnp_view::Struct& hello);
  Handled handle_batch(const Frame& frame, capnp_view::Message& message, std::int64_t now_us);
  bool begin_batch(const capnp_view::Struct& batch, std::uint32_t event_count,
                   std::uint32_t frame_bytes);
  [[nodiscard]] bool is_limited(std::uint32_t event_count);
  [[nodiscard]] std::size_t held_bytes() const {
    return buffer_.capacity() + output_->unsent_bytes();
  }
  bool hand_over(InFlightBatch& batch, std::uint32_t index, std::int64_t now_us, Refusal& refusal);
  void keep_letter(std::span<const std::uint8_t> frame, std::uint32_t index,
                   const Refusal& refusal);
  void ack_what_is_covered(std::int64_t now_us);
  [[nodiscard]] bool covered(const InFlightBatch& batch) const;
  void ack(InFlightBatch& batch, const char* trouble);
  [[nodiscard]] schema::AckLevel level() const {
    return level_ == AckLevel::DURABLE ? schema::AckLevel::DURABLE : schema::AckLevel::APPLIED;
  }
  Handled fail(const char* error_code, const char* message);
  [[nodiscard]] bool overfull() const { return output_->unsent_bytes() > kUnsentBytesMax; }
  [[nodiscard]] Next next();

  StreamFactory::Shared& shared_;
  ConnectionOutput* output_ = nullptr;
  StreamBatches batches_;
  BufferShare share_;
  PeerAddress client_;              // whose rate it is; unknown: nobody's
  std::int32_t key_ = -1;           // the write key's number
  std::int64_t part_since_us_ = 0;  // since when is_overdue() has seen it wait for the same; 0: not
  std::uint64_t frame_count_ = 0;   // whole ones taken
  std::uint64_t frames_seen_ = 0;   // … when is_overdue() last looked
  std::vector<std::uint8_t> buffer_;  // what could not be used yet
  AckLevel level_ = AckLevel::APPLIED;
  bool greeted_ = false;
  bool failed_ = false;   // an Error went out: the connection ends
  bool ended_ = false;    // the peer's last byte is here
  bool stalled_ = false;  // the first frame in buffer_ is a batch that waits at a full ring
  std::uint32_t stalled_event_ = 0;
  std::int64_t full_since_us_ = 0;  // 0: the last event got through
  std::int64_t received_us_ = 0;
  std::uint64_t last_sequence_ = 0;
  bool any_batch_ = false;
  StreamDecoder::Budget budget_;
};

void StreamHandler::on_open(ConnectionOutput& output) {
  on_close();
  output_ = &output;
  client_ = output.peer();
  // A proxy is not who sends; who is behind it, it can't tell here.
  if (shared_.limits.proxies.contains(client_)) client_ = {};
}

void StreamHandler::on_close() {
  output_ = nullptr;
  batches_.clear();
  buffer_.clear();
  if (buffer_.capacity() > kBufferKeptBytes) std::vector<std::uint8_t>().swap(buffer_);
  (void)share_.hold(0);
  key_ = -1;
  part_since_us_ = 0;
  frame_count_ = frames_seen_ = 0;
  greeted_ = failed_ = ended_ = stalled_ = any_batch_ = false;
  stalled_event_ = 0;
  full_since_us_ = 0;
  last_sequence_ = 0;
}

Next StreamHandler::next() {
  if (failed_) return Next::kClose;
  if (ended_ && !stalled_ && batches_.oldest() == nullptr) return Next::kClose;
  return ended_ || stalled_ || overfull() ? Next::kPause : Next::kReceive;
}

Next StreamHandler::on_receive(std::span<const std::uint8_t> bytes, std::int64_t received_us) {
  if (failed_) return Next::kClose;
  const bool at_once = buffer_.empty();
  if (!stalled_) received_us_ = received_us;
  const std::size_t used = at_once ? consume(bytes, received_us) : 0;
  if (failed_) return next();
  const std::span<const std::uint8_t> rest = bytes.subspan(used);
  if (buffer_.size() + rest.size() > kBufferBytesMax) {
    (void)fail(stream_error::kOverCredit, "more was sent than the credits of the hello allow");
    return next();
  }
  buffer_.insert(buffer_.end(), rest.begin(), rest.end());
  if (!at_once && !stalled_) consume_buffer(received_us);
  if (!failed_ && !share_.hold(held_bytes()) && !buffer_.empty()) {
    (void)fail(stream_error::kNoMemory, "the appliance holds too much unfinished: try again later");
  }
  return next();
}

// What is waited for, if anything: the hello, the rest of a frame, a peer that reads its answers.
// Each kind of wait has its own bound; a whole frame in between begins it anew.
bool StreamHandler::is_overdue(std::int64_t now_us) {
  if (failed_) return false;
  if (buffer_.empty() && share_.scarce()) std::vector<std::uint8_t>().swap(buffer_);
  (void)share_.hold(held_bytes());
  const bool waits = !greeted_ || overfull() || (!stalled_ && !buffer_.empty());
  if (!waits || frame_count_ != frames_seen_ || part_since_us_ == 0) {
    part_since_us_ = waits ? now_us : 0;
    frames_seen_ = frame_count_;
    return false;
  }
  part_since_us_ = std::min(part_since_us_, now_us);  // the clock may be set back
  const std::int64_t bound_us = !greeted_ ? kHelloUs : overfull() ? kUnreadUs : kFrameUs;
  return now_us - part_since_us_ >= bound_us;
}

Next StreamHandler::on_overdue() {
  if (overfull()) return Next::kAbort;  // it would not read why
  (void)fail(stream_error::kTooSlow,
             greeted_ ? "a frame did not arrive in time" : "the hello did not arrive in time");
  return next();
}

Next StreamHandler::on_pass(std::int64_t now_us) {
  if (failed_) return Next::kClose;
  if (stalled_) consume_buffer(now_us);
  if (!failed_) ack_what_is_covered(now_us);
  return next();
}

Next StreamHandler::on_end() {
  ended_ = true;
  if (!failed_ && !stalled_ && !buffer_.empty()) {
    (void)fail(stream_error::kBadFrame, "the connection ended within a frame");
  }
  return next();
}

void StreamHandler::consume_buffer(std::int64_t now_us) {
  const std::size_t used = consume(buffer_, now_us);
  if (failed_) return;
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(used));
  if (ended_ && !stalled_ && !buffer_.empty()) (void)on_end();
}

// Handles whole frames; returns how many bytes they were.
std::size_t StreamHandler::consume(std::span<const std::uint8_t> bytes, std::int64_t now_us) {
  std::size_t used = 0;
  for (;;) {
    const Frame frame = first_frame(bytes.subspan(used));
    if (frame.state == FrameState::kPartial) return used;
    if (frame.state == FrameState::kBad) {
      (void)fail(stream_error::kBadFrame,
                 "not a frame: its length is a multiple of 8 up to 524288, then flags 0, then one "
                 "segment of that length");
      return used;
    }
    if (handle(frame, now_us) != Handled::kDone) return used;
    ++frame_count_;
    used += frame.bytes;
  }
}

StreamHandler::Handled StreamHandler::handle(const Frame& frame, std::int64_t now_us) {
  auto message = capnp_view::Message::of_message(frame.message.data(), frame.message.size());
  const capnp_view::Struct root = message.root();
  const auto tag = root.get<std::uint16_t>(0);
  if (message.damaged()) return fail(stream_error::kBadMessage, "not a Cap'n Proto message");
  if (tag == kHello) return handle_hello(message, root.structure(0));
  if (tag != kBatch) {
    return fail(stream_error::kBadMessage, "a client sends a hello and then batches");
  }
  if (!greeted_) return fail(stream_error::kHelloExpected, "the first message must be a hello");
  return handle_batch(frame, message, now_us);
}

StreamHandler::Handled StreamHandler::handle_hello(const capnp_view::Message& message,
                                                   const capnp_view::Struct& hello) {
  if (greeted_) return fail(stream_error::kHelloRepeated, "there was a hello already");
  const capnp_view::Text key = hello.text(0);
  if (message.damaged()) return fail(stream_error::kBadMessage, "not a Cap'n Proto message");
  if (hello.get<std::uint16_t>(kHelloVersionByte) != kStreamVersion) {
    return fail(stream_error::kUnsupportedVersion, "this appliance speaks version 1");
  }
  // Before the key is looked at: guessing keys is limited as well.
  if (shared_.limits.rates.address_pause_s(client_) != 0) {
    shared_.limited_address.add();
    return fail(stream_error::kTooMany, "too many events in a second: come again later");
  }
  shared_.limits.rates.charge_address(client_, 1);
  key_ = shared_.keys.number_of({key.data, key.size});
  if (key_ < 0 && !shared_.keys.open()) {
    return fail(stream_error::kBadWriteKey, "the write key is none of this appliance's");
  }
  const auto asked = static_cast<AckLevel>(hello.get<std::uint16_t>(kHelloAckLevelByte));
  if (asked > AckLevel::DURABLE) {
    return fail(stream_error::kAckUnavailable, "acks mean applied or durable, and nothing else");
  }
  level_ = asked == AckLevel::OF_SERVER ? shared_.level : asked;
  greeted_ = true;
  output_->write(shared_.reply.hello(level_, shared_.appliance.c_str()));
  return Handled::kDone;
}

// Checks a batch that is met for the first time and takes it into the books.
bool StreamHandler::begin_batch(const capnp_view::Struct& batch, std::uint32_t event_count,
                                std::uint32_t frame_bytes) {
  const auto sequence = batch.get<std::uint64_t>(kBatchSequenceByte);
  if (any_batch_ && sequence <= last_sequence_) {
    (void)fail(stream_error::kBadSequence, "a batch's sequence must be greater than the last one");
    return false;
  }
  if (event_count > kBatchEventsMax) {
    (void)fail(stream_error::kBatchTooLarge, "a batch may have 1024 events");
    return false;
  }
  batches_.add(sequence, frame_bytes, event_count);
  if (batches_.bytes_in_flight() > kCreditBytes || batches_.events_in_flight() > kCreditEvents) {
    (void)fail(stream_error::kOverCredit, "more was sent than the credits of the hello allow");
    return false;
  }
  any_batch_ = true;
  last_sequence_ = sequence;
  stalled_event_ = 0;
  budget_ = StreamDecoder::Budget::of_frame(frame_bytes);
  return true;
}

StreamHandler::Handled StreamHandler::handle_batch(const Frame& frame, capnp_view::Message& message,
                                                   std::int64_t now_us) {
  capnp_view::Struct body = message.root().structure(0);
  capnp_view::List events = body.list(0);
  if (message.damaged()) return fail(stream_error::kBadMessage, "not a Cap'n Proto message");
  if (!stalled_ && !begin_batch(body, events.size(), frame.bytes)) return Handled::kFailed;
  InFlightBatch& batch = *batches_.newest();
  if (!stalled_ && is_limited(events.size())) {
    Refusal refusal;
    refuse(refusal, code::kRateLimited, "too many in a second: send it again later");
    for (std::uint32_t index = 0; index < events.size(); ++index) {
      batch.rejects.push_back({index, true, refusal});
    }
    batch.whole = true;
    batch.whole_since_us = now_us;
    return Handled::kDone;
  }
  const auto sent_at_us = body.get<std::int64_t>(kBatchSentAtByte);
  const UsualEvents usual(frame.message);
  Refusal refusal;
  for (std::uint32_t index = stalled_event_; index < events.size(); ++index) {
    if (!shared_.decoder.decode_usual(usual, index, sent_at_us, budget_, shared_.extraction) &&
        !shared_.decoder.decode(message, events[index], sent_at_us, budget_, shared_.extraction,
                                refusal)) {
      shared_.sink.count_refused(refusal);
      if (TraceSink& traces = shared_.sink.traces(); traces.on()) {
        traces.submitted(shared_.extraction, received_us_, SinkOutcome::kRefused, refusal, {});
      }
      batch.rejects.push_back({index, false, refusal});
      if (message.damaged()) {
        // One event's damage is not the next one's.
        message = capnp_view::Message::of_message(frame.message.data(), frame.message.size());
        events = message.root().structure(0).list(0);
      }
    } else if (!hand_over(batch, index, now_us, refusal)) {
      stalled_ = true;
      stalled_event_ = index;
      return Handled::kStalled;
    }
    if (refusal.code == nullptr) continue;
    keep_letter(frame.message, index, refusal);
    refusal = {};
  }
  stalled_ = false;
  batch.whole = true;
  batch.whole_since_us = now_us;
  return Handled::kDone;
}

// Charges a batch, unless it comes too early.
bool StreamHandler::is_limited(std::uint32_t event_count) {
  RateLimits& rates = shared_.limits.rates;
  if (rates.address_pause_s(client_) != 0) {
    shared_.limited_address.add();
    return true;
  }
  if (rates.key_pause_s(key_) != 0) {
    shared_.limited_key.add();
    return true;
  }
  rates.charge_address(client_, event_count);
  rates.charge_key(key_, event_count);
  return false;
}

// What is left of a rejected event, read anew: it may have damaged the message that it was in.
void StreamHandler::keep_letter(std::span<const std::uint8_t> frame, std::uint32_t index,
                                const Refusal& refusal) {
  RejectedLetters& letters = shared_.sink.letters();
  if (!letters.admit(refusal)) return;
  auto message = capnp_view::Message::of_message(frame.data(), frame.size());
  const capnp_view::List events = message.root().structure(0).list(0);
  const bool whole = stream_event_json(message, events[index], shared_.letter);
  letters.put(refusal, {shared_.letter, RejectedForm::kStream, CallType::kNone, !whole},
              received_us_);
}

// False: the event has to wait at a full ring.
bool StreamHandler::hand_over(InFlightBatch& batch, std::uint32_t index, std::int64_t now_us,
                              Refusal& refusal) {
  Placed placed;
  switch (shared_.sink.submit(shared_.extraction, received_us_, level(), refusal, placed)) {
    case SinkOutcome::kDone:
      return true;
    case SinkOutcome::kRefused:
      batch.rejects.push_back({index, worth_resending(refusal.code), refusal});
      return true;
    case SinkOutcome::kCommitted:
      full_since_us_ = 0;
      batch.placed.push_back({index, placed});
      batch.end_positions[placed.worker] = placed.end_position;
      return true;
    case SinkOutcome::kFull:
      break;
  }
  if (full_since_us_ == 0) full_since_us_ = now_us;
  if (now_us - full_since_us_ < shared_.full_ring_wait_us) return false;
  shared_.sink.refuse_full(refusal);
  batch.rejects.push_back({index, true, refusal});
  return true;
}

bool StreamHandler::covered(const InFlightBatch& batch) const {
  for (std::uint32_t worker = 0; worker < batch.end_positions.size(); ++worker) {
    const std::uint64_t end = batch.end_positions[worker];
    if (end != 0 && !shared_.sink.covers({worker, end}, level())) return false;
  }
  return true;
}

void StreamHandler::ack_what_is_covered(std::int64_t now_us) {
  while (batches_.oldest() != nullptr && batches_.oldest()->whole && !overfull()) {
    InFlightBatch& batch = *batches_.oldest();
    const char* trouble = nullptr;
    if (!covered(batch)) {
      trouble = shared_.sink.ack_trouble(level(), now_us - batch.whole_since_us);
      if (trouble == nullptr) return;
    }
    ack(batch, trouble);
    batches_.drop_oldest();
  }
}

void StreamHandler::ack(InFlightBatch& batch, const char* trouble) {
  // Of most batches no worker refused anything, and all is covered.
  if (trouble != nullptr || shared_.sink.has_verdicts()) {
    for (const PlacedEvent& event : batch.placed) {
      Refusal refusal;
      if (shared_.sink.settle(event.placed, level(), trouble, refusal)) continue;
      batch.rejects.push_back({event.index, worth_resending(refusal.code), refusal});
    }
  }
  if (trouble == nullptr) shared_.sink.count_acked(level(), batch.placed.size());
  std::sort(batch.rejects.begin(), batch.rejects.end(),
            [](const StreamReject& a, const StreamReject& b) { return a.index < b.index; });
  shared_.token[0] = '\0';
  if (!batch.placed.empty()) {
    (void)shared_.sink.format_token(batch.end_positions.data(), shared_.token.data(),
                                    shared_.token.size());
  }
  output_->write(shared_.reply.ack(batch.sequence, level_, shared_.token.data(), batch.rejects));
  if (TraceSink& traces = shared_.sink.traces(); traces.on()) {
    for (const PlacedEvent& event : batch.placed) traces.answered(event.placed, level());
  }
}

StreamHandler::Handled StreamHandler::fail(const char* error_code, const char* message) {
  output_->write(shared_.reply.error(error_code, message));
  shared_.process.error(std::string("stream: closed for ") + error_code + ": " + message);
  failed_ = true;
  stalled_ = false;
  return Handled::kFailed;
}

}  // namespace

StreamFactory::StreamFactory(std::unique_ptr<Shared> shared) : shared_(std::move(shared)) {}
StreamFactory::~StreamFactory() = default;

Result<std::unique_ptr<StreamFactory>> StreamFactory::make(const Segment& segment, EventSink& sink,
                                                           ProcessFile& process,
                                                           const PathTrie& paths,
                                                           IngestLimits& limits) {
  const schema::Settings::Reader settings = segment.settings();
  auto shared = std::make_unique<Shared>(sink, process, paths, limits);
  const auto limited = [&](const char* by) {
    return process.counter("deja_rate_limited_total{by=\"" + std::string(by) + "\",thread=\"" +
                           std::to_string(sink.thread()) + "\"}");
  };
  shared->limited_address = limited("address");
  shared->limited_key = limited("key");
  std::vector<std::string> keys;
  for (const auto key : settings.getWriteKeys()) keys.emplace_back(key.cStr());
  shared->keys = SegmentAuth(std::move(keys));
  shared->appliance = settings.getAppliance().cStr();
  const bool durable = settings.getAck() == schema::AckLevel::DURABLE;
  shared->level = durable ? AckLevel::DURABLE : AckLevel::APPLIED;
  shared->full_ring_wait_us = settings.getFullRingWaitUs();
  // As long as JSON can make the longest text that is looked at.
  shared->letter.reserve(std::size_t{8} * kRejectedTextMax);
  shared->token.resize(token_bytes_max(sink.worker_count()));
  return std::unique_ptr<StreamFactory>(new StreamFactory(std::move(shared)));
}

std::unique_ptr<ConnectionHandler> StreamFactory::make_handler() {
  return std::make_unique<StreamHandler>(*shared_);
}

}  // namespace deja
