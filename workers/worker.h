// A worker: the only writer of its shards. It takes events from its rings, writes each into its log
// and brings its effect into the profile table (workers/README.md, "A worker's step"). The program
// deja-worker is one Worker in a process; tests run it in a thread as well. One thread; nothing
// allocates, locks, throws or logs after attach().
//
// Crash points, in the order in which a batch meets them; what each leaves is in the README's
// table:
//   worker.after_log  worker.before_publish  worker.after_publish  worker.after_ids
//   worker.after_sequence  worker.after_verdicts  worker.after_consumed  worker.after_applied
// and those of worker_evict.cc, worker_merge.cc and worker_poison.cc.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "ring/bell.h"
#include "ring/idle_strategy.h"
#include "ring/log_record.h"
#include "ring/spsc_ring.h"
#include "shm/process_file.h"
#include "shm/segment.h"
#include "shm/shard_writer.h"
#include "workers/event.h"
#include "workers/event_decoder.h"
#include "workers/features/feature_set.h"
#include "workers/id_set.h"
#include "workers/returned_profile.h"
#include "workers/worker_attempts.h"
#include "workers/worker_batch.h"
#include "workers/worker_files.h"
#include "workers/worker_tally.h"
#include "workers/worker_trace.h"
#include "workers/worker_verdicts.h"

namespace deja {

struct AttachOptions {
  /// The worker before was killed because it no longer moved: that counts against the record that
  /// it was at.
  bool predecessor_hung = false;
};

class Worker {
 public:
  /// Takes the place of worker `worker` over: maps its files, sweeps its shards, redoes what a
  /// predecessor left between log and position. The caller holds the place's lock. Blocks for as
  /// long as a sweep takes; afterwards the worker is as if nobody had ever died.
  [[nodiscard]] static Result<std::unique_ptr<Worker>> attach(const Segment& segment,
                                                              std::uint32_t worker,
                                                              AttachOptions options = {});

  /// One pass: a batch of what was stored while it recovers, else the answers of the store and a
  /// batch of each ring. Returns how many records it took, profiles that it evicted ahead included.
  std::uint64_t duty_cycle();

  /// Passes and idles until `finish` is set and the rings are empty. While it still recovers it
  /// ends at once: nothing was taken from the rings. Fails where recovery can't go on: going on
  /// would lose what only the journal has; nothing of it was given back then.
  Status run(const std::atomic<bool>& finish);

  /// All stored profiles are in; events are taken from now on.
  [[nodiscard]] bool recovered() const { return recovered_; }

  /// Says where `deja stat` looks whether this process runs on the core that it was given, if any.
  /// Always, since what its predecessor said stands there until then.
  void report_pinned(bool pinned) { process_.gauge("deja_thread_not_pinned").set(pinned ? 0 : 1); }

  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

 private:
  /// Kept free behind each log record: a decision about it, without its bytes.
  static constexpr std::uint32_t kDecisionBytes =
      static_cast<std::uint32_t>(ring_record_bytes(sizeof(LogRecordLayout)));

  struct Counters {
    Counter applied, duplicate, refused, dead, log_full, verdict_full, batches, late, ids_forgotten;
    Counter profiles, partial, recovered_sequence, returned, left_in_store, return_faults, replayed;
    Counter evicted, put_back, merged, merges_dropped;
    Histogram visible, batch_time;
  };
  static constexpr std::uint32_t kVersionsAhead = 2;

  Worker(const Segment& segment, std::uint32_t worker, WorkerFiles files, FeatureSet features,
         Bell bell);
  Status open_shards(const Segment& segment);
  Status open_bells(const Segment& segment);
  void open_rings();
  void open_counters();
  void show_counters();

