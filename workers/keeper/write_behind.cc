#include "workers/keeper/write_behind.h"

#include <unistd.h>

#include <algorithm>

#include "shm/base/clock.h"
#include "shm/base/crash_point.h"
#include "shm/json_text.h"
#include "workers/keeper/image.h"
#include "workers/keeper/stored_profile.h"

namespace deja {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;

/// An error's code as far as it is one: a reply is Redis' text, and may not reach our error log.
std::string safe_code(const RedisReply& reply) {
  std::string code(reply.error_code());
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
      jitter_(static_cast<std::uint64_t>(steady_ns()) ^ static_cast<std::uint64_t>(getpid())),
      catalog_text_(hash_text(parts_.catalog_hash)) {
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
  std::size_t sent_bytes = 0;
  if (!pass_ && !begin_pass(now_ns)) {
    show_lag();
    return limits_.flush_every_ns;
  }
  while (pass_) {
    fill_batch();
    if (batch_.empty()) {
      end_pass();
      break;
    }
    sent_bytes += parts_.store.connection().appended_bytes();
    if (!exchange_batch()) break;
    if (!all && sent_bytes >= limits_.bytes_per_round_max) break;
  }
  show_lag();
  return std::max<std::int64_t>(next_round_ns_ - steady_ns(), 0);
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
  next_round_ns_ = 0;
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
  return batch_.size() >= limits_.batch_count_max ||
         parts_.store.connection().appended_bytes() >= limits_.batch_bytes_max;
}

void WriteBehind::fill_batch() {
  batch_.clear();
  batch_ends_.clear();
  trouble_ = reconnect_wanted_ = guard_lost_ = false;
  for (const std::uint32_t shard : pass_->confirmed) add_watermark(shard);
  pass_->confirmed.clear();
  while (!batch_is_full() && pass_->shard < pass_->shards.size()) {
    if (!fill_from_shard()) continue;
    batch_ends_.push_back(pass_->shard);
    ++pass_->shard;
    pass_->cursor = {};
  }
  // Shards without a profile to send need no reply: their watermarks follow at once.
  if (batch_.empty() && !batch_ends_.empty()) {
    for (const std::uint32_t shard : batch_ends_) add_watermark(shard);
    batch_ends_.clear();
  }
}

/// Takes one profile of the current shard into the batch. True when the shard has no more.
bool WriteBehind::fill_from_shard() {
  const std::uint32_t shard = pass_->shard;
  TouchedSet::Shard& left = pass_->shards[shard];
  if (!left.walk) {
    if (left.keys.empty()) return true;
    auto node = left.keys.extract(left.keys.begin());
    add_touched(shard, std::move(node.key()), node.mapped());
    return false;
  }
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

void WriteBehind::add_touched(std::uint32_t shard, std::string key, std::uint64_t sequence) {
  ProfileCopy copy = parts_.table.copy();
  const std::int64_t oldest_us = pass_->shards[shard].oldest_us;
  const ReadOutcome outcome = parts_.table.shard(shard).get(key_of(key), copy);
  const bool counted = sequence <= pass_->sequence_before[shard];
  if (outcome == ReadOutcome::kAbsent) {
    // Counted and gone: somebody took it away. Not yet counted: its first version is on its way.
    if (!counted) parts_.touched.touch(shard, std::move(key), sequence, oldest_us);
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
    parts_.touched.touch(shard, std::move(key), copy.sequence(), 0);
    return;
  }
  pass_->had_others = true;
  const std::int64_t as_of_us = wall_us();
  encode_image(copy, parts_.catalog_hash, image_);
  updated_.clear();
  append_instant(updated_, copy.header().updated_us);
  as_of_.clear();
  append_instant(as_of_, as_of_us);
  parts_.readable.finish(reinterpret_cast<const std::uint8_t*>(copy.frame()), as_of_us);
  fields_.assign({"image", image_, "catalog", catalog_text_, "updated", updated_, "as_of", as_of_});
  for (std::size_t at = 0; at < parts_.readable.count(); ++at) {
    fields_.push_back(parts_.readable.name(at));
    fields_.push_back(parts_.readable.value(at));
  }
  parts_.store.append_write(profile_key(shard, copy.key()), epoch_, copy.sequence(), catalog_text_,
                            fields_);
  batch_.push_back({shard, false, std::move(key), copy.sequence()});
}

void WriteBehind::add_watermark(std::uint32_t shard) {
  const std::uint64_t sequence = pass_->sequence_before[shard];
  if (pass_->held[shard] || sequence <= parts_.watermarks[shard].load(std::memory_order_relaxed)) {
    return;
  }
  fields_.clear();
  parts_.store.append_write(watermark_key(shard), epoch_, sequence, "", fields_);
  batch_.push_back({shard, true, {}, sequence});
}

/// False when the pass was abandoned.
bool WriteBehind::exchange_batch() {
  if (!parts_.make_durable()) {
    // What was appended must not be sent, and there is no taking it back but with the connection.
    for (const Sent& sent : batch_) put_back(sent);
    abandon_pass();
    disconnected("the journal can't be written, so nothing is written to Redis either");
    return false;
  }
  CRASH_POINT("keeper.before_write");
  const Status done = parts_.store.connection().exchange(
      [&](std::size_t index, const RedisReply& reply) { settle(batch_[index], reply); });
  CRASH_POINT("keeper.after_replies");  // @F: Redis ahead of its watermark
  if (!done) {
    // What was settled too: of a broken line no reply is known to be its own. Once more is
    // harmless.
    for (const Sent& sent : batch_) put_back(sent);
    abandon_pass();
    disconnected(done.error().message());
    return false;
  }
  if (trouble_) {
    abandon_pass();
    after_trouble();
    return false;
  }
  backoff_ms_ = 0;
  pass_->confirmed = batch_ends_;
  return true;
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
}

void WriteBehind::settle(const Sent& sent, const RedisReply& reply) {
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
    parts_.watermarks[sent.shard].store(sent.sequence, std::memory_order_release);
  }
}

void WriteBehind::settle_error(const Sent& sent, const RedisReply& reply) {
  trouble_ = true;
  put_back(sent);
  if (reply.error_code() == "NOSCRIPT") {
    guard_lost_ = true;
    return;
  }
  reconnect_wanted_ |= is_servers(reply.error_code());
  parts_.counters.errors.add();
  parts_.process.error("Redis refuses a write: " + safe_code(reply));
}

void WriteBehind::put_back(const Sent& sent) {
  if (sent.is_watermark) return;
  pass_->held[sent.shard] = true;
  parts_.touched.touch(sent.shard, sent.key, sent.sequence, pass_->shards[sent.shard].oldest_us);
}

/// What was not sent yet is touched again; what was sent has been settled or put back.
void WriteBehind::abandon_pass() {
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
