#include "ingest/trace_sink.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "ingest/message_id.h"
#include "shm/base/clock.h"
#include "shm/base/text_words.h"

namespace deja {
namespace {

constexpr std::uint64_t kNone = ~std::uint64_t{0};

/// Of what the codec found; a size of 0 or beyond any key's: it has none.
Key key_of(const Extraction& event) {
  const bool known = !event.user_id.empty();
  const std::string_view text = known ? event.user_id : event.anonymous_id;
  return {known ? KeyNamespace::kUser : KeyNamespace::kAnonymous, text.data(),
          static_cast<std::uint32_t>(text.size())};
}

/// Of an id, well mixed also where ids count up or begin with the time. Not the id's own hash:
/// every event pays for it while some are followed by chance, and five multiplications are enough.
std::uint64_t sample_hash(std::string_view id) {
  constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15U;
  std::uint64_t hash = id.size();
  for (; !id.empty(); id.remove_prefix(std::min(id.size(), sizeof hash))) {
    hash = (hash ^ first_word(id.data(), id.size())) * kOdd;
    hash ^= hash >> 32U;
  }
  return internal::final_mix(hash);
}

std::uint64_t hash_of(const HashSecret& secret, const Key& key) {
  return key.size == 0 || key.size > kKeyBytesMax ? 0 : keyed_hash(secret, key);
}

/// A wall clock's recent instant on the clock that all marks are of.
std::int64_t steady_of(std::int64_t wall_us, std::int64_t now_ns) {
  const std::int64_t age_ns = clock_ns(CLOCK_REALTIME) - wall_us * 1000;
  return now_ns - std::max<std::int64_t>(age_ns, 0);
}

}  // namespace

Result<TraceSink> TraceSink::open(const Segment& segment, std::uint32_t thread) {
  const SuperblockLayout& superblock = segment.superblock();
  auto control = segment.map(kTraceControlFile, MappedFile::Mode::kReadOnly);
  if (!control) return control.error();
  const std::string name = "trace-ingest-" + std::to_string(thread);
  auto file = segment.map(name, MappedFile::Mode::kReadWrite);
  if (!file) return file.error();
  if (control->bytes() < trace_control_bytes(superblock.worker_count, superblock.ingest_count) ||
      file->bytes() < trace_ingest_bytes(superblock.worker_count)) {
    return Error{"map " + segment.path(name), 0, "The file is too short."};
  }
  return TraceSink(std::move(*control), std::move(*file), segment, thread);
}

TraceSink::TraceSink(MappedFile control, MappedFile file, const Segment& segment,
                     std::uint32_t thread)
    : control_(std::move(control)),
      file_(std::move(file)),
      thread_(thread),
      worker_count_(segment.superblock().worker_count),
      secret_{{segment.superblock().hash_secret[0], segment.superblock().hash_secret[1]}},
      ends_((std::size_t{worker_count_} + 1) * kTraceSlots),
      random_state_(static_cast<std::uint64_t>(steady_ns())) {
  for (std::uint32_t at = 0; at <= worker_count_; ++at) {
    TraceLaneLayout* shared = file_.at<TraceLaneLayout>() + at;
    const std::uint64_t count = shared->count.load(std::memory_order_relaxed);
    lanes_.push_back({shared, count, count});
  }
}

void TraceSink::settle(std::uint32_t worker, std::uint64_t published_position) {
  TraceLaneLayout& lane = *lanes_[worker].shared;
  const std::uint64_t count = lane.count.load(std::memory_order_relaxed);
  for (std::uint64_t number = sane_cursor(0, count); number != count; ++number) {
    TraceCellLayout<TraceSlot>& cell = lane.slots[number % kTraceSlots];
    TraceSlot slot;
    if (!read_cell(cell, number, slot) || slot.end_position <= published_position) continue;
    // Another event will end there.
    slot.outcome = TraceOutcome::kAbandoned;
    slot.end_position = 0;
    write_cell(cell, number, slot);
  }
}

/// A lease that is new, or runs.
void TraceSink::look(std::int64_t until_ns) {
  const std::int64_t left_ns = until_ns - steady_ns();
  on_ = left_ns > 0 && left_ns <= kTraceLeaseMaxNs;
  if (!on_) {
    ended_until_ns_ = until_ns;
    return;
  }
  flags_ = control().flags.load(std::memory_order_relaxed);
  threshold_ = control().threshold.load(std::memory_order_relaxed);
  user_hash_ = control().user_hash.load(std::memory_order_relaxed);
}

bool TraceSink::follows(const Extraction& event, const Key& key) {
  if (asked_for()) return true;
  if ((flags_ & kTraceUser) != 0) {
    const std::uint64_t hash = hash_of(secret_, key);
    if (hash != 0 && hash == user_hash_) return true;
  }
  return sampled(event.message_id);
}

/// By its id, so that what is sent again is followed again; what has none, by chance.
bool TraceSink::sampled(std::string_view message_id) {
  if (threshold_ == 0 || threshold_ == ~std::uint64_t{0}) return threshold_ != 0;
  if (!message_id.empty()) return sample_hash(message_id) < threshold_;
  random_state_ += 0x9e3779b97f4a7c15U;
  return internal::final_mix(random_state_) < threshold_;
}

void TraceSink::submitted(const Extraction& event, std::int64_t received_us, SinkOutcome outcome,
                          const Refusal& refusal, const Placed& placed) {
  any_full_ = false;
  const Key key = key_of(event);
  if (!follows(event, key)) return;
  TraceSlot slot{};
  slot.committed_ns = steady_ns();
  slot.received_ns = steady_of(received_us, slot.committed_ns);
  slot.user_hash = hash_of(secret_, key);
  slot.call = static_cast<std::uint8_t>(event.call);
  set_text(slot.name, event.name.data(), event.name.size());
  set_text(slot.message_id, event.message_id.data(), event.message_id.size());
  std::uint32_t lane = worker_count_;
  switch (outcome) {
    case SinkOutcome::kCommitted:
      slot.outcome = TraceOutcome::kPlaced;
      slot.end_position = placed.end_position;
      lane = placed.worker;
      break;
    case SinkOutcome::kDone:
      slot.outcome =
          event.call == CallType::kAlias ? TraceOutcome::kAlias : TraceOutcome::kUnmatched;
      break;
    case SinkOutcome::kRefused:
      slot.outcome = TraceOutcome::kRefused;
      set_text(slot.code, refusal.code, std::strlen(refusal.code));
      break;
    case SinkOutcome::kFull:
      full_ = slot;
      any_full_ = true;
      return;
  }
  add(lane, slot);
}

void TraceSink::gave_up(const Refusal& refusal) {
  if (!std::exchange(any_full_, false)) return;
  full_.outcome = TraceOutcome::kRefused;
  full_.committed_ns = steady_ns();
  set_text(full_.code, refusal.code, std::strlen(refusal.code));
  add(worker_count_, full_);
}

void TraceSink::unreadable(const Refusal& refusal, std::int64_t received_us) {
  if (!asked_for() && !sampled({})) return;
  TraceSlot slot{};
  slot.committed_ns = steady_ns();
  slot.received_ns = steady_of(received_us, slot.committed_ns);
  slot.outcome = TraceOutcome::kRefused;
  set_text(slot.code, refusal.code, std::strlen(refusal.code));
  add(worker_count_, slot);
}

/// Gives the event a number, if there is a slot for it.
void TraceSink::add(std::uint32_t at, const TraceSlot& slot) {
  Lane& lane = lanes_[at];
  TraceLaneLayout& shared = *lane.shared;
  const std::uint64_t number = shared.count.load(std::memory_order_relaxed);
  const std::uint64_t collected =
      control().collected()[std::size_t{thread_} * (worker_count_ + 1) + at].load(
          std::memory_order_acquire);
  // Also where more was collected than there is: whoever says that is told nothing.
  if (collected > number || number - collected >= kTraceSlots) {
    shared.dropped.store(shared.dropped.load(std::memory_order_relaxed) + 1,
                         std::memory_order_relaxed);
    return;
  }
  TraceSlot whole = slot;
  if (request_ != nullptr && request_->parent != 0) {
    whole.trace_high = request_->trace_high;
    whole.trace_low = request_->trace_low;
    whole.parent = request_->parent;
  }
  write_cell(shared.slots[number % kTraceSlots], number, whole);
  end_of(lane, number) = whole.end_position;
  if (lane.unanswered == number) lane.awaited_end = whole.end_position;
  // SYNC(trace.count): the slots before it are there.
  shared.count.store(number + 1, std::memory_order_release);
}

std::uint64_t& TraceSink::end_of(const Lane& lane, std::uint64_t number) {
  const auto at = static_cast<std::size_t>(&lane - lanes_.data());
  return ends_[at * kTraceSlots + number % kTraceSlots];
}

void TraceSink::publishing() {
  std::int64_t now_ns = 0;
  for (std::uint32_t worker = 0; worker < worker_count_; ++worker) {
    Lane& lane = lanes_[worker];
    const std::uint64_t count = lane.shared->count.load(std::memory_order_relaxed);
    if (lane.unpublished == count) continue;
    if (now_ns == 0) now_ns = steady_ns();
    for (; lane.unpublished != count; ++lane.unpublished) {
      set_word(lane.shared->slots[lane.unpublished % kTraceSlots],
               offsetof(TraceSlot, published_ns), static_cast<std::uint64_t>(now_ns));
    }
  }
}

/// The number of the event that ends there, or kNone.
std::uint64_t TraceSink::find(Lane& lane, std::uint64_t end_position) {
  const std::uint64_t count = lane.shared->count.load(std::memory_order_relaxed);
  lane.unanswered = sane_cursor(lane.unanswered, count);
  std::uint64_t first = lane.unanswered;
  std::uint64_t left = count - first;
  while (left > 0) {
    const std::uint64_t half = left / 2;
    if (end_of(lane, first + half) < end_position) {
      first += half + 1;
      left -= half + 1;
    } else {
      left = half;
    }
  }
  return first != count && end_of(lane, first) == end_position ? first : kNone;
}

void TraceSink::refused(const Placed& placed, const char* code) {
  Lane& lane = lanes_[placed.worker];
  const std::uint64_t number = find(lane, placed.end_position);
  if (number == kNone) return;
  char text[sizeof TraceSlot::code];
  set_text(text, code, std::strlen(code));
  for (std::size_t at = 0; at < sizeof text; at += 8) {
    set_word(lane.shared->slots[number % kTraceSlots], offsetof(TraceSlot, code) + at,
             load_word<std::uint64_t>(text + at));
  }
}

void TraceSink::note_answer(const Placed& placed, schema::AckLevel level) {
  Lane& lane = lanes_[placed.worker];
  const std::uint64_t number = find(lane, placed.end_position);
  if (number != kNone) {
    TraceCellLayout<TraceSlot>& cell = lane.shared->slots[number % kTraceSlots];
    set_word(cell, offsetof(TraceSlot, ack),
             level == schema::AckLevel::DURABLE ? kTraceAckDurable : kTraceAckApplied);
    set_word(cell, offsetof(TraceSlot, answered_ns), static_cast<std::uint64_t>(steady_ns()));
  }
  await_next(lane);
}

/// Past those that were answered out of turn: connections wait for each other's answers nowhere.
void TraceSink::await_next(Lane& lane) {
  const std::uint64_t count = lane.shared->count.load(std::memory_order_relaxed);
  const auto is_answered = [&lane](std::uint64_t number) {
    const auto& words = lane.shared->slots[number % kTraceSlots].words;
    return words[offsetof(TraceSlot, answered_ns) / 8].load(std::memory_order_relaxed) != 0;
  };
  while (lane.unanswered != count && is_answered(lane.unanswered)) ++lane.unanswered;
  lane.awaited_end = lane.unanswered == count ? kNone : end_of(lane, lane.unanswered);
}

}  // namespace deja
