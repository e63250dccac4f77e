// How a keeper begins: in a segment where nothing was served yet it brings store and journal back;
// in a living one it goes on where the last keeper died, whether Redis is there or not. Part of
// Keeper.
#include <algorithm>

#include "shm/base/clock.h"
#include "shm/base/crash_point.h"
#include "workers/keeper/keeper.h"

namespace deja {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;
constexpr std::int64_t kConnectBackoffMaxMs = 1000;
constexpr int kJournalRetryMs = 250;
/// Made by a person who wants to go on without what a damaged journal has lost; used up by one
/// start.
constexpr const char* kAcceptLossFile = "accept-loss";

}  // namespace

Result<bool> Keeper::start() {
  Result<ReturnRings> rings = ReturnRings::open(files_.segment, [this] { return nap(); });
  if (!rings) return rings.error();
  rings_.emplace(std::move(*rings));
  stored_parts_.emplace(store_, images_, files_.table, *rings_, counters_);
  const Result<std::uint64_t> journal_epoch = highest_journal_epoch();
  if (!journal_epoch) return journal_epoch.error();
  epoch_ = std::max(epoch_, *journal_epoch);
  for (const LogDrain& log : files_.logs) logged_at_start_.push_back(log.logged_position());

  if (!rings_->wait_until_consumed()) return false;
  for (std::uint32_t worker = 0; worker < files_.logs.size(); ++worker) {
    cold_ |= rings_->waits(worker);
  }
  if (!cold_) ++epoch_;
  for (const auto step : {&Keeper::reach_redis, &Keeper::begin_journal, &Keeper::restore}) {
    const Result<bool> done = (this->*step)();
    if (!done || !*done) return done;
  }
  create_write_behind();
  return true;
}

Result<std::uint64_t> Keeper::highest_journal_epoch() const {
  const Result<std::vector<std::string>> names = files_.journal_disk->list();
  if (!names) return names.error();
  std::uint64_t highest = 0;
  for (const std::string& text : *names) {
    if (const auto name = JournalSegmentName::parse(text)) highest = std::max(highest, name->epoch);
  }
  return highest;
}

