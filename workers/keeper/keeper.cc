#include "workers/keeper/keeper.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "shm/base/clock.h"
#include "workers/segment_files.h"

namespace deja {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;
constexpr std::int64_t kTendEveryNs = 100'000'000;
constexpr std::int64_t kPartsEveryNs = 2'000'000;
constexpr std::uint32_t kAsksPerLook = 16;
/// How long a stop waits for a Redis that is away, once the journal has everything.
constexpr std::int64_t kAwayAtStopNs = 5'000'000'000;

std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

JournalIdentity journal_identity_of(const Segment& segment) {
  return {segment.settings().getAppliance(), segment.superblock().shard_count,
          std::string(text_of(segment.catalog_bytes()))};
}

JournalLimits journal_limits_of(const Segment& segment, const KeeperOptions& options) {
  JournalLimits limits;
  limits.segment_bytes = options.journal_segment_bytes;
  limits.group_commit_ns = segment.settings().getGroupCommitUs() * 1000;
  return limits;
}

StoreIdentity identity_of(const Segment& segment, const StoredCatalog& catalog) {
  return {segment.settings().getAppliance(), segment.superblock().shard_count, catalog.hash,
          std::string(text_of(segment.catalog_bytes()))};
}

}  // namespace

Result<std::unique_ptr<Keeper>> Keeper::open(const std::string& segment_directory,
                                             const KeeperOptions& options) {
  Result<Segment> segment = Segment::open(segment_directory);
  if (!segment) return segment.error();
  const SuperblockLayout& superblock = segment->superblock();
  Result<RedisUrl> url = RedisUrl::parse(std::string(segment->settings().getRedisUrl()));
  if (!url) return url.error();
  Result<StoredCatalog> catalog = StoredCatalog::parse(text_of(segment->catalog_bytes()));
  if (!catalog) return catalog.error();
  if (catalog->frame_bytes != superblock.frame_bytes) {
    return Error{"the catalog's frame is not the superblock's", 0,
                 "The segment is damaged: stop the appliance and start it again"};
  }
  Result<MappedFile> process = segment->map("process-keeper", MappedFile::Mode::kReadWrite);
  if (!process) return process.error();
  Result<MappedFile> file = segment->map("keeper", MappedFile::Mode::kReadWrite);
  if (!file) return file.error();
  if (process->bytes() < ProcessFile::file_bytes() ||
      file->bytes() < keeper_file_bytes(superblock.worker_count, superblock.shard_count)) {
    return Error{"a file of the keeper is shorter than its superblock says", 0,
                 "The segment is damaged: stop the appliance and start it again"};
  }
  Result<TableView> table = TableView::open(*segment);
  if (!table) return table.error();
  Result<Bell> bell = Bell::open(*segment, kKeeperBell);
  if (!bell) return bell.error();
  Result<MappedFile> durable = segment->map("durable", MappedFile::Mode::kReadWrite);
  if (!durable) return durable.error();
  if (durable->bytes() < durable_file_bytes(superblock.worker_count, superblock.ingest_count)) {
    return Error{"a file of the keeper is shorter than its superblock says", 0,
                 "The segment is damaged: stop the appliance and start it again"};
  }
  std::vector<LogDrain> logs;
  for (std::uint32_t worker = 0; worker < superblock.worker_count; ++worker) {
    PositionLayout* positions = durable->at<DurableLayout>()->positions();
    Result<LogDrain> log = LogDrain::open(*segment, worker, keeper_logs(file->data()) + worker,
                                          positions + worker * superblock.ingest_count);
    if (!log) return log.error();
    logs.push_back(std::move(*log));
  }
  Result<KeeperTrace> trace =
      KeeperTrace::open(*segment, keeper_watermarks(file->data(), superblock.worker_count));
  if (!trace) return trace.error();
  std::vector<BellRope> ingest_bells;
  for (std::uint32_t thread = 0; thread < superblock.ingest_count; ++thread) {
    Result<BellRope> rope = BellRope::open(*segment, ingest_bell(thread));
    if (!rope) return rope.error();
    ingest_bells.push_back(std::move(*rope));
  }
  std::string journal_directory = options.journal_directory;
  if (journal_directory.empty()) {
    journal_directory =
        std::string(segment->settings().getDurabilityDirectory().cStr()) + "/journal";
  }
  Result<std::unique_ptr<JournalDisk>> disk = open_journal_disk(journal_directory);
  if (!disk) return disk.error();
  std::string letters_directory = std::filesystem::path(journal_directory).parent_path().string();
  Files files{std::move(*segment),
              std::move(*file),
              ProcessFile(std::move(*process), "keeper"),
              std::move(*table),
              std::move(*catalog),
              std::move(*url),
              std::move(*bell),
              std::move(*durable),
              std::move(logs),
              std::move(*trace),
              std::move(ingest_bells),
              std::move(*disk),
              std::move(letters_directory),
              std::nullopt};
  return std::unique_ptr<Keeper>(new Keeper(std::move(files), options));
}

