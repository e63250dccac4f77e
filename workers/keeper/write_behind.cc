#include "workers/keeper/write_behind.h"

#include <unistd.h>

#include <algorithm>

#include "shm/base/check.h"
#include "shm/base/clock.h"
#include "shm/base/crash_point.h"
#include "shm/json_text.h"
#include "workers/keeper/image.h"
#include "workers/keeper/stored_profile.h"

namespace deja {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;
/// A keeper that takes over looks through every shard, and where all was killed its workers do so
/// too: theirs is what events wait for.
constexpr std::int64_t kFirstRoundMaxNs = 1'000'000'000;

/// An error's code as far as it is one: a reply is Redis' text, and may not reach our error log.
std::string safe_code(std::string_view reply) {
  const std::string code(reply.substr(0, reply.find(' ')));
  const bool is_code = !code.empty() && code.size() <= 24 &&
                       std::all_of(code.begin(), code.end(),
                                   [](char letter) { return letter >= 'A' && letter <= 'Z'; });
  return is_code ? code : "an answer that makes no sense";
}

/// Errors of the whole server, not of one key: another connection may find a better one.
bool is_servers(std::string_view code) {
  return code == "READONLY" || code == "LOADING" || code == "MASTERDOWN" || code == "NOAUTH" ||
         code == "CLUSTERDOWN";
}

}  // namespace

WriteBehind::WriteBehind(WriteBehindParts parts, WriteBehindLimits limits, std::uint64_t epoch)
    : parts_(std::move(parts)),
      limits_(limits),
      epoch_(epoch),
      first_round_ns_(steady_ns() + std::min(limits.flush_every_ns, kFirstRoundMaxNs)),
      next_round_ns_(first_round_ns_),
      jitter_(static_cast<std::uint64_t>(steady_ns()) ^ static_cast<std::uint64_t>(getpid())),
      catalog_text_(hash_text(parts_.catalog_hash)),
      catalog_piece_(text_piece("catalog", catalog_text_, "image")) {
  const bool connected = parts_.store.connected();
  parts_.counters.connected.set(connected ? 1 : 0);
  parts_.shared.connected.value.store(connected ? 1 : 0, std::memory_order_release);
}

std::int64_t WriteBehind::tick(bool all) {
  const std::int64_t now_ns = steady_ns();
  if (!parts_.store.connected() && now_ns >= next_attempt_ns_) reconnect(now_ns);
  if (!parts_.store.connected() || now_ns < next_attempt_ns_) {
    show_lag();
    return std::max<std::int64_t>(next_attempt_ns_ - steady_ns(), 0);
  }
  if (!all && now_ns < next_round_ns_) return next_round_ns_ - now_ns;
  next_round_ns_ = now_ns + limits_.flush_every_ns;
  if (!parts_.store.connection().alive()) {
    // Noticed while idle too: a Redis that was started again may have lost what it had confirmed.
    if (pass_) abandon_pass();
    disconnected("Redis closed the connection");
    return 0;
  }
  if (!pass_ && !begin_pass(now_ns)) {
    show_lag();
    return limits_.flush_every_ns;
  }
  work_on_pass(all);
  show_lag();
  return std::max<std::int64_t>(next_round_ns_ - steady_ns(), 0);
}

void WriteBehind::work_on_pass(bool all) {
  std::size_t sent_bytes = 0;
  bool round_over = false;
  while (!round_over) {
    fill_batch();
    const bool any = !batch_.sent.empty();
    if (!any && under_way_.empty()) return end_pass();
    if (any) {
      sent_bytes += parts_.store.connection().appended_bytes();
      if (!send_batch()) return;
      round_over = !all && sent_bytes >= limits_.bytes_per_round_max;
    }
    // Where there was nothing to send, one reply more may confirm a shard.
    std::size_t stay = any ? kUnderWayMax - 1 : under_way_.size() - 1;
    if (round_over) stay = 0;
    while (under_way_.size() > stay) {
      if (!settle_oldest()) return;
    }
  }
}

// --- connecting ---------------------------------------------------------------------------------

