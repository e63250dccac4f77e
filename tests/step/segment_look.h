// What lies in a segment at an instant, read as its readers and peers read it and changing nothing:
// profiles, log, verdicts, ids, positions. Test code; header only; one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "ring/log_record.h"
#include "ring/positions.h"
#include "ring/spsc_ring.h"
#include "ring/verdict.h"
#include "shm/columns/finish.h"
#include "shm/consumed_layout.h"
#include "tests/support/segment_fixture.h"
#include "workers/features/feature_set.h"
#include "workers/id_set.h"

namespace deja {

/// A version of a profile. Each event of a user is worth another power of two, so `mask` says which
/// of them are in it, and `views` (their number) and `highest` (the last) whether it is whole.
struct StepProfile {
  std::uint64_t sequence = 0;
  std::uint64_t mask = 0;
  std::uint64_t views = 0;
  std::uint64_t highest = 0;
  bool partial = false;
};

struct StepLogged {
  LogRecordLayout record{};
  std::vector<std::uint8_t> payload;
  std::uint64_t end_position = 0;
};

struct SegmentLook {
  std::map<std::string, StepProfile> profiles;  ///< as found by their keys
  std::vector<std::string> faults;              ///< the table itself contradicts itself
  std::vector<std::uint64_t> sequences, used_counts, confirmed;  ///< by shard
  std::vector<bool> has_absent;
  std::vector<std::set<std::uint64_t>> ids;  ///< folded, by shard
  std::vector<StepLogged> log;               ///< from the keeper's position on
  std::set<std::uint64_t> verdicts;
  std::uint64_t verdict_count = 0;
  std::uint64_t consumed_position = 0, ring_position = 0;
  std::uint64_t applied_position = 0, log_position = 0;
  std::uint64_t returned_position = 0, return_ring_position = 0;
  bool recovered = false;
};

class SegmentLooker {
 public:
  explicit SegmentLooker(SegmentFixture& fixture)
      : fixture_(fixture),
        features_(std::move(*FeatureSet::compile(fixture.segment().catalog()))) {}

  [[nodiscard]] SegmentLook look() {
    SegmentLook seen;
    for (std::uint32_t shard = 0; shard < fixture_.plan().shard_count; ++shard) {
      look_at_shard(shard, seen);
      seen.ids.push_back(ids_of(shard));
    }
    look_at_log(seen);
    look_at_positions(seen);
    return seen;
  }

  [[nodiscard]] std::uint64_t folded(std::uint64_t id) const {
    const SuperblockLayout& superblock = fixture_.segment().superblock();
    const std::uint64_t secret[2] = {superblock.hash_secret[0], superblock.hash_secret[1]};
    return fold_id(id, 0, secret);
  }

 private:
  template <typename Visit>
  void for_each_record(const std::string& name, std::uint64_t from, Visit&& visit) {
    MappedFile& file = fixture_.file(name);
    std::atomic<std::uint64_t> position{from};
    RingConsumer reader(file.data(), file.bytes(), &position);
    for (;;) {
      const RingRecord record = reader.next();
      if (record.outcome != RingRecord::Outcome::kRecord) break;
      visit(record);
    }
  }
  [[nodiscard]] std::uint64_t published(const std::string& name) {
    return fixture_.file(name).at<RingHeaderLayout>()->producer_position.load();
  }

  void look_at_shard(std::uint32_t shard, SegmentLook& seen) {
    const ShardReader<> reader = fixture_.reader(shard);
    const TableGeometry& geometry = fixture_.segment().geometry();
    std::vector<std::uint64_t> words(geometry.block_bytes() / 8);
    std::vector<std::uint64_t> again(words.size());
    ProfileCopy copy(words.data(), geometry);
    ProfileCopy by_key(again.data(), geometry);
    const std::uint64_t busy = reader.for_each(copy, [&](ProfileCopy& found) {
      const Key key = found.key();
      const std::string user(key.bytes, key.size);
      if (!seen.profiles.emplace(user, profile_of(found)).second) {
        seen.faults.push_back(user + " is there twice");
      }
      if (reader.get(key, by_key) != ReadOutcome::kFound || words != again) {
        seen.faults.push_back(user + " is found by no key");
      }
    });
    if (busy != 0) seen.faults.emplace_back("a profile is busy and nobody writes");
    seen.sequences.push_back(reader.sequence());
    seen.used_counts.push_back(reader.header().used_count);
    seen.has_absent.push_back(reader.header().has_absent != 0);
    seen.confirmed.push_back(keeper_confirmed(fixture_.file("keeper").data(), geometry.worker_count,
                                              geometry.shard_count)[shard]
                                 .load());
  }

  [[nodiscard]] StepProfile profile_of(const ProfileCopy& copy) const {
    const auto* frame = reinterpret_cast<const std::uint8_t*>(copy.frame());
    const auto number = [&](std::size_t feature) {
      const FeatureSpec& spec = features_.specs()[feature];
      return static_cast<std::uint64_t>(finish_number(spec, frame + spec.offset, 0).number);
    };
    return {copy.sequence(), number(1), number(0), number(2), copy.partial()};
  }

  /// By the layout alone: to take the set over would rebuild its table.
  [[nodiscard]] std::set<std::uint64_t> ids_of(std::uint32_t shard) {
    const auto window = static_cast<std::uint32_t>(fixture_.plan().dedup_window);
    const auto* layout = reinterpret_cast<const IdSetLayout*>(fixture_.file("ids-0").data() +
                                                              id_set_bytes(window) * shard);
    const auto* ids = reinterpret_cast<const std::uint64_t*>(layout + 1);
    const std::uint64_t inserted = layout->inserted.load();
    std::set<std::uint64_t> found;
    for (std::uint64_t at = inserted > window ? inserted - window : 0; at < inserted; ++at) {
      found.insert(ids[at % (window + 1)]);
    }
    return found;
  }

  void look_at_log(SegmentLook& seen) {
    const std::uint64_t drained =
        keeper_logs(fixture_.file("keeper").data())[0].drained_position.value.load();
    for_each_record("log-0", drained, [&](const RingRecord& record) {
      StepLogged logged;
      std::memcpy(&logged.record, record.payload, sizeof logged.record);
      logged.payload.assign(record.payload + sizeof logged.record,
                            record.payload + record.size_bytes);
      logged.end_position = record.end_position;
      seen.log.push_back(std::move(logged));
    });
    const std::uint64_t taken = fixture_.file("ingest-0").at<PositionLayout>()[0].value.load();
    for_each_record("verdict-0-0", taken, [&](const RingRecord& record) {
      VerdictLayout verdict;
      std::memcpy(&verdict, record.payload, sizeof verdict);
      seen.verdicts.insert(verdict.ring_end);
      ++seen.verdict_count;
    });
  }

  void look_at_positions(SegmentLook& seen) {
    const auto& worker = *fixture_.file("worker-0").at<WorkerLayout>();
    seen.applied_position = worker.applied_position.value.load();
    seen.returned_position = worker.returned_position.value.load();
    seen.recovered = worker.recovered.value.load() == 1;
    seen.consumed_position =
        consumed_ring(fixture_.file("consumed-0").at<ConsumedLayout>(), 0)->position.load();
    seen.ring_position = published("ring-0-0");
    seen.log_position = published("log-0");
    seen.return_ring_position = published("return-0");
  }

  SegmentFixture& fixture_;
  FeatureSet features_;
};

}  // namespace deja
