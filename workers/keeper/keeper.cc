#include "workers/keeper/keeper.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "shm/base/clock.h"
#include "workers/segment_files.h"

namespace deja {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;
/// Log records taken before the loop looks at what else is due.
constexpr std::uint64_t kRecordsPerCycle = 4096;
constexpr std::uint64_t kAllRecords = ~std::uint64_t{0};
constexpr std::int64_t kConnectBackoffMaxMs = 1000;
constexpr unsigned kNapUs = 1000;

std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
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
  std::vector<LogDrain> logs;
  for (std::uint32_t worker = 0; worker < superblock.worker_count; ++worker) {
    Result<LogDrain> log = LogDrain::open(*segment, worker, keeper_logs(file->data()) + worker);
    if (!log) return log.error();
    logs.push_back(std::move(*log));
  }
  Files files{std::move(*segment), std::move(*file),    ProcessFile(std::move(*process), "keeper"),
              std::move(*table),   std::move(*catalog), std::move(*url),
              std::move(*bell),    std::move(logs)};
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
      store_(files_.url, options.redis, identity_of(files_.segment, files_.catalog),
             [this] {
               heartbeat();
               drain_logs(kRecordsPerCycle);
             }),
      epoch_(shared_->epoch.value.load(std::memory_order_relaxed)) {
  const std::int64_t flush_every_us = files_.segment.settings().getFlushEveryUs();
  if (flush_every_us > 0) options_.write_behind.flush_every_ns = flush_every_us * 1000;
  shared_->connected.value.store(0, std::memory_order_relaxed);
  counters_.connected.set(0);
}

Status Keeper::run(const std::atomic<bool>& stop) {
  stop_ = &stop;
  for (const auto step : {&Keeper::reach_redis, &Keeper::restore}) {
    const Result<bool> done = (this->*step)();
    if (!done) return done.error();
    if (!*done) return Done{};  // told to stop before anything was served
  }
  create_write_behind();
  serve();
  return finish();
}

// --- start --------------------------------------------------------------------------------------

Result<bool> Keeper::reach_redis() {
  std::int64_t deadline_ns = steady_ns() + options_.redis_wait_ms * kNsPerMs;
  std::int64_t wait_ms = options_.write_behind.backoff_min_ms;
  std::string said;
  for (;;) {
    std::string note;
    const std::optional<StoreFault> fault = store_.open(epoch_, true, note);
    if (!note.empty()) complain(note);
    if (!fault) break;
    if (fault->kind == StoreFault::Kind::kRefused) return Error{fault->sentence, 0, {}};
    counters_.errors.add();
    if (fault->sentence != said) complain(said = fault->sentence);
    if (fault->kind == StoreFault::Kind::kLoading) {
      deadline_ns = steady_ns() + options_.redis_wait_ms * kNsPerMs;
    }
    if (steady_ns() >= deadline_ns) {
      return Error{"Redis can't be used: " + fault->sentence, 0,
                   "Serving without what it has would forget people: start Redis, or correct "
                   "[redis] url"};
    }
    for (std::int64_t napped_ms = 0; napped_ms < wait_ms; ++napped_ms) {
      if (!nap()) return false;
    }
    wait_ms = std::min(wait_ms * 2, kConnectBackoffMaxMs);
  }
  shared_->epoch.value.store(epoch_, std::memory_order_release);
  return true;
}

Result<bool> Keeper::restore() {
  Result<ReturnRings> rings = ReturnRings::open(files_.segment, [this] { return nap(); });
  if (!rings) return rings.error();
  if (!rings->wait_until_consumed()) return false;
  std::vector<std::uint64_t> in_redis;
  const Result<bool> read = read_back(*rings, in_redis);
  if (!read || !*read) return read;
  // The walk below must find in the table what was handed over just now.
  if (translated_ && !rings->wait_until_consumed()) return false;
  for (std::uint32_t shard = 0; shard < in_redis.size(); ++shard) {
    std::uint64_t watermark = in_redis[shard];
    if (translated_) {
      // All is written again in this config's form: what lies there in another's would bring a
      // dropped feature back with a later config, without what has happened since.
      watermark = 0;
      touched_.walk(shard);
    } else if (!rings->waits(files_.segment.geometry().owner_of(shard))) {
      // This worker has gone on since it recovered, and what the last keeper had collected of it
      // died with that keeper: everything above the lower of the two watermarks is looked at.
      watermark = std::min(watermark, watermarks_[shard].load(std::memory_order_relaxed));
      touched_.walk(shard);
    }
    watermarks_[shard].store(watermark, std::memory_order_release);
  }
  return true;
}

Result<bool> Keeper::read_back(ReturnRings& rings, std::vector<std::uint64_t>& in_redis) {
  bool wanted = false;
  for (std::uint32_t worker = 0; worker < files_.logs.size(); ++worker) {
    wanted |= rings.waits(worker);
  }
  for (;;) {
    const std::optional<StoreFault> fault = store_.read_watermarks(in_redis);
    std::string problem = fault ? fault->sentence : std::string();
    if (!fault && !wanted) return true;
    if (!fault) {
      ReadBack back(
          {store_, rings, files_.catalog, files_.segment.geometry(), counters_, files_.process});
      const ReadBack::Outcome outcome = back.run(in_redis);
      if (outcome == ReadBack::Outcome::kStopped) return false;
      if (outcome == ReadBack::Outcome::kDone) {
        translated_ = back.translated_count() != 0;
        say("restored " + std::to_string(back.restored_count()) + " profiles, " +
            std::to_string(back.translated_count()) + " of them from another config; " +
            std::to_string(back.refused_count()) + " were refused");
        return true;
      }
      problem = back.problem();
    }
    complain("reading back begins again: " + problem);
    store_.close();
    const Result<bool> reached = reach_redis();
    if (!reached || !*reached) return reached;
  }
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
                         [this] { drain_logs(kAllRecords); }};
  write_behind_.emplace(std::move(parts), options_.write_behind, epoch_);
}