void WriteBehind::reconnect(std::int64_t now_ns) {
  std::string note;
  std::optional<StoreFault> fault = parts_.store.open(epoch_, false, note);
  std::vector<std::uint64_t> in_redis;
  if (!fault) fault = parts_.store.read_watermarks(in_redis);
  if (fault) {
    parts_.store.close();
    if (fault->kind == StoreFault::Kind::kFenced) fenced_ = fault->sentence;
    parts_.counters.errors.add();
    parts_.process.error(fault->sentence);
    back_off(now_ns);
    return;
  }
  lower_watermarks(in_redis);
  backoff_ms_ = 0;
  next_round_ns_ = first_round_ns_;
  parts_.counters.reconnects.add();
  parts_.counters.connected.set(1);
  parts_.shared.connected.value.store(1, std::memory_order_release);
}

void WriteBehind::lower_watermarks(const std::vector<std::uint64_t>& in_redis) {
  for (std::uint32_t shard = 0; shard < in_redis.size(); ++shard) {
    if (in_redis[shard] >= parts_.watermarks[shard].load(std::memory_order_relaxed)) continue;
    parts_.watermarks[shard].store(in_redis[shard], std::memory_order_release);
    parts_.loss_window.take_back(shard, in_redis[shard]);
    parts_.touched.walk(shard);
    parts_.process.error("Redis has lost what it had confirmed: the shard is written again");
  }
}

void WriteBehind::disconnected(const std::string& why) {
  parts_.store.close();
  parts_.counters.errors.add();
  parts_.counters.connected.set(0);
  parts_.shared.connected.value.store(0, std::memory_order_release);
  parts_.process.error(why);
  back_off(steady_ns());
}

void WriteBehind::back_off(std::int64_t now_ns) {
  backoff_ms_ = std::clamp(backoff_ms_ * 2, limits_.backoff_min_ms, limits_.backoff_max_ms);
  std::uniform_int_distribution<std::int64_t> between(backoff_ms_ / 2, backoff_ms_);
  next_attempt_ns_ = now_ns + between(jitter_) * kNsPerMs;
}

// --- a pass -------------------------------------------------------------------------------------

bool WriteBehind::begin_pass(std::int64_t now_ns) {
  const std::uint32_t shard_count = parts_.table.geometry().shard_count;
  Pass pass;
  bool work = false;
  for (std::uint32_t shard = 0; shard < shard_count; ++shard) {
    pass.sequence_before.push_back(parts_.table.shard(shard).sequence());
    work |= pass.sequence_before[shard] > parts_.watermarks[shard].load(std::memory_order_relaxed);
  }
  // Records that have not been looked at may lie below the sequences above: what they touched would
  // be missed, and the watermark would pass over it.
  if (!parts_.drain_logs()) return false;
  if (!work && parts_.touched.empty()) return false;
  for (std::uint32_t shard = 0; shard < shard_count; ++shard) {
    pass.shards.push_back(parts_.touched.take(shard));
    if (!pass.shards.back().walk) continue;
    parts_.counters.walks.add();
    // An event that is logged and not counted yet may not be published when the walk comes by.
    const std::uint64_t newest = pass.shards.back().newest;
    if (newest > pass.sequence_before[shard]) parts_.touched.walk(shard, newest);
  }
  pass.held.assign(shard_count, false);
  pass.began_ns = now_ns;
  pass_ = std::move(pass);
  return true;
}

bool WriteBehind::batch_is_full() const {
  return batch_.sent.size() >= limits_.batch_count_max ||
         parts_.store.connection().appended_bytes() >= limits_.batch_bytes_max;
}

void WriteBehind::fill_batch() {
  batch_.clear();
  as_of_us_ = wall_us();
  instant_.clear();
  append_instant(instant_, as_of_us_);
  as_of_piece_ = text_piece("as_of", instant_);
  for (const std::uint32_t shard : pass_->confirmed) add_watermark(shard);
  pass_->confirmed.clear();
  while (!batch_is_full() && pass_->shard < pass_->shards.size()) {
    if (!fill_from_shard()) continue;
    batch_.ends.push_back(pass_->shard);
    ++pass_->shard;
    pass_->cursor = {};
  }
  if (!batch_.sent.empty() || batch_.ends.empty()) return;
  if (!under_way_.empty()) {
    // Their profiles may be in a batch that is not answered yet.
    std::vector<std::uint32_t>& ends = under_way_.back().ends;
    ends.insert(ends.end(), batch_.ends.begin(), batch_.ends.end());
  } else {
    // Shards without a profile to send need no reply: their watermarks follow at once.
    for (const std::uint32_t shard : batch_.ends) add_watermark(shard);
  }
  batch_.ends.clear();
}

