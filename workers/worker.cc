#include "workers/worker.h"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "shm/base/clock.h"
#include "workers/segment_files.h"

namespace deja {
namespace {

/// Whether another loop of ours has to run on the core of worker `worker`.
bool shares_core(schema::Settings::Reader settings, std::uint32_t worker) {
  const auto ingest = settings.getIngestCpus();
  const auto workers = settings.getWorkerCpus();
  const std::int32_t own = worker < workers.size() ? workers[worker] : -1;
  if (own < 0) return ingest.size() + workers.size() > std::thread::hardware_concurrency();
  std::uint32_t loops = 0;
  for (const std::int32_t cpu : ingest) loops += cpu == own ? 1 : 0;
  for (const std::int32_t cpu : workers) loops += cpu == own ? 1 : 0;
  return loops > 1;
}

}  // namespace

Result<std::unique_ptr<Worker>> Worker::attach(const Segment& segment, std::uint32_t worker,
                                               AttachOptions options) {
  if (worker >= segment.superblock().worker_count) {
    return Error{"attach worker " + std::to_string(worker) + ": the appliance has " +
                     std::to_string(segment.superblock().worker_count),
                 0, "Workers are counted from 0"};
  }
  Result<FeatureSet> features = FeatureSet::compile(segment.catalog());
  if (!features.ok()) return features.error();
  if (features->frame_bytes() != segment.geometry().frame_bytes ||
      segment.catalog().getKeyBytes() != segment.geometry().key_bytes) {
    return Error{"attach worker " + std::to_string(worker) +
                     ": catalog and superblock name different sizes of a profile",
                 0, "Start the appliance again with programs of one build"};
  }
  Result<WorkerFiles> files = WorkerFiles::map(segment, worker);
  if (!files.ok()) return files.error();
  Result<Bell> bell = Bell::open(segment, worker_bell(worker));
  if (!bell.ok()) return bell.error();

  std::unique_ptr<Worker> made(
      new Worker(segment, worker, std::move(*files), std::move(*features), std::move(*bell)));
  if (Status status = made->open_shards(segment); !status.ok()) return status.error();
  if (Status status = made->open_bells(segment); !status.ok()) return status.error();
  made->open_counters();
  made->attempts_.settle(options.predecessor_hung);
  if (Status status = made->redo(); !status.ok()) return status.error();
  made->open_rings();
  made->show_counters();
  return made;
}

Worker::Worker(const Segment& segment, std::uint32_t worker, WorkerFiles files, FeatureSet features,
               Bell bell)
    : worker_(worker),
      geometry_(segment.geometry()),
      secret_{{segment.superblock().hash_secret[0], segment.superblock().hash_secret[1]}},
      files_(std::move(files)),
      attempts_(files_.layout().attempts(), static_cast<std::uint32_t>(files_.rings.size())),
      features_(std::move(features)),
      decoder_(segment.catalog(), geometry_, worker),
      event_(features_.root_of_slot()),
      confirmed_(files_.confirmed_sequences(geometry_)),
      log_(files_.log.data(), files_.log.bytes(), files_.drained_position(worker),
           &files_.layout().applied_position.value),
      returned_(files_.returned.data(), files_.returned.bytes(),
                &files_.layout().returned_position.value),
      recovered_(files_.layout().recovered.value.load(std::memory_order_relaxed) == 1),
      bell_(std::move(bell)),
      idle_(segment.settings().getWait(), shares_core(segment.settings(), worker)),
      process_(std::move(files_.process), "worker-" + std::to_string(worker)),
      trace_(files_.trace.at<WorkerTraceLayout>(), files_.trace_lanes(worker)) {}

Status Worker::open_shards(const Segment& segment) {
  const SuperblockLayout& superblock = segment.superblock();
  const auto window = static_cast<std::uint32_t>(superblock.dedup_window);
  const std::uint32_t count = geometry_.shards_of(worker_);
  shards_.reserve(count);
  ids_.reserve(count);
  for (std::uint32_t index = 0; index < count; ++index) {
    const std::uint32_t shard = worker_ + index * geometry_.worker_count;
    Result<ShardWriter> writer =
        ShardWriter::attach(files_.profiles.data() + geometry_.shard_offset(shard), geometry_,
                            shard, secret_, superblock.reuse_blocks);
    if (!writer.ok()) return writer.error();
    shards_.push_back(std::move(*writer));
    ids_.emplace_back(files_.ids.data() + id_set_bytes(window) * index, window);
  }
  barren_confirmed_.resize(count);
  // A hundredth or so, and never more than a batch could take at once.
  spare_low_count_ = std::clamp(geometry_.blocks_per_shard / 128, 1U, 64U);
  random_state_ = worker_;
  new_users_.resize(count);
  logged_sequence_.resize(count);
  return Done{};
}

Status Worker::open_bells(const Segment& segment) {
  for (std::uint32_t ring = 0; ring < files_.rings.size(); ++ring) {
    Result<BellRope> rope = BellRope::open(segment, ingest_bell(ring));
    if (!rope.ok()) return rope.error();
    ingest_bells_.push_back(std::move(*rope));
    verdicts_.emplace_back(std::move(files_.verdicts[ring]),
                           files_.verdict_position(ring, worker_));
  }
  Result<BellRope> rope = BellRope::open(segment, kKeeperBell);
  if (!rope.ok()) return rope.error();
  keeper_bell_.emplace(std::move(*rope));
  return Done{};
}

void Worker::open_rings() {
  for (std::uint32_t ring = 0; ring < files_.rings.size(); ++ring) {
    rings_.emplace_back(files_.rings[ring].data(), files_.rings[ring].bytes(),
                        files_.consumed_position(ring));
  }
  ring_broken_.resize(files_.rings.size());
  // Not cleared: what is never used takes no memory.
  staged_ =
      std::make_unique_for_overwrite<std::uint8_t[]>(std::max(kStagedBytesMax, log_payload_max()));
  if (!recovered_) returned_event_.resize(files_.returned.bytes() / 4 / 8);
}

void Worker::open_counters() {
  counters_.applied = process_.counter("deja_events_applied_total");
  counters_.duplicate = process_.counter("deja_events_duplicate_total");
  counters_.refused = process_.counter("deja_events_rejected_total{code=\"table_full\"}");
  counters_.dead = process_.counter("deja_events_dead_total");
  counters_.log_full = process_.counter("deja_log_full_total");
  counters_.verdict_full = process_.counter("deja_verdict_full_total");
  counters_.batches = process_.counter("deja_batches_total");
  counters_.late = process_.counter("deja_late_total");
  counters_.ids_forgotten = process_.counter("deja_ids_forgotten_total");
  counters_.returned = process_.counter("deja_profiles_returned_total");
  counters_.replayed = process_.counter("deja_events_replayed_total");
  counters_.left_in_store = process_.counter("deja_profiles_left_in_store_total");
  counters_.return_faults = process_.counter("deja_return_faults_total");
  counters_.evicted = process_.counter("deja_evicted_total");
  counters_.put_back = process_.counter("deja_profiles_put_back_total");
  counters_.merged = process_.counter("deja_profiles_merged_total");
  counters_.merges_dropped = process_.counter("deja_merges_dropped_total");
  counters_.profiles = process_.gauge("deja_profiles");
  counters_.partial = process_.gauge("deja_profiles_partial");
  counters_.recovered_sequence = process_.gauge("deja_recovered_sequence");
  counters_.visible = process_.histogram("deja_event_visible_seconds");
  counters_.batch_time = process_.histogram("deja_worker_batch_seconds");
}

void Worker::show_counters() {
  // While it still recovers no event was applied, whatever the sequences say.
  counters_.applied.set(recovered_ ? sequence_sum_ - counters_.recovered_sequence.value() -
                                         tally_.eventless_count
                                   : 0);
  counters_.duplicate.set(tally_.duplicate_count);
  counters_.refused.set(tally_.refused_count);
  counters_.dead.set(tally_.dead_count);
  counters_.profiles.set(profile_count_);
  counters_.partial.set(partial_count_);
  counters_.ids_forgotten.set(forgotten_count_);
}

std::uint64_t Worker::duty_cycle() {
  process_.heartbeat(wall_coarse_us());
  if (fault_) return 0;
  if (!recovered_) return take_returned();
  stalled_ = false;
  if (keeper_due_ != 0 && --keeper_due_ == 0) tell_keeper();
  std::uint64_t work_count = take_merges();
  for (std::uint32_t ring = 0; ring < rings_.size(); ++ring) {
    if (!ring_broken_[ring]) work_count += take_batch(ring);
  }
  return work_count + evict_ahead();
}

bool Worker::rings_empty() const {
  for (std::uint32_t ring = 0; ring < rings_.size(); ++ring) {
    if (!ring_broken_[ring] && !rings_[ring].empty()) return false;
  }
  return true;
}

bool Worker::has_input() const {
  if (!recovered_) return !return_broken_ && !returned_.empty();
  // What waits for room in the log or for ingest to read its verdicts is no reason to stay awake.
  return !stalled_ && (!rings_empty() || answers_wait());
}

Status Worker::run(const std::atomic<bool>& finish) {
  for (;;) {
    const std::uint64_t work_count = duty_cycle();
    if (fault_) return *fault_;
    if (work_count == 0 && finish.load(std::memory_order_relaxed) &&
        (!recovered_ || rings_empty())) {
      tell_keeper();
      return Done{};
    }
    idle_.wait(work_count, bell_, [this] {
      if (keeper_due_ != 0) tell_keeper();
      return has_input();
    });
  }
}

}  // namespace deja