/// Only where something has to be read back: a living segment needs no Redis to go on.
Result<bool> Keeper::reach_redis() {
  if (!cold_) return true;
  std::int64_t deadline_ns = steady_ns() + options_.redis_wait_ms * kNsPerMs;
  std::int64_t wait_ms = options_.write_behind.backoff_min_ms;
  std::string said;
  for (;;) {
    std::string note;
    const std::optional<StoreFault> fault = store_.open(epoch_, !journal_begun_, note);
    if (!note.empty()) complain(note);
    if (!fault) return true;
    if (fault->kind == StoreFault::Kind::kRefused || fault->kind == StoreFault::Kind::kFenced) {
      return Error{fault->sentence, 0, {}};
    }
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
}

/// The epoch is ours once a segment with its name is on the disk; before that nothing is written
/// under it.
Result<bool> Keeper::begin_journal() {
  while (!journal_.begin(epoch_)) {
    show_journal();
    show_disk();  // what it waits for, maybe; a last life's would stand here
    for (int napped_ms = 0; napped_ms < kJournalRetryMs; ++napped_ms) {
      if (!nap()) return false;
    }
  }
  // What is wrong with it is said; it holds up nobody until there is a letter to keep.
  static_cast<void>(letters_.open());
  journal_begun_ = true;
  CRASH_POINT("keeper.after_epoch");
  shared_->epoch.value.store(epoch_, std::memory_order_release);
  show_journal();
  say(std::string("the journal is written with ") + files_.journal_disk->kind());
  return true;
}

Result<bool> Keeper::restore() {
  const Result<bool> restored = cold_ ? bring_back() : take_over();
  if (!restored || !*restored) return restored;
  for (std::uint32_t shard = 0; shard < touched_.shard_count(); ++shard) {
    begun_at_.push_back(files_.table.shard(shard).sequence());
  }
  return true;
}

Result<bool> Keeper::bring_back() {
  std::vector<std::uint64_t> in_redis;
  const Result<bool> read = read_back(in_redis);
  if (!read || !*read) return read;
  std::vector<bool> waited;
  for (std::uint32_t worker = 0; worker < files_.logs.size(); ++worker) {
    waited.push_back(rings_->waits(worker));
  }
  // The walk below must find in the table what was handed over just now.
  if (!rings_->wait_until_consumed()) return false;
  for (std::uint32_t shard = 0; shard < in_redis.size(); ++shard) {
    std::uint64_t watermark = in_redis[shard];
    if (translated_) {
      // All is written again in this config's form: what lies there in another's would bring a
      // dropped feature back with a later config, without what has happened since.
      watermark = 0;
    } else if (!waited[files_.segment.geometry().owner_of(shard)]) {
      watermark = std::min(watermark, watermarks_[shard].load(std::memory_order_relaxed));
    }
    watermarks_[shard].store(watermark, std::memory_order_release);
    // What came from the journal is not in Redis yet.
    if (translated_ || files_.table.shard(shard).sequence() > watermark) touched_.walk(shard);
  }
  return true;
}

/// What the last keeper had collected died with it: everything above the watermarks is looked at,
/// and what returned users have stored is asked for again.
bool Keeper::take_over() {
  for (std::uint32_t shard = 0; shard < touched_.shard_count(); ++shard) touched_.walk(shard);
  stored_parts_->want_all_partial();
  return true;
}

Result<bool> Keeper::read_back(std::vector<std::uint64_t>& in_redis) {
  for (;;) {
    std::vector<StoredFloor::Division> divisions;
    std::optional<StoreFault> fault = store_.read_watermarks(in_redis);
    if (!fault) fault = store_.read_former(divisions);
    if (fault && fault->kind == StoreFault::Kind::kRefused) return Error{fault->sentence, 0, {}};
    std::string problem = fault ? fault->sentence : std::string();
    if (!fault) {
      divisions.push_back(in_redis);
      const StoredFloor floor(std::move(divisions));
      const Result<JournalIndex> journal = read_journal(floor);
      if (!journal) return journal.error();
      const std::uint64_t begin_above = former_sequence(floor, *journal);
      const std::vector<std::uint64_t> none_known(in_redis.size());
      const std::string_view catalog(
          reinterpret_cast<const char*>(files_.segment.catalog_bytes().data()),
          files_.segment.catalog_bytes().size());
      const auto note = [&](const std::vector<std::uint64_t>& sequences) {
        return note_unjournaled(*journal, begin_above != 0 ? none_known : in_redis, sequences);
      };
      ReadBack back({store_, *rings_, images_, *journal, catalog, files_.segment.geometry(),
                     counters_, begin_above, note, [this] { heartbeat(); }});
      const ReadBack::Outcome outcome = back.run(in_redis);
      if (outcome == ReadBack::Outcome::kStopped) return false;
      if (outcome == ReadBack::Outcome::kLostJournal) {
        return Error{"the journal can't be read back: " + back.problem(), 0,
                     "See to the disk of [durability] directory, and start again"};
      }
      if (outcome == ReadBack::Outcome::kDone) {
        translated_ = back.translated_count() != 0;
        if (begin_above != 0) {
          say("filed the profiles anew: shards = " + std::to_string(in_redis.size()) +
              ", until Redis has had them for redis.loss_window");
        }
        say("restored " + std::to_string(back.restored_count()) + " profiles, " +
            std::to_string(back.translated_count()) + " of them from another config; " +
            std::to_string(images_.refused_count()) + " were refused; " +
            std::to_string(back.replayed_count()) + " events applied again from the journal");
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

/// Where all shards have to begin above, since their count has changed and what was before is not
/// yet confirmed under the new one; 0: it has not.
std::uint64_t Keeper::former_sequence(const StoredFloor& floor, const JournalIndex& journal) const {
  const std::uint64_t journaled = journal.highest_former_sequence();
  const std::uint32_t shard_count = files_.segment.superblock().shard_count;
  std::uint64_t lowest = floor.highest();
  for (std::uint32_t shard = 0; shard < shard_count; ++shard) {
    lowest = std::min(lowest, floor.of_shard(shard_count, shard));
  }
  if (!store_.resharding() && journaled <= lowest) return 0;
  return std::max({journaled, floor.highest(), std::uint64_t{1}});
}

Result<JournalIndex> Keeper::read_journal(const StoredFloor& floor) {
  JournalDisk& disk = *files_.journal_disk;
  Result<JournalIndex> journal = JournalIndex::build(
      disk, files_.segment.settings().getAppliance().cStr(), floor,
      files_.segment.superblock().shard_count, files_.segment.geometry().key_bytes,
      static_cast<std::uint32_t>(files_.segment.superblock().dedup_window),
      [this] { heartbeat(); });
  if (!journal) return journal;
  for (const std::string& damage : journal->damages()) complain("journal: " + damage);
  const std::vector<std::string> gaps = journal->gaps();
  if (gaps.empty()) return journal;
  for (const std::string& gap : gaps) complain("journal: " + gap);
  const Result<std::vector<std::string>> names = disk.list();
  const bool accepted = names && std::count(names->begin(), names->end(), kAcceptLossFile) != 0;
  if (!accepted) {
    return Error{
        "acknowledged events are missing: " + gaps.front() + (gaps.size() > 1 ? ", and more" : ""),
        0,
        std::string("Bring the damaged files of the journal back from a copy; or, to go "
                    "on without these events, make an empty file ") +
            kAcceptLossFile + " beside them and start again"};
  }
  complain("going on without them, as the file accept-loss asks for");
  if (Status removed = disk.remove(kAcceptLossFile); !removed) return removed.error();
  return journal;
}

/// Sequences that are known from stored profiles alone, or were other shards' before their count
/// changed, would be missed by the next reader of the journal: it is told that there is no record
/// of them. Durably, before a worker can count on from there: its events would lie behind a gap.
/// False: told to stop.
bool Keeper::note_unjournaled(const JournalIndex& journal,
                              const std::vector<std::uint64_t>& in_redis,
                              const std::vector<std::uint64_t>& sequences) {
  bool any = false;
  for (std::uint32_t shard = 0; shard < sequences.size(); ++shard) {
    const std::uint64_t known = std::max(in_redis[shard], journal.highest_sequence(shard));
    if (sequences[shard] <= known) continue;
    const std::uint64_t first = known + 1;
    JournalRecordLayout record{};
    record.sequence = sequences[shard];
    record.shard = shard;
    record.kind = JournalKind::kNone;
    record.payload_bytes = sizeof first;
    const std::span<const std::uint8_t> payload(reinterpret_cast<const std::uint8_t*>(&first),
                                                sizeof first);
    while (!journal_.append(record, payload)) {
      if (!nap()) return false;
    }
    any = true;
  }
  if (!any) return true;
  const std::uint64_t group = journal_.covering_group();
  while (journal_.durable_group() < group) {
    if (!nap()) return false;
  }
  CRASH_POINT("keeper.after_unjournaled");
  return true;
}

}  // namespace deja