/// Takes one profile of the current shard into the batch. True when the shard has no more.
bool WriteBehind::fill_from_shard() {
  const std::uint32_t shard = pass_->shard;
  TouchedSet::Shard& left = pass_->shards[shard];
  if (!left.walk) return fill_from_keys();
  ProfileCopy copy = parts_.table.copy();
  switch (parts_.table.shard(shard).next(pass_->cursor, copy)) {
    case ReadOutcome::kAbsent:
      left.walk = false;
      return true;
    case ReadOutcome::kBusy:
      pass_->held[shard] = true;
      parts_.touched.walk(shard);
      return false;
    case ReadOutcome::kFound:
      break;
  }
  if (copy.sequence() > parts_.watermarks[shard].load(std::memory_order_relaxed)) {
    add_profile(shard, copy, owned_key(copy.key()));
  }
  return false;
}

bool WriteBehind::fill_from_keys() {
  const std::uint32_t shard = pass_->shard;
  TouchedKeys& touched = pass_->shards[shard].keys;
  for (const auto& [key, sequence] : touched) {
    pass_->keys.push_back({std::string(key), sequence, 0});
  }
  touched.clear();
  if (pass_->next_key == pass_->keys.size()) {
    pass_->keys.clear();
    pass_->next_key = 0;
    return true;
  }
  look_ahead(shard);
  add_touched(shard, std::move(pass_->keys[pass_->next_key++]));
  return false;
}

/// A profile that nobody has read lately costs two misses, one after the other; so each is asked
/// for while others are written.
void WriteBehind::look_ahead(std::uint32_t shard) {
  constexpr std::size_t kBlocksAhead = 6;
  constexpr std::size_t kBucketsAhead = 12;
  std::vector<Touched>& keys = pass_->keys;
  const std::size_t now = pass_->next_key;
  const ShardReader<>& table = parts_.table.shard(shard);
  const auto ask_for_bucket = [&](std::size_t at) {
    if (at < keys.size()) keys[at].hash = table.prefetch(key_of(keys[at].key));
  };
  if (now == 0) {
    for (std::size_t at = 0; at < kBucketsAhead; ++at) ask_for_bucket(at);
  }
  ask_for_bucket(now + kBucketsAhead);
  if (now + kBlocksAhead < keys.size()) table.prefetch_block(keys[now + kBlocksAhead].hash);
}

void WriteBehind::add_touched(std::uint32_t shard, Touched touched) {
  std::string key = std::move(touched.key);
  const std::uint64_t sequence = touched.sequence;
  ProfileCopy copy = parts_.table.copy();
  const std::int64_t oldest_us = pass_->shards[shard].oldest_us;
  const ReadOutcome outcome = parts_.table.shard(shard).get(key_of(key), touched.hash, copy);
  const bool counted = sequence <= pass_->sequence_before[shard];
  if (outcome == ReadOutcome::kAbsent) {
    // Counted and gone: somebody took it away. Not yet counted: its first version is on its way.
    if (!counted) parts_.touched.touch(shard, key, sequence, oldest_us);
    return;
  }
  // An older copy whose event was counted has no newer version to wait for: a worker publishes
  // before it counts, unless the event was struck dead, and then this is all that there is.
  if (outcome == ReadOutcome::kBusy || (copy.sequence() < sequence && !counted)) {
    pass_->had_others = true;
    pass_->held[shard] = pass_->held[shard] || counted;
    parts_.touched.touch(shard, key, sequence, oldest_us);
  }
  if (outcome == ReadOutcome::kFound) add_profile(shard, copy, std::move(key));
}

