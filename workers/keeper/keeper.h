// The keeper: drains the workers' logs, writes what they changed to Redis behind them, and at start
// hands back what Redis has. One thread runs it: deja-keeper's main, or a test's.
//
//   start, nothing served yet:  connect │ epoch │ read store and journal back
//   start, in a living segment: epoch above the journal's │ everything is looked at again
//   both:                       the journal's first segment of this life, durably
//   then, until told to stop:   drain logs → journal → durable positions │ touched set →
//                               write-behind │ stored parts │ pruning
//   stop:  drain logs to their end │ journal │ write everything │ watermarks
//
// In a living segment nothing waits for Redis: it is connected to when it is there.
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
#include "workers/dead_letters/dead_letters.h"
#include "workers/journal/journal_index.h"
#include "workers/journal/journal_pruner.h"
#include "workers/journal/journal_writer.h"
#include "workers/keeper/ask_socket.h"
#include "workers/keeper/keeper_counters.h"
#include "workers/keeper/keeper_trace.h"
#include "workers/keeper/log_drain.h"
#include "workers/keeper/loss_window.h"
#include "workers/keeper/read_back.h"
#include "workers/keeper/redis_store.h"
#include "workers/keeper/return_rings.h"
#include "workers/keeper/stored_images.h"
#include "workers/keeper/stored_parts.h"
#include "workers/keeper/table_view.h"
#include "workers/keeper/touched_set.h"
#include "workers/keeper/write_behind.h"

namespace deja {

struct KeeperOptions {
  std::string journal_directory;  ///< empty: "journal" in the settings' directory
  std::uint64_t journal_segment_bytes = 64U << 20U;
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
  /// Log records taken before the loop looks at what else is due.
  static constexpr std::uint64_t kRecordsPerCycle = 4096;
  static constexpr std::uint64_t kAllRecords = ~std::uint64_t{0};
  static constexpr unsigned kNapUs = 1000;

  struct Files {
    Segment segment;
    MappedFile keeper_file;
    ProcessFile process;
    TableView table;
    StoredCatalog catalog;
    RedisUrl url;
    Bell bell;
    MappedFile durable_file;
    std::vector<LogDrain> logs;
    KeeperTrace trace;
    std::vector<BellRope> ingest_bells;
    std::unique_ptr<JournalDisk> journal_disk;
    std::string letters_directory;
    std::optional<AskSocket> asked;
  };
  Keeper(Files files, const KeeperOptions& options);

  // keeper_start.cc. Of the results: false when told to stop meanwhile.
  [[nodiscard]] Result<bool> start();
  [[nodiscard]] Result<bool> reach_redis();
  [[nodiscard]] Result<bool> begin_journal();
  [[nodiscard]] Result<bool> restore();
  [[nodiscard]] Result<bool> read_back(std::vector<std::uint64_t>& in_redis);
  [[nodiscard]] Result<JournalIndex> read_journal(const StoredFloor& floor);
  [[nodiscard]] std::uint64_t former_sequence(const StoredFloor& floor,
                                              const JournalIndex& journal) const;
  [[nodiscard]] Result<std::uint64_t> highest_journal_epoch() const;
  [[nodiscard]] bool note_unjournaled(const JournalIndex& journal,
                                      const std::vector<std::uint64_t>& in_redis,
                                      const std::vector<std::uint64_t>& sequences);
  [[nodiscard]] Result<bool> bring_back();
  bool take_over();

  // keeper.cc
  void create_write_behind();
  void serve();
  [[nodiscard]] Status finish();
  /// What is due now and then: stored parts, confirming, pruning.
  void tend();
  void open_asked();
  void take_asked();
  void prune();
  /// Forgets the former count of shards once nothing can bring it back.
  void end_resharding();
  /// Sleeps as long as nothing is to be expected.
  void idle(IdleStrategy& strategy, std::uint64_t work_count);
  [[nodiscard]] bool stopping() const { return stop_->load(std::memory_order_acquire); }
  void heartbeat();
  /// Sleeps a millisecond, draining; false once told to stop.
  bool nap();
  void say(const std::string& sentence) const;
  void complain(const std::string& sentence);

  // keeper_journal.cc
  /// Takes what the logs hold, `records_max` of each at most.
  std::uint64_t drain_logs(std::uint64_t records_max);
  /// Drains, writes the journal, tells what is durable. Returns how many records it took.
  std::uint64_t journal_pass(std::uint64_t records_max, bool at_once = false);
  [[nodiscard]] bool drain_all();
  [[nodiscard]] bool make_durable();
  void show_journal();
  void show_journal_lag();
  void show_disk();
  void show_letters();
  [[nodiscard]] bool logs_empty() const;
  [[nodiscard]] bool all_durable() const;

  Files files_;
  KeeperOptions options_;
  KeeperCounters counters_;
  KeeperLayout* shared_;
  std::atomic<std::uint64_t>* watermarks_;
  TouchedSet touched_;
  ReadableFields readable_;
  LossWindow loss_window_;
  RedisStore store_;
  StoredImages images_;
  JournalWriter journal_;
  JournalPruner pruner_;
  DeadLetters letters_;
  std::optional<ReturnRings> rings_;
  std::optional<StoredParts> stored_parts_;
  std::optional<WriteBehind> write_behind_;
  const std::atomic<bool>* stop_ = nullptr;
  std::uint64_t epoch_ = 0;
  bool journal_begun_ = false;
  bool cold_ = false;                           ///< some worker has still to get what is stored
  bool translated_ = false;                     ///< something read back was of another config
  bool adopted_ = false;                        ///< former lives' segments are known to the pruner
  std::vector<std::uint64_t> logged_at_start_;  ///< by worker
  std::vector<std::uint64_t> begun_at_;         ///< by shard: above all of any former count
  std::int64_t tend_at_ns_ = 0;
  std::int64_t parts_at_ns_ = 0;
  std::uint64_t told_group_ = 0;  ///< of the journal: what is durable was told up to it,
  std::int64_t durable_us_ = 0;   ///< which it has been since then
  std::string journal_problem_;   ///< as it was said last
  std::string letters_problem_;   ///< likewise
  std::uint64_t letters_shown_ = 0;
  std::uint64_t letters_dropped_shown_ = 0;
};

}  // namespace deja
