// The journal: an input is a directory of segments as a hostile disk could hold them; or, with an
// odd first byte, the bytes of one. Segments are put together from the input with the checksums
// that a good one has, so that what stands in them is believed, and some of them are spoiled.
//
// What is read is every record of every group that is whole, and no other; a group that is lost
// although one follows is named. What a start makes of it: each event once, in the order of the
// sequences, above the watermark, those of another count of shards in the shard of their user; ids
// in their order, no more than the window; a sentence for what is missing, and none where nothing
// is. Ids outlive the pruning. Any event can be read under another catalog, and then decoded and
// applied or refused.
#include <map>
#include <optional>

#include "tests/fuzz/feature_world.h"
#include "tests/fuzz/segment_maker.h"
#include "tests/support/fake_disk.h"
#include "tests/support/test_appliance.h"
#include "workers/journal/event_translation.h"
#include "workers/journal/journal_ids.h"
#include "workers/journal/journal_index.h"
#include "workers/journal/journal_pruner.h"

namespace deja::fuzz {
namespace {

constexpr std::uint32_t kIdsMax = 20;
constexpr std::uint32_t kSegmentsMax = 12;
class JournalWorld {
 public:
  JournalWorld() : catalog_(flat(world_.catalog())), maker_(catalog_) {
    features::CatalogBuilder other(
        {{"order", {{"worth", "properties.revenue", 0}}},
         {"view", {{"cost", "properties.price", 0}, {"what", "properties.id", 0}}}},
        {{"views", features::ordinary(FeatureType::kCount), {{1, 1}}, "", ""}});
    other_catalog_ = flat(other.reader());
  }

  void run(Input input) {
    if ((input.take<std::uint8_t>() & 1U) != 0) return read_raw(input.rest());
    FakeDisk disk(1);
    std::vector<std::uint64_t> watermarks;
    for (std::uint32_t shard = 0; shard < kShards; ++shard) {
      watermarks.push_back(input.take<std::uint8_t>());
    }
    std::vector<Put> readable;
    bool whole = true;
    bool ours = true;
    bool condensed = false;
    bool moved = false;
    for (std::uint32_t at = 0; at < kSegmentsMax && !input.empty(); ++at) {
      const JournalSegmentName name{1 + at / 3, at % 3};
      const MadeSegment segment = maker_.make(name, input);
      CHECK(disk.create(name.text(), segment.bytes.size(), segment.bytes).ok());
      check_segment(disk, name, segment);
      readable.insert(readable.end(), segment.readable.begin(), segment.readable.end());
      whole = whole && segment.whole;
      ours = ours && segment.ours;
      condensed = condensed || segment.condensed;
      moved = moved || segment.other_shards;
    }
    const Result<JournalIndex> index = build(disk, watermarks);
    CHECK(index.ok() == ours);
    if (!index.ok()) return;
    CHECK(!whole || index->damages().empty());
    check_entries(*index, readable, watermarks);
    check_gaps(*index, readable, watermarks);
    for (std::uint32_t shard = 0; shard < kShards; ++shard) check_ids(index->ids(shard), moved);
    use_events(*index);
    check_pruning(disk, *index, watermarks, condensed, moved);
  }

 private:
  static std::string text_of(const std::vector<std::uint8_t>& bytes) {
    return {bytes.begin(), bytes.end()};
  }
  static std::string flat(schema::Catalog::Reader catalog) {
    capnp::MallocMessageBuilder message;
    message.setRoot(catalog);
    return text_of(flat_bytes(message));
  }

  // --- reading ---
  static void read_raw(std::span<const std::uint8_t> bytes) {
    const JournalSegmentFacts facts = read_journal_bytes(
        bytes, {1, 0},
        [&](const JournalHeaderLayout& header, const JournalRecordLayout& record,
            std::span<const std::uint8_t> payload, std::uint64_t position) {
          CHECK(record.shard < header.shard_count);
          CHECK(payload.size() == record.payload_bytes && position <= bytes.size());
          CHECK(payload.data() == bytes.data() + position);
          CHECK(payload.size() <= bytes.size() - position);
        });
    CHECK(facts.header_good || facts.groups == 0);
  }

  static void check_segment(FakeDisk& disk, JournalSegmentName name, const MadeSegment& segment) {
    std::size_t at = 0;
    const Result<JournalSegmentFacts> facts = read_journal_segment(
        disk, name,
        [&](const JournalHeaderLayout& header, const JournalRecordLayout& record,
            std::span<const std::uint8_t> payload, std::uint64_t) {
          CHECK(at < segment.readable.size());
          const Put& put = segment.readable[at++];
          CHECK(header.shard_count == put.shard_count);
          CHECK(std::memcmp(&record, &put.record, sizeof record) == 0);
          CHECK(std::equal(payload.begin(), payload.end(), put.payload.begin(), put.payload.end()));
        });
    CHECK(facts.ok() && at == segment.readable.size());
    CHECK(!segment.whole || facts->damages.empty());
  }