  // worker_batch.cc: the phases of a step, each for all records of the batch before the next.
  std::uint32_t take_batch(std::uint32_t ring);
  [[nodiscard]] bool take_record(std::uint32_t ring, BatchRecord& record);
  void begin_batch();
  LogKind decide(BatchRecord& record, RefusalReason& reason);
  void note_applied(BatchRecord& record);
  void apply_batch();
  void read_event(const BatchRecord& record);
  void apply_event(std::uint64_t sequence, ShardWriter::Draft& draft);
  void apply_events_of(std::uint32_t at);
  void apply(ShardWriter& shard, std::uint64_t sequence, std::uint16_t flags_when_new);
  void publish(ShardWriter& shard, const ShardWriter::Draft& draft);
  void remember_ids();
  void remember_id(std::uint32_t shard_index, std::uint64_t id);
  void advance_sequences();
  void advance_positions(std::uint32_t ring);
  void store_applied_position(std::uint64_t position);
  /// Rings the keeper for what was logged since it was rung last.
  void tell_keeper() {
    keeper_due_ = 0;
    static_cast<void>(keeper_bell_->ring_if_asleep());
  }
  /// Longer is nothing that the log takes.
  [[nodiscard]] std::uint32_t log_payload_max() const {
    return static_cast<std::uint32_t>(log_.capacity_bytes() / 4) - kDecisionBytes -
           static_cast<std::uint32_t>(sizeof(LogRecordLayout));
  }
  /// Space for a record with this payload; null where the log has none, or would have none left for
  /// a decision about it.
  [[nodiscard]] std::uint8_t* claim_log(std::uint32_t payload_bytes) {
    return log_.claim(static_cast<std::uint32_t>(sizeof(LogRecordLayout)) + payload_bytes +
                      kDecisionBytes);
  }
  /// An id in the set of this batch, which serves all shards.
  [[nodiscard]] static std::uint64_t batch_id(const BatchRecord& record) {
    return record.id + record.shard_index * 0x9e3779b97f4a7c15U;
  }

  // worker_stage.cc
  [[nodiscard]] std::uint32_t stage(std::uint32_t ring);
  [[nodiscard]] bool read_staged(BatchRecord& record);
  void ask_for(std::uint32_t count);
  void ask_for_version(std::uint32_t at) const;

  // worker_redo.cc: at attach.
  Status redo();
  Status redo_record(const RingRecord& record);
  Status redo_applied(const LogRecordLayout& log_record, const std::uint8_t* event_bytes);
  Status redo_merged(const LogRecordLayout& log_record, const std::uint8_t* answer_bytes);

  // worker_poison.cc: likewise.
  struct StruckDead {
    std::uint32_t shard;
    std::uint64_t sequence;
  };
  Status read_decisions(std::uint64_t applied_position);
  Status append_decision(const LogRecordLayout& culprit, const std::uint8_t* bytes);
  [[nodiscard]] bool struck_dead(const LogRecordLayout& log_record) const;
  void leave_out(const LogRecordLayout& log_record, const std::uint8_t* bytes);
  void begin_empty(ShardWriter& shard, const LogRecordLayout& log_record);

  // worker_evict.cc
  [[nodiscard]] std::uint64_t evictable_sequence(std::uint32_t shard_index) const;
  [[nodiscard]] bool evictable(const ShardWriter::Resident& resident,
                               std::uint64_t confirmed) const;
  [[nodiscard]] bool evict_sampled(std::uint32_t shard_index, std::uint64_t confirmed);
  [[nodiscard]] bool evict_in_chain(std::uint32_t shard_index, const Key& key,
                                    std::uint64_t confirmed);
  void evict(std::uint32_t shard_index, std::uint64_t position);
  [[nodiscard]] bool make_room(std::uint32_t shard_index, const Key& key, std::uint32_t pending);
  std::uint64_t evict_ahead();

  // worker_merge.cc
  std::uint64_t take_merges();
  [[nodiscard]] bool take_merge(const RingRecord& record);
  void merge(ShardWriter& shard, std::uint64_t sequence, const ReturnedProfile& returned);
  [[nodiscard]] bool put_back(const RingRecord& record);
  void drop_answer(const RingRecord& record, bool fault);
  void note_broken_return();