void WriteBehind::add_profile(std::uint32_t shard, const ProfileCopy& copy, std::string key) {
  if (copy.partial()) {
    // Its stored part would be overwritten with the rest alone.
    pass_->saw_partial = true;
    pass_->held[shard] = true;
    parts_.touched.touch(shard, key, copy.sequence(), 0);
    return;
  }
  pass_->had_others = true;
  constexpr std::size_t kFieldsBefore = 4;
  write_profile_key(shard, copy.key(), name_);
  RespBuffer& write = parts_.store.begin_write(name_, epoch_, copy.sequence(), catalog_text_,
                                               kFieldsBefore + parts_.readable.count());
  write.piece(catalog_piece_);
  encode_image(copy, parts_.catalog_hash, write.text_of(image_bytes(copy)));
  instant_.clear();
  append_instant(instant_, copy.header().updated_us);
  write.text("updated");
  write.text(instant_);
  write.piece(as_of_piece_);
  parts_.readable.add_to(write, reinterpret_cast<const std::uint8_t*>(copy.frame()), as_of_us_);
  batch_.sent.push_back({shard, false, std::move(key), copy.sequence()});
}

void WriteBehind::add_watermark(std::uint32_t shard) {
  const std::uint64_t sequence = pass_->sequence_before[shard];
  if (pass_->held[shard] || sequence <= parts_.watermarks[shard].load(std::memory_order_relaxed)) {
    return;
  }
  parts_.store.append_write(watermark_key(shard), epoch_, sequence, "", {});
  batch_.sent.push_back({shard, true, {}, sequence});
}

bool WriteBehind::send_batch() {
  under_way_.push_back(std::move(batch_));
  batch_ = {};
  if (!parts_.make_durable()) {
    // What was appended must not be sent, and there is no taking it back but with the connection.
    lose_batches("the journal can't be written, so nothing is written to Redis either");
    return false;
  }
  CRASH_POINT("keeper.before_write");
  const Status begun = parts_.store.connection().begin_exchange();
  if (!begun) lose_batches(begun.error().message());
  return begun.ok();
}

bool WriteBehind::settle_oldest() {
  if (!read_oldest()) return false;
  if (!trouble_) {
    backoff_ms_ = 0;
    return true;
  }
  // What is on its way is answered all the same.
  while (!under_way_.empty()) {
    if (!read_oldest()) return false;
  }
  abandon_pass();
  after_trouble();
  return false;
}

/// False when the connection was lost.
bool WriteBehind::read_oldest() {
  const Batch& oldest = under_way_.front();
  const Status done = parts_.store.connection().finish_exchange(
      [&](std::size_t index, const ShortReply& reply) { settle(oldest.sent[index], reply); });
  CRASH_POINT("keeper.after_replies");  // @F: Redis ahead of its watermark
  if (!done) {
    lose_batches(done.error().message());
    return false;
  }
  pass_->confirmed.insert(pass_->confirmed.end(), oldest.ends.begin(), oldest.ends.end());
  under_way_.pop_front();
  return true;
}

/// What was settled too: of a broken line no reply is known to be its own. Once more is harmless.
void WriteBehind::lose_batches(const std::string& why) {
  for (const Batch& batch : under_way_) {
    for (const Sent& sent : batch.sent) put_back(sent);
  }
  under_way_.clear();
  trouble_ = reconnect_wanted_ = guard_lost_ = false;
  abandon_pass();
  disconnected(why);
}

void WriteBehind::after_trouble() {
  if (reconnect_wanted_) {
    disconnected("Redis can't take writes now: connecting again");
  } else if (guard_lost_) {
    if (std::optional<StoreFault> fault = parts_.store.load_guard()) disconnected(fault->sentence);
    next_round_ns_ = 0;
  } else {
    back_off(steady_ns());
  }
  trouble_ = reconnect_wanted_ = guard_lost_ = false;
}

void WriteBehind::settle(const Sent& sent, const ShortReply& reply) {
  switch (RedisStore::outcome_of(reply)) {
    case WriteOutcome::kWritten:
      if (!sent.is_watermark) parts_.counters.written.add();
      break;
    case WriteOutcome::kOlder:
      if (!sent.is_watermark) parts_.counters.older.add();
      break;
    case WriteOutcome::kFenced:
      fenced_ = "Redis is written to by a later life of this appliance. Stop one of the two.";
      put_back(sent);
      trouble_ = true;
      return;
    case WriteOutcome::kError:
      settle_error(sent, reply);
      return;
  }
  if (sent.is_watermark) {
    CRASH_POINT("keeper.after_watermark");  // Redis' watermark ahead of ours
    const std::int64_t oldest_us = pass_->shards[sent.shard].oldest_us;
    if (oldest_us > 0) parts_.counters.flushed_seconds.record(ns_between(oldest_us, wall_us()));
    parts_.watermarks[sent.shard].store(sent.sequence, std::memory_order_release);
    if (parts_.trace != nullptr) parts_.trace->flushed(sent.shard);
  }
}

