// A worker's log: an input is what lies in it, as a hostile worker would write it. The keeper takes
// whole records in their order. Each of them is in the journal, word for word, or had no effect by
// what it says itself, or is counted as broken; what is noted as touched are keys of this worker's
// shards; and where a record makes no sense all of the worker's shards are walked.
//
//   0             2                   6
//   ┌─────────────┬───────────────────┬──────────────────────────────────────────────┐
//   │ drained / 8 │ producer - drained│ the log's bytes, from the drained position on│
//   └─────────────┴───────────────────┴──────────────────────────────────────────────┘
#include "workers/keeper/log_drain.h"

#include <capnp/message.h>

#include <filesystem>

#include "ring/event_record.capnp.h"
#include "shm/base/clock.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/fake_disk.h"
#include "tests/support/segment_fixture.h"
#include "workers/journal/journal_reader.h"

namespace deja::fuzz {
namespace {

constexpr std::uint64_t kLogBytes = 8192;
constexpr std::uint32_t kWorker = 1;
constexpr std::size_t kTouchedMax = 8;

TestAppliance small_appliance() {
  TestAppliance appliance = TestAppliance::small();
  appliance.worker_count = 2;
  appliance.profiles_max = 64;
  appliance.log_bytes = kLogBytes;
  return appliance;
}

std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The shard that an event record names.
std::uint32_t shard_of_event(std::span<const std::uint8_t> bytes) {
  std::vector<capnp::word> words(bytes.size() / sizeof(capnp::word));
  if (!words.empty()) std::memcpy(words.data(), bytes.data(), bytes.size());
  const kj::ArrayPtr<const capnp::word> segments[] = {{words.data(), words.size()}};
  capnp::SegmentArrayMessageReader message(segments);
  return message.getRoot<schema::EventRecord>().getShard();
}

/// A record of the log, looked at for itself.
struct Logged {
  LogRecordLayout head{};
  std::vector<std::uint8_t> payload;

  /// It says itself that nothing came of it.
  [[nodiscard]] bool without_effect() const {
    return head.sequence == 0 && head.ring == 0 && head.event_bytes == payload.size() &&
           (head.kind == LogKind::kDuplicate || head.kind == LogKind::kRefused ||
            head.kind == LogKind::kDead);
  }
  [[nodiscard]] bool is(const JournalRecordLayout& record,
                        std::span<const std::uint8_t> journaled) const {
    if (record.sequence != head.sequence || record.shard != head.shard ||
        record.consumed_us != head.consumed_us) {
      return false;
    }
    switch (record.kind) {
      case JournalKind::kEvent:
        return head.kind == LogKind::kApplied && text_of(journaled) == text_of(payload) &&
               shard_of_event(journaled) == record.shard;
      case JournalKind::kMerged:
        return head.kind == LogKind::kMerged && journaled.empty();
      case JournalKind::kDead:
        return head.kind == LogKind::kDead && journaled.empty();
      default:
        return false;
    }
  }
};

/// The keeper's parts around a drain, new for each log.
struct Life {
  Life(RedisStore& store, StoredImages& images, TableView& table, ReturnRings& rings,
       KeeperCounters& counters, std::uint32_t shard_count, const std::string& folder)
      : journal(disk, {"test", shard_count, "catalog"}, limits()),
        pruner(disk, {"test", shard_count, "catalog"}, 20),
        touched(shard_count, kTouchedMax),
        stored_parts(store, images, table, rings, counters),
        letters(emptied(folder), 1, "catalog") {
    CHECK(journal.begin(1).ok());
  }
  static JournalLimits limits() {
    JournalLimits limits;
    limits.segment_bytes = 64U << 10U;
    limits.group_commit_ns = 0;
    return limits;
  }
  static const std::string& emptied(const std::string& folder) {
    std::filesystem::remove(folder + "/" + kDeadLettersFile);
    return folder;
  }
  void sync() {
    while (!journal.idle()) {
      journal.tick(1, true);
      journal.wait(0);
    }
  }

  FakeDisk disk{1};
  JournalWriter journal;
  JournalPruner pruner;
  TouchedSet touched;
  StoredParts stored_parts;
  DeadLetters letters;
};

class LogWorld {
 public:
  LogWorld()
      : fixture_(small_appliance()),
        process_(std::move(*fixture_.segment().map("process-keeper", MappedFile::Mode::kReadWrite)),
                 "keeper"),
        counters_(process_),
        store_({}, {}, {}, {}),
        catalog_(std::move(*StoredCatalog::parse(text_of(fixture_.segment().catalog_bytes())))),
        images_(store_, catalog_, fixture_.segment().geometry(), process_),
        table_(std::move(*TableView::open(fixture_.segment()))),
        rings_(std::move(*ReturnRings::open(fixture_.segment(), [] { return false; }))) {}

