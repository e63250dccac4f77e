// Writes changed profiles to Redis, behind everybody's back: passes over the touched profiles, in
// pipelined batches, each reply read and judged; then the shard's watermark. The keeper's thread
// alone; blocks only while it waits for Redis (then the logs are drained, see RedisConnection).
//
//   pass: sequence_before[s] := shard.sequence, all shards │ drain all logs │ take the touched set
//         for each shard: copies of its profiles → batch → replies
//         every reply written or older → watermark[s] := sequence_before[s] in Redis → reply
//         → the keeper's watermark word
//
// Two batches are on their way at once, so that Redis has work while the next is put together; at
// the end of a round none is.
//
//  1. A worker logs an event before it counts it into shard.sequence. So what was drained after
//     sequence_before was loaded covers all events up to it.
//  2. A watermark is sent only after every reply of its shard was read: a Redis without memory may
//     refuse the profiles and take the watermark behind them. Replies come in the order of the
//     batches: so a shard whose end is found in one batch is confirmed by that batch's replies.
//  3. What was not confirmed goes back into the touched set, and its shard's watermark stays.
//  4. An event is in the log before its profile is published: a copy older than the touch stays
//     touched.
//  5. A pass sends bytes_per_round_max in a round and goes on in the next: after an outage Redis
//     and the host are not drowned, and a pass that takes many rounds still ends.
//  6. Log before data: the copies of a batch are taken first, and sent once the journal has synced
//     everything that the logs held then. So Redis never has what a power cut could take back.
//
//   killed after                         next keeper finds
//   some profiles written                Redis ahead of its watermark: written again, new epoch
//   all profiles, before the watermark   likewise
//   Redis' watermark, before ours        our word lower than Redis': the walk begins lower, no harm
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "ring/positions.h"
#include "workers/keeper/keeper_counters.h"
#include "workers/keeper/keeper_trace.h"
#include "workers/keeper/loss_window.h"
#include "workers/keeper/readable_fields.h"
#include "workers/keeper/redis_store.h"
#include "workers/keeper/table_view.h"
#include "workers/keeper/touched_set.h"

namespace deja {

struct WriteBehindLimits {
  std::int64_t flush_every_ns = 200'000'000;
  std::size_t batch_count_max = 256;
  std::size_t batch_bytes_max = 1U << 20U;
  std::size_t bytes_per_round_max = 32U << 20U;
  std::int64_t backoff_min_ms = 50;
  std::int64_t backoff_max_ms = 5000;
};

/// All of it outlives the WriteBehind.
struct WriteBehindParts {
  RedisStore& store;
  TableView& table;
  TouchedSet& touched;
  KeeperLayout& shared;                    ///< epoch and connected
  std::atomic<std::uint64_t>* watermarks;  ///< one for each shard
  KeeperCounters& counters;
  ProcessFile& process;
  ReadableFields& readable;
  std::uint64_t catalog_hash;
  LossWindow& loss_window;
  /// Takes all that the logs hold now. False: some of it has no room for now.
  std::function<bool()> drain_logs;
  /// Waits until everything that the logs hold now is durable. False: it can't be had for now.
  std::function<bool()> make_durable;
  KeeperTrace* trace = nullptr;  ///< told of watermarks; nullptr: nobody is
};

class WriteBehind {
 public:
  /// The store is open under `epoch`, or will be opened by a tick.
  WriteBehind(WriteBehindParts parts, WriteBehindLimits limits, std::uint64_t epoch);

  /// Does what is due: connects again, or goes on with a pass. `all`: without pacing, now (at
  /// shutdown). Returns the time until something is due, 0 when it is at once.
  std::int64_t tick(bool all = false);

  /// The connection was lost in somebody else's exchange.
  void lost(const std::string& why) {
    if (pass_) abandon_pass();
    disconnected(why);
  }

