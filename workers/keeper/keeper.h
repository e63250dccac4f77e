// The keeper: drains the workers' logs, writes what they changed to Redis behind them, and at start
// hands back what Redis has. One thread runs it: deja-keeper's main, or a test's.
//
//   start: connect │ epoch │ read back (or, in a living segment, mark everything to be looked at)
//   then, until told to stop: drain logs → [journal] → touched set → write-behind
//   stop:  drain logs to their end │ write everything │ watermarks
//
// The journal comes between drain and touched set (workers/keeper/log_drain.h); until it is there
// an event is visible, and survives any kill, but not the power: ack level "applied".
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ring/bell.h"
#include "ring/idle_strategy.h"
#include "shm/segment.h"
#include "workers/keeper/keeper_counters.h"
#include "workers/keeper/log_drain.h"
#include "workers/keeper/read_back.h"
#include "workers/keeper/redis_store.h"
#include "workers/keeper/return_rings.h"
#include "workers/keeper/table_view.h"
#include "workers/keeper/touched_set.h"
#include "workers/keeper/write_behind.h"

namespace deja {

struct KeeperOptions {
  std::int64_t redis_wait_ms = 30'000;   ///< at start
  std::int64_t drain_bound_ms = 30'000;  ///< at the end
  std::size_t touched_max = 1U << 18U;
  RedisLimits redis;
  WriteBehindLimits write_behind;  ///< flush_every_ns is taken from the settings
};

class Keeper {
 public:
  /// Opens everything in the segment. Does not talk to Redis yet.
  [[nodiscard]] static Result<std::unique_ptr<Keeper>> open(const std::string& segment_directory,
                                                            const KeeperOptions& options);

  /// Works until `stop`, and then until all is in Redis. An Error says, as a sentence, why it can't
  /// begin or what it could not write.
  [[nodiscard]] Status run(const std::atomic<bool>& stop);

 private:
  struct Files {
    Segment segment;
    MappedFile keeper_file;
    ProcessFile process;
    TableView table;
    StoredCatalog catalog;
    RedisUrl url;
    Bell bell;
    std::vector<LogDrain> logs;
  };
  Keeper(Files files, const KeeperOptions& options);

  /// These three: false when told to stop meanwhile.
  [[nodiscard]] Result<bool> reach_redis();
  [[nodiscard]] Result<bool> restore();
  [[nodiscard]] Result<bool> read_back(ReturnRings& rings, std::vector<std::uint64_t>& in_redis);
  void create_write_behind();
  void serve();
  [[nodiscard]] Status finish();
  /// Takes what the logs hold, `records_max` of each at most.
  std::uint64_t drain_logs(std::uint64_t records_max);
  [[nodiscard]] bool logs_empty() const;
  void heartbeat();
  /// Sleeps a millisecond, draining; false once told to stop.
  bool nap();
  void say(const std::string& sentence) const;
  void complain(const std::string& sentence);

  Files files_;
  KeeperOptions options_;
  KeeperCounters counters_;
  KeeperLayout* shared_;
  std::atomic<std::uint64_t>* watermarks_;
  TouchedSet touched_;
  ReadableFields readable_;
  RedisStore store_;
  std::optional<WriteBehind> write_behind_;
  const std::atomic<bool>* stop_ = nullptr;
  std::uint64_t epoch_ = 0;
  bool translated_ = false;  ///< something read back was of another config
};

}  // namespace deja