// --- duty cycle ---------------------------------------------------------------------------------

void Keeper::serve() {
  IdleStrategy idle(schema::Wait::ADAPTIVE);
  std::int64_t due_ns = 0;
  const auto stopping = [this] { return stop_->load(std::memory_order_acquire); };
  while (!stopping() && write_behind_->fenced().empty()) {
    heartbeat();
    const std::uint64_t work_count = drain_logs(kRecordsPerCycle);
    if (steady_ns() >= due_ns) due_ns = steady_ns() + write_behind_->tick();
    if (work_count != 0 && work_count < kRecordsPerCycle) {
      // Nobody waits for the keeper yet: a nap collects the next events without each of them having
      // to wake it, which would cost its worker a system call.
      usleep(kNapUs);
      continue;
    }
    idle.wait(work_count, files_.bell, [&] { return !logs_empty() || stopping(); });
  }
}

Status Keeper::finish() {
  const std::int64_t deadline_ns = steady_ns() + options_.drain_bound_ms * kNsPerMs;
  for (;;) {
    if (!write_behind_->fenced().empty()) return Error{write_behind_->fenced(), 0, {}};
    heartbeat();
    drain_logs(kAllRecords);
    if (write_behind_->everything_written()) break;
    (void)write_behind_->tick(true);
    if (write_behind_->everything_written()) continue;
    if (steady_ns() >= deadline_ns) {
      return Error{write_behind_->unwritten(), 0,
                   "They are lost when the segment goes: keep it, and start Redis"};
    }
    usleep(kNapUs);
  }
  shared_->connected.value.store(0, std::memory_order_release);
  counters_.connected.set(0);
  return Done{};
}

std::uint64_t Keeper::drain_logs(std::uint64_t records_max) {
  std::uint64_t count = 0;
  for (LogDrain& log : files_.logs) {
    count += log.drain(touched_, counters_, files_.process, records_max);
  }
  return count;
}

bool Keeper::logs_empty() const {
  return std::all_of(files_.logs.begin(), files_.logs.end(),
                     [](const LogDrain& log) { return log.empty(); });
}

void Keeper::heartbeat() {
  files_.process.heartbeat(wall_coarse_us());
}

bool Keeper::nap() {
  heartbeat();
  drain_logs(kRecordsPerCycle);
  usleep(kNapUs);
  return !stop_->load(std::memory_order_acquire);
}

void Keeper::say(const std::string& sentence) const {
  std::fprintf(stderr, "deja-keeper: %s\n", sentence.c_str());
}

void Keeper::complain(const std::string& sentence) {
  files_.process.error(sentence);
  say(sentence);
}

}  // namespace deja
