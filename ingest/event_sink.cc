#include "ingest/event_sink.h"

#include <cstring>
#include <deque>
#include <optional>
#include <string>

#include "ingest/event_time.h"
#include "ingest/journal_watch.h"
#include "ingest/message_id.h"
#include "ingest/recognizer.h"
#include "ingest/record_builder.h"
#include "ingest/refusal_codes.h"
#include "ingest/stage_clock.h"
#include "ingest/trace_sink.h"
#include "ingest/unmatched_names.h"
#include "ingest/verdict_shelf.h"
#include "ring/positions.h"
#include "ring/spsc_ring.h"
#include "ring/verdict.h"
#include "shm/consumed_layout.h"
#include "shm/token.h"

namespace deja {
namespace {

constexpr std::size_t kIngestCodeCount = std::size(kIngestCodes);
constexpr std::size_t kAckCodeCount = std::size(kAckCodes);

std::string labelled(const char* name, const std::string& labels) {
  return std::string(name) + '{' + labels + '}';
}

// One worker as this thread knows it.
struct Lane {
  MappedFile ring_file;
  MappedFile consumed_file;
  MappedFile verdict_file;
  RingProducer ring;
  RingConsumer verdicts;
  BellRope rope;
  VerdictShelf shelf;
  Counter fill_bytes;
  std::uint64_t consumed_position = 0;
};

}  // namespace

struct EventSink::State {
  State(const Segment& segment, JournalWatch watch, TraceSink trace_sink)
      : recognizer(segment.catalog()),
        unmatched_names(recognizer),
        journal(std::move(watch)),
        traces(std::move(trace_sink)) {}

  std::uint32_t thread = 0;
  std::uint32_t shard_count = 0;
  std::uint32_t worker_count = 0;
  std::uint64_t incarnation = 0;
  std::uint32_t key_bytes = 0;
  std::int64_t max_future_us = 0;
  Recognizer recognizer;
  UnmatchedNames unmatched_names;
  JournalWatch journal;
  TraceSink traces;
  ProcessFile* process = nullptr;
  std::unique_ptr<MappedFile> positions_file;  // ingest-<i>
  std::deque<Lane> lanes;                      // by worker; a Lane never moves
  std::optional<RejectedLetters> letters;
  std::optional<StageClock> stages;
  std::vector<TokenPart> token_parts;
  Counter received;
  Counter unmatched;
  Counter alias;
  Counter abandoned;
  Counter future;
  Counter ring_full;
  Counter ring_records;
  std::array<Counter, kIngestCodeCount> rejected;
  std::array<Counter, kAckCodeCount> acks_refused;