Keeper::Keeper(Files files, const KeeperOptions& options)
    : files_(std::move(files)),
      options_(options),
      counters_(files_.process),
      shared_(files_.keeper_file.at<KeeperLayout>()),
      watermarks_(
          keeper_watermarks(files_.keeper_file.data(), files_.segment.superblock().worker_count)),
      touched_(files_.segment.superblock().shard_count, options.touched_max),
      readable_(files_.catalog),
      loss_window_(
          keeper_confirmed(files_.keeper_file.data(), files_.segment.superblock().worker_count,
                           files_.segment.superblock().shard_count),
          files_.segment.superblock().shard_count,
          files_.segment.settings().getLossWindowUs() * 1000),
      store_(files_.url, options.redis, identity_of(files_.segment, files_.catalog),
             [this] {
               heartbeat();
               journal_pass(kRecordsPerCycle);
             }),
      images_(store_, files_.catalog, files_.segment.geometry(), files_.process),
      journal_(*files_.journal_disk, journal_identity_of(files_.segment),
               journal_limits_of(files_.segment, options)),
      pruner_(*files_.journal_disk, journal_identity_of(files_.segment),
              static_cast<std::uint32_t>(files_.segment.superblock().dedup_window)),
      letters_(files_.letters_directory, files_.segment.superblock().incarnation,
               std::string(text_of(files_.segment.catalog_bytes()))),
      epoch_(shared_->epoch.value.load(std::memory_order_relaxed)) {
  const std::int64_t flush_every_us = files_.segment.settings().getFlushEveryUs();
  if (flush_every_us > 0) options_.write_behind.flush_every_ns = flush_every_us * 1000;
  shared_->connected.value.store(0, std::memory_order_relaxed);
  counters_.connected.set(0);
}

Status Keeper::run(const std::atomic<bool>& stop) {
  stop_ = &stop;
  const Result<bool> started = start();
  if (!started) return started.error();
  if (!*started) return Done{};  // told to stop before anything was served
  serve();
  return finish();
}

void Keeper::create_write_behind() {
  WriteBehindParts parts{store_,
                         files_.table,
                         touched_,
                         *shared_,
                         watermarks_,
                         counters_,
                         files_.process,
                         readable_,
                         files_.catalog.hash,
                         loss_window_,
                         [this] { return drain_all(); },
                         [this] { return make_durable(); },
                         &files_.trace};
  write_behind_.emplace(std::move(parts), options_.write_behind, epoch_);
}

// --- duty cycle ---------------------------------------------------------------------------------

void Keeper::serve() {
  open_asked();
  IdleStrategy strategy(schema::Wait::ADAPTIVE);
  std::int64_t due_ns = 0;
  while (!stopping() && write_behind_->fenced().empty()) {
    heartbeat();
    const std::uint64_t work_count = journal_pass(kRecordsPerCycle);
    if (steady_ns() >= due_ns) due_ns = steady_ns() + write_behind_->tick();
    tend();
    if (work_count < kRecordsPerCycle) idle(strategy, work_count);
  }
}

void Keeper::idle(IdleStrategy& strategy, std::uint64_t work_count) {
  if (journal_.under_way()) {
    journal_.wait(kNapUs * 1000);
    // A group that waits for a disk is no reason to spin.
    if (journal_.state() != JournalState::kWriting) usleep(kNapUs);
    return;
  }
  if (!journal_.idle()) {
    // A group is being collected: a nap collects more of it, without each event having to wake the
    // keeper, which would cost its worker a system call.
    const std::int64_t window_us = files_.segment.settings().getGroupCommitUs();
    if (window_us > 0) usleep(static_cast<unsigned>(std::min<std::int64_t>(window_us, kNapUs)));
    return;
  }
  if (!letters_.problem().empty()) {
    usleep(kNapUs);  // a record that waits for the disk is no reason to spin
    return;
  }
  strategy.wait(work_count, files_.bell, [&] { return !logs_empty() || stopping(); });
}