void WriteBehind::settle_error(const Sent& sent, const ShortReply& reply) {
  trouble_ = true;
  put_back(sent);
  const bool is_error = reply.kind == RedisReply::Kind::kError;
  const std::string code = safe_code(is_error ? reply.text : std::string_view());
  if (code == "NOSCRIPT") {
    guard_lost_ = true;
    return;
  }
  reconnect_wanted_ |= is_servers(code);
  parts_.counters.errors.add();
  parts_.process.error("Redis refuses a write: " + code);
}

void WriteBehind::put_back(const Sent& sent) {
  if (sent.is_watermark) return;
  pass_->held[sent.shard] = true;
  parts_.touched.touch(sent.shard, sent.key, sent.sequence, pass_->shards[sent.shard].oldest_us);
}

/// What was not sent yet is touched again; what was sent has been settled or put back.
void WriteBehind::abandon_pass() {
  CHECK(under_way_.empty());
  for (std::size_t at = pass_->next_key; at < pass_->keys.size(); ++at) {
    const Touched& touched = pass_->keys[at];
    parts_.touched.touch(pass_->shard, touched.key, touched.sequence,
                         pass_->shards[pass_->shard].oldest_us);
  }
  for (std::uint32_t shard = pass_->shard; shard < pass_->shards.size(); ++shard) {
    parts_.touched.put_back(shard, pass_->shards[shard]);
  }
  pass_.reset();
}

void WriteBehind::end_pass() {
  parts_.counters.flush_seconds.record(static_cast<std::uint64_t>(steady_ns() - pass_->began_ns));
  only_partial_left_ = pass_->saw_partial && !pass_->had_others;
  pass_.reset();
}

// --- what is shown ------------------------------------------------------------------------------

bool WriteBehind::everything_written() const {
  if (pass_ || !parts_.touched.empty()) return false;
  for (std::uint32_t shard = 0; shard < parts_.table.geometry().shard_count; ++shard) {
    if (parts_.table.shard(shard).sequence() >
        parts_.watermarks[shard].load(std::memory_order_relaxed)) {
      return false;
    }
  }
  return true;
}

std::string WriteBehind::unwritten() const {
  std::uint64_t events = 0;
  std::uint32_t shards = 0;
  for (std::uint32_t shard = 0; shard < parts_.table.geometry().shard_count; ++shard) {
    const std::uint64_t sequence = parts_.table.shard(shard).sequence();
    const std::uint64_t watermark = parts_.watermarks[shard].load(std::memory_order_relaxed);
    if (sequence <= watermark && parts_.touched.shard(shard).empty()) continue;
    events += sequence > watermark ? sequence - watermark : 0;
    ++shards;
  }
  return std::to_string(events) + " events in " + std::to_string(shards) +
         " shards are not in Redis";
}

void WriteBehind::show_lag() {
  std::uint64_t events = 0;
  std::int64_t oldest_us = 0;
  for (std::uint32_t shard = 0; shard < parts_.table.geometry().shard_count; ++shard) {
    const std::uint64_t sequence = parts_.table.shard(shard).sequence();
    const std::uint64_t watermark = parts_.watermarks[shard].load(std::memory_order_relaxed);
    if (sequence > watermark) events += sequence - watermark;
    for (const std::int64_t since_us :
         {parts_.touched.shard(shard).oldest_us, pass_ ? pass_->shards[shard].oldest_us : 0}) {
      if (since_us != 0) oldest_us = oldest_us == 0 ? since_us : std::min(oldest_us, since_us);
    }
  }
  const std::int64_t age_us = oldest_us == 0 ? 0 : std::max<std::int64_t>(wall_us() - oldest_us, 0);
  parts_.counters.touched.set(parts_.touched.count());
  parts_.counters.flush_lag_events.set(events);
  parts_.counters.flush_lag_microseconds.set(events == 0 ? 0 : static_cast<std::uint64_t>(age_us));
}

}  // namespace deja