  void make_counters();
  void settle_counters();
  void count_rejected(const char* refusal_code);
  void count_ack_refused(const char* ack_code);
  SinkOutcome refuse_event(Refusal& refusal, const char* refusal_code, const char* message,
                           const char* path);
  [[nodiscard]] static const std::atomic<std::uint64_t>& consumed(const Lane& lane,
                                                                  std::uint32_t ring) {
    return consumed_ring(lane.consumed_file.at<const ConsumedLayout>(), ring)->position;
  }
  void take_verdicts(Lane& lane);
  /// An ack that was waited for is refused: false, as settle() says it.
  [[nodiscard]] bool take_back(const Placed& placed, const Refusal& refusal) {
    if (traces.on()) traces.refused(placed, refusal.code);
    return false;
  }
};

EventSink::EventSink() = default;
EventSink::~EventSink() = default;

void EventSink::State::make_counters() {
  const std::string label = "thread=\"" + std::to_string(thread) + '"';
  received = process->counter(labelled("deja_events_received_total", label));
  unmatched = process->counter(labelled("deja_events_unmatched_total", label));
  alias = process->counter(labelled("deja_events_alias_total", label));
  abandoned = process->counter(labelled("deja_events_abandoned_total", label));
  future = process->counter(labelled("deja_future_events_total", label));
  ring_full = process->counter(labelled("deja_ring_full_total", label));
  ring_records = process->counter(labelled("deja_ring_records_total", label));
  for (std::size_t at = 0; at < kIngestCodeCount; ++at) {
    rejected[at] = process->counter(labelled(
        "deja_events_rejected_total", std::string("code=\"") + kIngestCodes[at] + "\"," + label));
  }
  for (std::size_t at = 0; at < kAckCodeCount; ++at) {
    acks_refused[at] = process->counter(labelled(
        "deja_acks_refused_total", std::string("code=\"") + kAckCodes[at] + "\"," + label));
  }
}

/// What a predecessor had received when it was killed and had neither refused nor placed: nobody
/// was told that it was taken, and its producer sends it again. Every event ends in one counter.
void EventSink::State::settle_counters() {
  std::uint64_t placed = 0;
  for (const Lane& lane : lanes) placed += lane.ring.published_count();
  if (ring_records.value() < placed) ring_records.set(placed);
  std::uint64_t ended = placed + unmatched.value() + alias.value() + abandoned.value();
  for (const Counter& counter : rejected) ended += counter.value();
  if (received.value() > ended) abandoned.add(received.value() - ended);
}

void EventSink::State::count_rejected(const char* refusal_code) {
  received.add();
  for (std::size_t at = 0; at + 1 < kIngestCodeCount; ++at) {
    if (refusal_code == kIngestCodes[at] || std::strcmp(refusal_code, kIngestCodes[at]) == 0) {
      rejected[at].add();
      return;
    }
  }
  rejected[kIngestCodeCount - 1].add();
}

void EventSink::State::count_ack_refused(const char* ack_code) {
  for (std::size_t at = 0; at < kAckCodeCount; ++at) {
    if (std::strcmp(ack_code, kAckCodes[at]) == 0) acks_refused[at].add();
  }
}

SinkOutcome EventSink::State::refuse_event(Refusal& refusal, const char* refusal_code,
                                           const char* message, const char* path) {
  refuse(refusal, refusal_code, message, path);
  count_rejected(refusal_code);
  return SinkOutcome::kRefused;
}

Result<std::unique_ptr<EventSink>> EventSink::open(const Segment& segment, std::uint32_t thread,
                                                   ProcessFile& process) {
  const SuperblockLayout& superblock = segment.superblock();
  if (thread >= superblock.ingest_count) {
    return Error{"open the sink of ingest thread " + std::to_string(thread), 0,
                 "The appliance was made for " + std::to_string(superblock.ingest_count) +
                     " ingest threads; start it again with this count."};
  }
  auto journal = JournalWatch::open(segment, thread);
  if (!journal) return journal.error();
  auto traces = TraceSink::open(segment, thread);
  if (!traces) return traces.error();
  std::unique_ptr<EventSink> sink(new EventSink);
  sink->state_ = std::make_unique<State>(segment, std::move(*journal), std::move(*traces));
  State& state = *sink->state_;
  state.thread = thread;
  state.shard_count = superblock.shard_count;
  state.worker_count = superblock.worker_count;
  state.incarnation = superblock.incarnation;
  state.key_bytes = superblock.key_bytes < kKeyBytesMax ? superblock.key_bytes : kKeyBytesMax;
  state.max_future_us = segment.settings().getMaxFutureUs();
  state.process = &process;
  state.make_counters();
  state.letters.emplace(process, thread);
  state.stages.emplace(process, superblock.worker_count);
  state.token_parts.resize(superblock.worker_count);

  const std::string number = std::to_string(thread);
  auto positions = segment.map("ingest-" + number, MappedFile::Mode::kReadWrite);
  if (!positions) return positions.error();
  state.positions_file = std::make_unique<MappedFile>(std::move(*positions));
  if (state.positions_file->bytes() < ingest_file_bytes(superblock.worker_count)) {
    return Error{"map " + segment.path("ingest-" + number), 0, "The file is too short."};
  }
  for (std::uint32_t worker = 0; worker < superblock.worker_count; ++worker) {
    const std::string other = std::to_string(worker);
    auto ring = segment.map("ring-" + number + '-' + other, MappedFile::Mode::kReadWrite);
    if (!ring) return ring.error();
    auto consumed_file = segment.map("consumed-" + other, MappedFile::Mode::kReadOnly);
    if (!consumed_file) return consumed_file.error();
    if (consumed_file->bytes() < consumed_file_bytes(superblock.ingest_count)) {
      return Error{"map " + segment.path("consumed-" + other), 0, "The file is too short."};
    }
    auto verdict = segment.map("verdict-" + other + '-' + number, MappedFile::Mode::kReadOnly);
    if (!verdict) return verdict.error();
    auto rope = BellRope::open(segment, "worker-" + other);
    if (!rope) return rope.error();
    const auto* consumed_position =
        &consumed_ring(consumed_file->at<const ConsumedLayout>(), thread)->position;
    RingProducer producer(ring->data(), ring->bytes(), consumed_position);
    RingConsumer verdicts(verdict->data(), verdict->bytes(),
                          &state.positions_file->at<PositionLayout>()[worker].value);
    Counter fill = process.gauge(
        labelled("deja_ring_fill_bytes", "thread=\"" + number + "\",worker=\"" + other + '"'));
    state.lanes.push_back(Lane{std::move(*ring), std::move(*consumed_file), std::move(*verdict),
                               producer, verdicts, std::move(*rope), VerdictShelf(), fill, 0});
    state.letters->add_ring(&state.lanes.back().ring);
    state.traces.settle(worker, state.lanes.back().ring.published_position());
  }
  state.settle_counters();
  sink->refresh();
  return sink;
}

SinkOutcome EventSink::submit(const Extraction& event, std::int64_t received_us,
                              schema::AckLevel level, Refusal& refusal, Placed& placed) {
  // A tail call, so that what nobody follows costs a look and a jump.
  if (!state_->traces.on()) [[likely]] {
    return place(event, received_us, level, refusal, placed);
  }
  const SinkOutcome outcome = place(event, received_us, level, refusal, placed);
  state_->traces.submitted(event, received_us, outcome, refusal, placed);
  return outcome;
}

SinkOutcome EventSink::place(const Extraction& event, std::int64_t received_us,
                             schema::AckLevel level, Refusal& refusal, Placed& placed) {
  State& state = *state_;
  if (event.call == CallType::kAlias) {
    state.received.add();
    state.alias.add();
    return SinkOutcome::kDone;
  }
  if (event.call == CallType::kNone) {
    return state.refuse_event(refusal, code::kMissingType, "an event needs its type", "type");
  }
  if (event.call == CallType::kTrack && event.name.empty()) {
    return state.refuse_event(refusal, code::kMissingEvent, "a track needs its event's name",
                              "event");
  }
  const bool known = !event.user_id.empty();
  const std::string_view text = known ? event.user_id : event.anonymous_id;
  if (text.empty()) {
    return state.refuse_event(refusal, code::kMissingUser,
                              "an event needs a userId or an anonymousId", "");
  }
  if (text.size() > state.key_bytes) {
    return state.refuse_event(refusal, code::kKeyTooLong,
                              "the user's id is longer than the appliance keeps",
                              known ? "userId" : "anonymousId");
  }
  const EventTime time = event_time(event, received_us, state.max_future_us);
  if (time.bad_member != nullptr) {
    return state.refuse_event(refusal, code::kBadTimestamp,
                              "a time must lie between the years 1970 and 9999", time.bad_member);
  }
  const std::uint64_t kinds = state.recognizer.recognize(event.call, event.name);
  if (kinds == 0) {
    state.received.add();
    state.unmatched.add();
    state.process->error(state.unmatched_names.sentence(event.call, event.name));
    return SinkOutcome::kDone;
  }

  if (const char* trouble = ack_trouble(level, 0); trouble != nullptr) {
    return state.refuse_event(refusal, trouble, JournalWatch::sentence(trouble), "");
  }

  RecordFields fields;
  fields.received_us = received_us;
  fields.time_us = time.time_us;
  const MessageId id = message_id_of(event.message_id);
  fields.id_low = id.low;
  fields.id_high = id.high;
  fields.kinds = kinds;
  fields.key = {known ? KeyNamespace::kUser : KeyNamespace::kAnonymous, text.data(),
                static_cast<std::uint32_t>(text.size())};
  fields.shard = shard_of(fields.key, state.shard_count);
  const RecordValues values{
      {event.captured.data(), event.captured_count}, state.recognizer.kinds_of_slot(), kinds};
  const RecordSize size = record_size(fields, values);

  const std::uint32_t worker = fields.shard % state.worker_count;
  Lane& lane = state.lanes[worker];
  if (size.bytes > lane.ring.capacity_bytes() / 4) {
    return state.refuse_event(refusal, code::kEventTooLarge,
                              "the event's values are larger than a ring takes", "");
  }
  const auto record_bytes = static_cast<std::uint32_t>(size.bytes);
  std::uint8_t* record = lane.ring.claim(record_bytes);
  if (record == nullptr) {
    state.ring_full.add();
    return SinkOutcome::kFull;
  }
  build_record(fields, values, size, record);
  placed.worker = worker;
  placed.end_position = lane.ring.commit(record_bytes, kEventRecord);
  state.stages->built(received_us);
  state.received.add();
  if (time.was_future) state.future.add();
  return SinkOutcome::kCommitted;
}

void EventSink::count_refused(const Refusal& refusal) {
  state_->count_rejected(refusal.code == nullptr ? code::kOther : refusal.code);
}

void EventSink::refuse_full(Refusal& refusal) {
  (void)state_->refuse_event(refusal, code::kRingFull,
                             "the appliance can't keep up: send the same again later", "");
  if (state_->traces.on()) state_->traces.gave_up(refusal);
}

RejectedLetters& EventSink::letters() {
  return *state_->letters;
}

TraceSink& EventSink::traces() {
  return state_->traces;
}

bool EventSink::publish() {
  if (state_->traces.on()) state_->traces.publishing();
  bool any = false;
  WallReading now;
  for (std::uint32_t worker = 0; worker < state_->worker_count; ++worker) {
    Lane& lane = state_->lanes[worker];
    const std::uint64_t before = lane.ring.published_count();
    if (!lane.ring.publish()) continue;
    const std::uint64_t event_count = lane.ring.published_count() - before;
    state_->stages->published(worker, lane.ring.published_position(), event_count, now);
    state_->ring_records.add(event_count);
    lane.rope.ring_if_asleep();
    any = true;
  }
  if (any) state_->stages->all_published(now);
  return any;
}

void EventSink::refresh() {
  state_->traces.refresh();
  WallReading now;
  state_->journal.refresh_state();
  for (std::uint32_t worker = 0; worker < state_->worker_count; ++worker) {
    Lane& lane = state_->lanes[worker];
    if (state_->journal.refresh_position(worker, lane.ring.published_position())) {
      state_->stages->durable(state_->journal.durable_us());
    }
    // SYNC(consumed.position): the verdicts about records before this position are in their ring.
    const std::uint64_t position =
        State::consumed(lane, state_->thread).load(std::memory_order_acquire);
    // A worker that answers for more than it was given answers for nothing.
    if (position > lane.ring.published_position()) continue;
    state_->take_verdicts(lane);
    lane.consumed_position = position;
    state_->stages->consumed(worker, position, now);
    lane.fill_bytes.set(lane.ring.committed_position() - position);
  }
}

void EventSink::State::take_verdicts(Lane& lane) {
  for (;;) {
    const RingRecord record = lane.verdicts.next();
    if (record.outcome == RingRecord::Outcome::kEmpty) break;
    VerdictLayout verdict{};
    if (record.outcome == RingRecord::Outcome::kRecord && record.type == kVerdict &&
        record.size_bytes == sizeof verdict) {
      std::memcpy(&verdict, record.payload, sizeof verdict);
      lane.shelf.put(verdict.ring_end, verdict.reason);
    } else {
      // What it refused can't be told from what it took any more: in doubt, refused.
      process->error("a worker's verdicts make no sense; its events are answered as refused");
      lane.shelf.forget_until(lane.ring.committed_position());
    }
    if (record.outcome == RingRecord::Outcome::kBroken) {
      lane.verdicts.seek(lane.verdicts.producer_position());
      break;
    }
  }
  lane.verdicts.release(lane.verdicts.read_position());
}

// Durable counts only as far as consumed: before that its worker's verdict is not known.
bool EventSink::covers(const Placed& placed, schema::AckLevel level) const {
  if (state_->lanes[placed.worker].consumed_position < placed.end_position) return false;
  return level == schema::AckLevel::APPLIED ||
         state_->journal.durable_position(placed.worker) >= placed.end_position;
}

void EventSink::count_acked(schema::AckLevel level, std::size_t event_count) {
  if (level == schema::AckLevel::DURABLE) state_->stages->acked(event_count);
}

void EventSink::end_pass() {
  publish();
  WallReading now;
  state_->stages->pass_ended(now);
}

bool EventSink::has_news() const {
  if (state_->journal.state_has_news()) return true;
  for (std::uint32_t worker = 0; worker < state_->worker_count; ++worker) {
    const Lane& lane = state_->lanes[worker];
    if (state_->journal.position_has_news(worker, lane.ring.published_position())) return true;
    // SYNC(consumed.position)
    const std::uint64_t position =
        State::consumed(lane, state_->thread).load(std::memory_order_acquire);
    if (position != lane.consumed_position && position <= lane.ring.published_position()) {
      return true;
    }
  }
  return false;
}

const char* EventSink::ack_trouble(schema::AckLevel level, std::int64_t waited_us) const {
  if (level == schema::AckLevel::APPLIED) return nullptr;
  const char* trouble = state_->journal.trouble();
  return trouble == nullptr && waited_us >= kJournalWaitUs ? code::kJournalStalled : trouble;
}

bool EventSink::settle(const Placed& placed, schema::AckLevel level, const char* trouble,
                       Refusal& refusal) {
  const RefusalReason reason = covers(placed, schema::AckLevel::APPLIED)
                                   ? state_->lanes[placed.worker].shelf.take(placed.end_position)
                                   : RefusalReason::kNone;
  if (reason == RefusalReason::kTableFull) {
    refuse(refusal, code::kTableFull,
           "there is no room for another profile: send the same again later");
    return state_->take_back(placed, refusal);
  }
  if (reason != RefusalReason::kNone) {
    refuse(refusal, code::kBrokenRecord, "the event could not be read by its worker");
    return state_->take_back(placed, refusal);
  }
  if (trouble == nullptr || covers(placed, level)) return true;
  // Not one of the rejected: the event was received, lies in a ring and will be counted by its
  // worker as what becomes of it. Its answer is counted by itself.
  state_->count_ack_refused(trouble);
  refuse(refusal, trouble, JournalWatch::sentence(trouble));
  return state_->take_back(placed, refusal);
}

bool EventSink::has_verdicts() const {
  for (const Lane& lane : state_->lanes) {
    if (!lane.shelf.empty()) return true;
  }
  return false;
}

std::size_t EventSink::format_token(const std::uint64_t* ends, char* text,
                                    std::size_t bytes) const {
  std::size_t count = 0;
  for (std::uint32_t worker = 0; worker < state_->worker_count; ++worker) {
    if (ends[worker] != 0) state_->token_parts[count++] = {state_->thread, worker, ends[worker]};
  }
  return deja::format_token(state_->incarnation, state_->token_parts.data(), count, text, bytes);
}

std::uint32_t EventSink::worker_count() const {
  return state_->worker_count;
}

std::uint32_t EventSink::thread() const {
  return state_->thread;
}

}  // namespace deja