void Keeper::tend() {
  const std::int64_t now_ns = steady_ns();
  if (now_ns >= parts_at_ns_) {
    take_asked();
    if (Status asked = stored_parts_->tick(); !asked) write_behind_->lost(asked.error().message());
    parts_at_ns_ = steady_ns() + kPartsEveryNs;
  }
  if (now_ns < tend_at_ns_) return;
  tend_at_ns_ = now_ns + kTendEveryNs;
  loss_window_.tick(watermarks_, now_ns);
  files_.trace.tend();
  end_resharding();
  prune();
  counters_.journal_bytes.set(journal_.written_bytes());
  counters_.journal_failures.set(journal_.failures());
  counters_.journal_segments.set(pruner_.segment_count());
  show_disk();
}

/// Without it all else works, so it is no reason not to begin.
void Keeper::open_asked() {
  Result<AskSocket> socket = AskSocket::open(files_.segment);
  if (!socket) return complain(socket.error().message());
  files_.asked.emplace(std::move(*socket));
  files_.bell.wake_on(files_.asked->descriptor());
}

void Keeper::take_asked() {
  if (!files_.asked) return;
  const std::uint64_t broken =
      files_.asked->receive(kAsksPerLook, [this](const Key& key) { stored_parts_->ask(key); });
  counters_.asked[kAskedBroken].add(broken);
}

void Keeper::end_resharding() {
  if (!store_.connected() || !store_.resharding()) return;
  const std::vector<std::uint64_t> confirmed = loss_window_.confirmed();
  for (std::size_t shard = 0; shard < confirmed.size(); ++shard) {
    if (confirmed[shard] < begun_at_[shard]) return;
  }
  if (const auto fault = store_.end_resharding()) write_behind_->lost(fault->sentence);
}

void Keeper::prune() {
  if (!adopted_) {
    // What former lives wrote is known to lie below what was logged when this one began.
    for (std::size_t worker = 0; worker < files_.logs.size(); ++worker) {
      if (!files_.logs[worker].drained(logged_at_start_[worker])) return;
    }
    std::vector<std::uint64_t> highest;
    for (std::uint32_t shard = 0; shard < touched_.shard_count(); ++shard) {
      highest.push_back(files_.table.shard(shard).sequence());
    }
    const JournalSegmentName first{journal_.segment().epoch, 0};
    if (Status done = pruner_.adopt(first, highest); !done) {
      files_.process.error(done.error().message());
      return;
    }
    adopted_ = true;
  }
  if (const Result<bool> worked = pruner_.work(loss_window_.confirmed()); !worked) {
    files_.process.error(worked.error().message());
  }
}

Status Keeper::finish() {
  const std::int64_t begin_ns = steady_ns();
  for (;;) {
    if (!write_behind_->fenced().empty()) return Error{write_behind_->fenced(), 0, {}};
    heartbeat();
    journal_pass(kAllRecords, true);
    if (!all_durable()) {
      if (steady_ns() - begin_ns >= options_.drain_bound_ms * kNsPerMs) {
        const std::string& why =
            journal_.problem().empty() ? letters_.problem() : journal_.problem();
        return Error{"events are neither in the journal nor in Redis: " + why, 0,
                     "They are lost when the segment goes: keep it"};
      }
      journal_.wait(kNapUs * 1000);
      continue;
    }
    if (write_behind_->everything_written() || write_behind_->only_partial_left()) break;
    (void)write_behind_->tick(true);
    const std::int64_t waited_ns = steady_ns() - begin_ns;
    if (waited_ns >= options_.drain_bound_ms * kNsPerMs ||
        (!store_.connected() && waited_ns >= kAwayAtStopNs)) {
      // Nothing is lost: the next start has it from the journal.
      say(write_behind_->unwritten() + "; the journal has them");
      break;
    }
    if (!write_behind_->everything_written()) usleep(kNapUs);
  }
  shared_->connected.value.store(0, std::memory_order_release);
  counters_.connected.set(0);
  return Done{};
}

// --- signs of life -------------------------------------------------------------------------------

void Keeper::heartbeat() {
  files_.process.heartbeat(wall_coarse_us());
}

bool Keeper::nap() {
  heartbeat();
  journal_pass(kRecordsPerCycle);
  usleep(kNapUs);
  return !stopping();
}

void Keeper::say(const std::string& sentence) const {
  std::fprintf(stderr, "deja-keeper: %s\n", sentence.c_str());
}

void Keeper::complain(const std::string& sentence) {
  files_.process.error(sentence);
  say(sentence);
}

}  // namespace deja