  static Result<JournalIndex> build(FakeDisk& disk, const std::vector<std::uint64_t>& watermarks) {
    return JournalIndex::build(disk, "test", StoredFloor(watermarks), kShards, kKeyBytesMax,
                               kIdsMax);
  }

  // --- what a start makes of it ---
  using Effects = std::map<std::uint64_t, const Put*>;  // by sequence

  static std::uint64_t floor_of(std::uint32_t shard_count, std::uint32_t shard,
                                const std::vector<std::uint64_t>& watermarks) {
    return shard_count == kShards ? watermarks[shard]
                                  : *std::min_element(watermarks.begin(), watermarks.end());
  }

  /// Of several records of one sequence the first.
  static Effects effects_of(std::uint32_t shard_count, std::uint32_t shard,
                            const std::vector<Put>& readable,
                            const std::vector<std::uint64_t>& watermarks) {
    Effects effects;
    for (const Put& put : readable) {
      if (put.shard_count != shard_count || put.record.shard != shard) continue;
      const bool effect =
          put.record.kind == JournalKind::kEvent || put.record.kind == JournalKind::kMerged;
      if (effect && put.record.sequence > floor_of(shard_count, shard, watermarks)) {
        effects.try_emplace(put.record.sequence, &put);
      }
    }
    return effects;
  }
  static bool is_dead(const Put& event, const std::vector<Put>& readable) {
    return std::any_of(readable.begin(), readable.end(), [&](const Put& put) {
      return put.record.kind == JournalKind::kDead && put.shard_count == event.shard_count &&
             put.record.shard == event.record.shard && put.record.sequence == event.record.sequence;
    });
  }
  /// The shard of an event of another count; nothing where it is nobody's, or the store has it.
  static std::optional<std::uint32_t> moved_to(const Put& put,
                                               const std::vector<std::uint64_t>& watermarks) {
    if (put.record.kind != JournalKind::kEvent || put.payload.size() % 8 != 0) return std::nullopt;
    std::vector<std::uint64_t> words(put.payload.size() / 8 + 1);
    std::copy(put.payload.begin(), put.payload.end(),
              reinterpret_cast<std::uint8_t*>(words.data()));
    EventFacts facts;
    if (read_event_facts(words.data(), words.size() - 1, kKeyBytesMax, facts) != nullptr) {
      return std::nullopt;
    }
    const std::uint32_t shard = shard_of(facts.key, kShards);
    if (put.record.sequence <= watermarks[shard]) return std::nullopt;
    return shard;
  }

  static void check_entries(const JournalIndex& index, const std::vector<Put>& readable,
                            const std::vector<std::uint64_t>& watermarks) {
    using Expected = std::pair<std::uint64_t, std::vector<std::uint8_t>>;
    std::vector<std::vector<Expected>> expected(kShards);
    const auto expect = [&](std::uint32_t shard, const Put& put) {
      Expected entry{put.record.sequence, put.payload};
      const bool dead = put.record.kind == JournalKind::kMerged || is_dead(put, readable);
      entry.second.push_back(dead ? 1 : 0);
      expected[shard].push_back(std::move(entry));
    };
    for (const std::uint32_t shard_count : {kShards, kShards + 1}) {
      for (std::uint32_t shard = 0; shard < shard_count; ++shard) {
        for (const auto& [sequence, put] : effects_of(shard_count, shard, readable, watermarks)) {
          if (shard_count == kShards) {
            expect(shard, *put);
            continue;
          }
          const auto to = moved_to(*put, watermarks);
          if (to && !is_dead(*put, readable)) expect(*to, *put);
        }
      }
    }
    std::vector<std::uint64_t> words;
    for (std::uint32_t shard = 0; shard < kShards; ++shard) {
      std::vector<Expected> found;
      std::uint64_t before = 0;
      for (const JournalIndex::Entry& entry : index.entries(shard)) {
        CHECK(entry.sequence >= before && index.read(entry, words).ok());
        before = entry.sequence;
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(words.data());
        found.emplace_back(entry.sequence,
                           std::vector<std::uint8_t>(bytes, bytes + entry.payload_bytes));
        found.back().second.push_back(entry.kind == JournalKind::kEvent ? 0 : 1);
      }
      std::sort(found.begin(), found.end());
      std::sort(expected[shard].begin(), expected[shard].end());
      CHECK(found == expected[shard]);
    }
  }