  /// Nothing is touched, and every shard's watermark is its sequence.
  [[nodiscard]] bool everything_written() const;
  /// Everything is but for profiles whose stored part is still on its way (as of the last pass).
  [[nodiscard]] bool only_partial_left() const { return !pass_ && only_partial_left_; }
  /// Set once a later keeper has taken over: this one has to end.
  [[nodiscard]] const std::string& fenced() const { return fenced_; }
  /// "3 profiles in 2 shards are not in Redis", for a person.
  [[nodiscard]] std::string unwritten() const;

 private:
  struct Touched {
    std::string key;
    std::uint64_t sequence = 0;
    std::uint64_t hash = 0;  // once its bucket was asked for
  };
  struct Pass {
    std::vector<std::uint64_t> sequence_before;
    std::vector<TouchedSet::Shard> shards;  // what is left of each
    std::vector<Touched> keys;              // of the shard at hand, from next_key on
    std::size_t next_key = 0;
    std::vector<bool> held;                // something was not confirmed
    std::uint32_t shard = 0;               // the first that is not wholly in a batch
    ShardCursor cursor;                    // where it is walked
    std::vector<std::uint32_t> confirmed;  // shards whose watermark may be sent
    std::int64_t began_ns = 0;
    bool saw_partial = false;
    bool had_others = false;  // something was to be written, or could not be read
  };
  struct Sent {
    std::uint32_t shard = 0;
    bool is_watermark = false;
    std::string key;
    std::uint64_t sequence = 0;
  };
  struct Batch {
    std::vector<Sent> sent;
    std::vector<std::uint32_t> ends;  // shards whose last profile is in it, or before
    void clear() {
      sent.clear();
      ends.clear();
    }
  };
  /// Batches on their way while the next is put together.
  static constexpr std::size_t kUnderWayMax = 2;

  void reconnect(std::int64_t now_ns);
  void lower_watermarks(const std::vector<std::uint64_t>& in_redis);
  bool begin_pass(std::int64_t now_ns);
  /// A round's part of the pass. Nothing is under way at its end.
  void work_on_pass(bool all);
  void fill_batch();
  bool fill_from_shard();
  bool fill_from_keys();
  void look_ahead(std::uint32_t shard);
  void add_touched(std::uint32_t shard, Touched touched);
  void add_profile(std::uint32_t shard, const ProfileCopy& copy, std::string key);
  void add_watermark(std::uint32_t shard);
  [[nodiscard]] bool batch_is_full() const;
  // Each: false when the pass was abandoned.
  [[nodiscard]] bool send_batch();
  [[nodiscard]] bool settle_oldest();
  bool read_oldest();
  void after_trouble();
  void settle(const Sent& sent, const ShortReply& reply);
  void settle_error(const Sent& sent, const ShortReply& reply);
  void put_back(const Sent& sent);
  void lose_batches(const std::string& why);
  void abandon_pass();
  void end_pass();
  void disconnected(const std::string& why);
  void back_off(std::int64_t now_ns);
  void show_lag();

  WriteBehindParts parts_;
  WriteBehindLimits limits_;
  std::uint64_t epoch_;
  std::optional<Pass> pass_;
  Batch batch_;                    // that is being put together
  std::deque<Batch> under_way_;    // as the connection's exchanges
  bool trouble_ = false;           // a reply was an error …
  bool reconnect_wanted_ = false;  // … of the server as a whole
  bool guard_lost_ = false;        // … and only for want of the script
  std::int64_t first_round_ns_;
  std::int64_t next_round_ns_;
  std::int64_t next_attempt_ns_ = 0;
  std::int64_t backoff_ms_ = 0;
  std::string fenced_;
  bool only_partial_left_ = false;
  std::mt19937_64 jitter_;
  std::string catalog_text_;
  std::string catalog_piece_;  // the field "catalog", and "image" after it, as bytes of a command
  std::int64_t as_of_us_ = 0;  // of the batch that is being put together
  std::string as_of_piece_;    // its field
  std::string name_;           // buffers, kept for their memory
  std::string instant_;
};

}  // namespace deja