  // worker_return.cc: before the first event.
  std::uint64_t take_returned();
  [[nodiscard]] bool take_one_returned(const RingRecord& record);
  [[nodiscard]] bool take_profile(const RingRecord& record, std::uint32_t spare_blocks);
  void put_in(ShardWriter& shard, ShardWriter::Draft draft, const ReturnedProfile& returned);
  [[nodiscard]] bool take_event(const RingRecord& record);
  [[nodiscard]] bool take_ids(const RingRecord& record);
  [[nodiscard]] bool take_shard(const RingRecord& record);
  void raise_sequence(std::uint32_t shard, std::uint64_t sequence);
  void end_recovery();

  [[nodiscard]] bool rings_empty() const;
  [[nodiscard]] bool has_input() const;
  /// The store has answered, and what it said was not looked at yet.
  [[nodiscard]] bool answers_wait() const { return !return_broken_ && !returned_.empty(); }
  [[nodiscard]] bool owns(std::uint32_t shard) const {
    return shard < geometry_.shard_count && geometry_.owner_of(shard) == worker_;
  }
  [[nodiscard]] std::uint32_t index_of(std::uint32_t shard) const {
    return shard / geometry_.worker_count;
  }

  const std::uint32_t worker_;
  const TableGeometry geometry_;
  const HashSecret secret_;
  WorkerFiles files_;
  Attempts attempts_;
  std::vector<StruckDead> struck_dead_;  // in the log behind applied_position, at attach
  FeatureSet features_;
  EventDecoder decoder_;
  Event event_;

  std::vector<ShardWriter> shards_;              // by index_of()
  std::vector<IdSet> ids_;                       // likewise
  const std::atomic<std::uint64_t>* confirmed_;  // the keeper's, by shard
  std::vector<std::uint64_t> barren_confirmed_;  // by shard index: nobody could go at this
  std::uint32_t spare_low_count_ = 0;            // blocks kept spare in each shard
  std::uint32_t ahead_next_ = 0;
  std::uint64_t random_state_ = 0;
  RingProducer log_;
  std::vector<RingConsumer> rings_;
  std::vector<VerdictWriter> verdicts_;
  RingConsumer returned_;
  bool return_broken_ = false;
  bool recovered_;
  std::vector<std::uint64_t> returned_event_;  // a copy; there till recovered
  std::optional<Error> fault_;                 // recovery can't go on

  Bell bell_;
  std::vector<BellRope> ingest_bells_;
  std::optional<BellRope> keeper_bell_;
  /// To wake the keeper on another core takes this one some 10 us. Before that the core is given
  /// away once, to whoever waits for what was just published and may need it.
  static constexpr std::uint32_t kPassesBeforeKeeper = 2;
  std::uint32_t keeper_due_ = 0;  // passes until the keeper is rung; 0: it need not be
  IdleStrategy idle_;

  ProcessFile process_;
  Counters counters_;
  WorkerTrace trace_;
  Tally tally_;
  std::uint64_t sequence_sum_ = 0;  // over the worker's shards
  std::uint64_t profile_count_ = 0;
  std::uint64_t partial_count_ = 0;
  std::uint64_t forgotten_count_ = 0;

  // Of the batch at hand.
  std::unique_ptr<std::uint8_t[]> staged_;  // the records' bytes
  std::array<BatchRecord, kBatchRecordsMax> batch_;
  std::array<ListedValue, kBatchValuesMax> values_;
  std::uint32_t value_count_ = 0;
  std::uint32_t batch_count_ = 0;
  std::uint64_t batch_end_ = 0;  // in the ring, behind its last record
  std::int64_t batch_taken_us_ = 0;
  BatchSet batch_ids_;
  BatchSet batch_users_;
  std::vector<std::uint32_t> new_users_;        // by shard index
  std::vector<std::uint64_t> logged_sequence_;  // by shard index
  std::vector<bool> ring_broken_;
  bool stalled_ = false;  // the last pass found records and no room for their effect
};

}  // namespace deja