  void run(Input input) {
    fill(input);
    const std::vector<Logged> logged = look();
    Life life(store_, images_, table_, rings_, counters_, fixture_.segment().geometry().shard_count,
              fixture_.segment_directory());
    const std::uint64_t broken_before = counters_.broken_records.value();
    const std::uint64_t counted_before = counted();
    auto drain = std::move(*LogDrain::open(fixture_.segment(), kWorker, &positions(), &durable()));
    const LogDrain::Into into{life.journal, life.pruner, life.touched, life.stored_parts,
                              life.letters, counters_,   process_};
    std::uint64_t taken = 0;
    for (;;) {
      const std::uint64_t count = drain.drain(into, 3);
      CHECK(count <= 3);
      if (count == 0) break;
      taken += count;
    }
    life.sync();
    while (drain.settle(life.journal.durable_group(), wall_us(), life.letters, counters_)) {
    }
    CHECK(drain.settled() && (drain.broken() || drain.empty()));
    CHECK(taken == logged.size());

    const std::uint64_t broken_logs = drain.broken() ? 1 : 0;
    const std::uint64_t broken = counters_.broken_records.value() - broken_before - broken_logs;
    CHECK(counted() - counted_before == taken - broken);
    const std::uint64_t journaled = check_journal(life.disk, logged);
    const auto without_effect = static_cast<std::uint64_t>(std::count_if(
        logged.begin(), logged.end(), [](const Logged& each) { return each.without_effect(); }));
    CHECK(taken == journaled + without_effect + broken);
    check_touched(life.touched, broken + broken_logs != 0);
  }

 private:
  KeeperLogLayout& positions() { return keeper_logs(fixture_.file("keeper").data())[kWorker]; }
  PositionLayout& durable() {
    return fixture_.file("durable").at<DurableLayout>()->positions()[kWorker];
  }
  MappedFile& log() { return fixture_.file("log-" + std::to_string(kWorker)); }

  void fill(Input& input) {
    auto* header = log().at<RingHeaderLayout>();
    const std::uint64_t start = std::uint64_t{input.take<std::uint16_t>()} * 8;
    positions().drained_position.value.store(start);
    durable().value.store(0);
    header->producer_position.store(start + input.take<std::uint32_t>());
    std::uint8_t* data = log().data() + sizeof *header;
    std::memset(data, 0, kLogBytes);
    std::uint64_t at = start;
    for (const std::uint8_t byte : input.take_bytes(kLogBytes)) data[at++ % kLogBytes] = byte;
  }

  /// What is in the log, up to where it makes no sense any more.
  std::vector<Logged> look() {
    std::atomic<std::uint64_t> position{positions().drained_position.value.load()};
    RingConsumer consumer(log().data(), log().bytes(), &position);
    std::vector<Logged> logged;
    for (;;) {
      const RingRecord record = consumer.next();
      if (record.outcome != RingRecord::Outcome::kRecord) return logged;
      Logged& each = logged.emplace_back();
      if (record.type != kLogRecord || record.size_bytes < sizeof each.head) continue;
      std::memcpy(&each.head, record.payload, sizeof each.head);
      each.payload.assign(record.payload + sizeof each.head, record.payload + record.size_bytes);
    }
  }

  [[nodiscard]] std::uint64_t counted() const {
    std::uint64_t sum = 0;
    for (const Counter& counter : counters_.log_records) sum += counter.value();
    return sum;
  }

  /// How many records the journal has: each is the log's, in the log's order.
  static std::uint64_t check_journal(FakeDisk& disk, const std::vector<Logged>& logged) {
    std::uint64_t count = 0;
    auto at = logged.begin();
    const auto facts = read_journal_segment(
        disk, {1, 0},
        [&](const JournalHeaderLayout&, const JournalRecordLayout& record,
            std::span<const std::uint8_t> payload, std::uint64_t) {
          at = std::find_if(at, logged.end(),
                            [&](const Logged& each) { return each.is(record, payload); });
          CHECK(at != logged.end());
          ++at;
          ++count;
        });
    CHECK(facts.ok() && facts->header_good && facts->damages.empty());
    CHECK(facts->records == count);
    return count;
  }

  void check_touched(const TouchedSet& touched, bool any_broken) const {
    const TableGeometry& geometry = fixture_.segment().geometry();
    for (std::uint32_t shard = 0; shard < geometry.shard_count; ++shard) {
      const TouchedSet::Shard& part = touched.shard(shard);
      if (geometry.owner_of(shard) != kWorker) {
        CHECK(part.empty());
        continue;
      }
      CHECK(part.walk || !any_broken);
      for (const auto& [key, sequence] : part.keys) {
        CHECK(sequence != 0);
        CHECK(key.size() >= 2 && key.size() <= 1 + std::size_t{geometry.key_bytes});
      }
    }
    CHECK(touched.count() <= kTouchedMax);
  }

  SegmentFixture fixture_;
  ProcessFile process_;
  KeeperCounters counters_;
  RedisStore store_;
  StoredCatalog catalog_;
  StoredImages images_;
  TableView table_;
  ReturnRings rings_;
};

}  // namespace
}  // namespace deja::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static deja::fuzz::LogWorld world;
  world.run({data, size});
  return 0;
}