  static void check_gaps(const JournalIndex& index, const std::vector<Put>& readable,
                         const std::vector<std::uint64_t>& watermarks) {
    bool any_missing = false;
    std::uint64_t highest_former = 0;
    for (const std::uint32_t shard_count : {kShards, kShards + 1}) {
      for (std::uint32_t shard = 0; shard < shard_count; ++shard) {
        const Effects effects = effects_of(shard_count, shard, readable, watermarks);
        std::vector<std::pair<std::uint64_t, std::uint64_t>> nones;
        std::uint64_t highest = 0;
        for (const Put& put : readable) {
          if (put.shard_count != shard_count || put.record.shard != shard) continue;
          highest = std::max(highest, put.record.sequence);
          if (put.record.kind == JournalKind::kNone && put.payload.size() == 8) {
            std::uint64_t first = 0;
            std::memcpy(&first, put.payload.data(), 8);
            nones.emplace_back(first, put.record.sequence);
          }
        }
        if (shard_count == kShards) {
          CHECK(index.highest_sequence(shard) == highest);
        } else {
          highest_former = std::max(highest_former, highest);
        }
        if (highest < 1000) {
          const std::uint64_t floor = floor_of(shard_count, shard, watermarks);
          for (std::uint64_t each = floor + 1; each <= highest; ++each) {
            const bool none = std::any_of(nones.begin(), nones.end(), [&](const auto& range) {
              return range.first <= each && each <= range.second;
            });
            any_missing = any_missing || (!none && !effects.contains(each));
          }
        } else {
          any_missing = any_missing || !index.gaps().empty();
        }
      }
    }
    CHECK(index.highest_former_sequence() == highest_former);
    CHECK(index.gaps().empty() == !any_missing);
  }

  static void check_ids(const std::vector<JournalIdLayout>& ids, bool moved) {
    CHECK(ids.size() <= kIdsMax);
    if (moved) return;
    for (std::size_t at = 1; at < ids.size(); ++at) {
      CHECK(id_order(ids[at - 1]) < id_order(ids[at]));
    }
  }

  void use_events(const JournalIndex& index) {
    EventTranslations translations;
    std::vector<std::uint64_t> words;
    for (std::uint32_t shard = 0; shard < kShards; ++shard) {
      for (const JournalIndex::Entry& entry : index.entries(shard)) {
        if (entry.kind != JournalKind::kEvent) continue;
        CHECK(index.read(entry, words).ok());
        if (index.is_moved(entry)) CHECK(move_event(words, shard));
        std::vector<std::uint64_t> same = words;
        if (translations.translate(index.catalog_of(entry), catalog_, same)) apply(same);
        (void)translations.translate(index.catalog_of(entry), other_catalog_, words);
      }
    }
  }

  void apply(const std::vector<std::uint64_t>& words) {
    Event& event = world_.event();
    if (!world_.decoder().decode(words.data(), static_cast<std::uint32_t>(words.size() * 8),
                                 event)) {
      return;
    }
    Frame frame(world_.features().frame_bytes());
    (void)world_.features().apply(event, frame.data());
    world_.check_frame(frame.data(), event.time_us);
  }

  // --- pruning ---
  static void check_pruning(FakeDisk& disk, const JournalIndex& before,
                            const std::vector<std::uint64_t>& watermarks, bool condensed,
                            bool moved) {
    JournalPruner pruner(disk, {"test", kShards, "catalog"}, kIdsMax);
    std::vector<std::uint64_t> highest;
    for (std::uint32_t shard = 0; shard < kShards; ++shard) {
      highest.push_back(before.highest_sequence(shard));
    }
    CHECK(pruner.adopt({100, 0}, highest).ok());
    for (std::uint32_t steps = 0;; ++steps) {
      CHECK(steps < 4 * kSegmentsMax);
      const Result<bool> any = pruner.work(highest);
      CHECK(any.ok());
      if (!*any) break;
    }
    const Result<JournalIndex> after = build(disk, watermarks);
    CHECK(after.ok());
    // What says that it was condensed is left as it is, even if that is a lie.
    CHECK(condensed || after->damages().empty());
    for (std::uint32_t shard = 0; shard < kShards; ++shard) {
      CHECK(condensed || after->entries(shard).empty());
      check_ids(after->ids(shard), moved);
      if (moved) continue;  // condensing can't tell the age of ids by their sequences
      const auto& ids = after->ids(shard);
      const auto& had = before.ids(shard);
      CHECK(std::equal(ids.begin(), ids.end(), had.begin(), had.end(),
                       [](const JournalIdLayout& a, const JournalIdLayout& b) {
                         return a.sequence == b.sequence && a.low == b.low && a.high == b.high;
                       }));
    }
  }

  FeatureWorld world_;
  std::string catalog_;
  std::string other_catalog_;
  SegmentMaker maker_;
};

}  // namespace
}  // namespace deja::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static deja::fuzz::JournalWorld world;
  world.run({data, size});
  return 0;
}
