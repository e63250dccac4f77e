#include "workers/journal/journal_index.h"

#include <algorithm>
#include <cstring>

#include "workers/journal/journal_ids.h"

namespace deja {

Result<JournalIndex> JournalIndex::build(JournalDisk& disk, std::string_view appliance,
                                         const StoredFloor& floor, std::uint32_t shard_count,
                                         std::uint32_t key_bytes_max, std::uint32_t ids_max,
                                         const std::function<void()>& alive) {
  const Result<std::vector<std::string>> names = disk.list();
  if (!names) return names.error();
  std::vector<JournalSegmentName> ours;
  for (const std::string& text : *names) {
    if (const auto name = JournalSegmentName::parse(text)) ours.push_back(*name);
  }
  std::sort(ours.begin(), ours.end());

  JournalIndex index(disk, floor, shard_count);
  for (const JournalSegmentName& name : ours) {
    alive();
    index.highest_epoch_ = std::max(index.highest_epoch_, name.epoch);
    index.segments_.push_back({name, shard_count, {}});
    const Result<JournalSegmentFacts> facts = read_journal_segment(
        disk, name,
        [&](const JournalHeaderLayout& header, const JournalRecordLayout& record,
            std::span<const std::uint8_t> payload, std::uint64_t position) {
          index.take(header.shard_count, record, payload, position, key_bytes_max);
        });
    if (!facts) return facts.error();
    for (const std::string& damage : facts->damages) index.damages_.push_back(damage);
    if (!facts->header_good) continue;
    Segment& segment = index.segments_.back();
    segment.shard_count = facts->header.shard_count;
    segment.catalog = facts->catalog;
    if (facts->header.appliance != appliance) {
      return Error{"the journal is that of the appliance '" + std::string(facts->header.appliance) +
                       "', not of '" + std::string(appliance) + "'",
                   0, "Give each appliance a [durability] directory of its own"};
    }
    index.bound_ids(ids_max);
  }
  index.settle(ids_max);
  return index;
}

JournalIndex::Division& JournalIndex::division(std::uint32_t shard_count) {
  for (Division& division : divisions_) {
    if (division.size() == shard_count) return division;
  }
  divisions_.emplace_back(shard_count);
  for (std::uint32_t shard = 0; shard < shard_count; ++shard) {
    divisions_.back()[shard].floor = floor_.of_shard(shard_count, shard);
  }
  return divisions_.back();
}

const JournalIndex::Division* JournalIndex::find_division(std::uint32_t shard_count) const {
  for (const Division& division : divisions_) {
    if (division.size() == shard_count) return &division;
  }
  return nullptr;
}

std::uint64_t JournalIndex::highest_sequence(std::uint32_t shard) const {
  const Division* today = find_division(static_cast<std::uint32_t>(shards_.size()));
  return today != nullptr ? (*today)[shard].highest : 0;
}

std::uint64_t JournalIndex::highest_former_sequence() const {
  std::uint64_t highest = 0;
  for (const Division& division : divisions_) {
    if (division.size() == shards_.size()) continue;
    for (const Recorded& recorded : division) highest = std::max(highest, recorded.highest);
  }
  return highest;
}

void JournalIndex::take(std::uint32_t recorded_count, const JournalRecordLayout& record,
                        std::span<const std::uint8_t> payload, std::uint64_t position,
                        std::uint32_t key_bytes_max) {
  const auto shard_count = static_cast<std::uint32_t>(shards_.size());
  Recorded& recorded = division(recorded_count)[record.shard];
  recorded.highest = std::max(recorded.highest, record.sequence);
  Entry entry{record.sequence,
              position,
              static_cast<std::uint32_t>(segments_.size() - 1),
              static_cast<std::uint32_t>(payload.size()),
              record.shard,
              record.kind};
  switch (record.kind) {
    case JournalKind::kEvent: {
      words_.assign((payload.size() + 7) / 8, 0);
      if (!payload.empty()) std::memcpy(words_.data(), payload.data(), payload.size());
      EventFacts facts;
      const bool understood =
          payload.size() % 8 == 0 &&
          read_event_facts(words_.data(), words_.size(), key_bytes_max, facts) == nullptr;
      if (understood) {
        const std::uint32_t hash = murmur2(facts.key.bytes, facts.key.size);
        if ((facts.id_low | facts.id_high) != 0) {
          take_id(recorded_count, record.shard,
                  {record.sequence, facts.id_low, facts.id_high, record.consumed_us, hash, 0});
        }
        if (recorded_count == shard_count) break;
        entry.shard = shard_of_hash(hash, shard_count);
        // The store has this user's; in its own shard the sequence is none that is missing.
        if (record.sequence <= floor_.of(hash)) entry.kind = JournalKind::kDead;
      } else if (recorded_count != shard_count) {
        entry.kind = JournalKind::kDead;  // nobody's
      }
      break;
    }
    case JournalKind::kIds:
      for_each_journal_id(
          payload, [&](const JournalIdLayout& id) { take_id(recorded_count, record.shard, id); });
      return;
    case JournalKind::kDead:
      recorded.dead.insert(record.sequence);
      return;
    case JournalKind::kNone: {
      None none{0, record.sequence};
      if (payload.size() != sizeof none.first) return;
      std::memcpy(&none.first, payload.data(), sizeof none.first);
      recorded.nones.push_back(none);
      return;
    }
    case JournalKind::kMerged:
      break;
    default:
      return;  // of a later version: its sequence is missed, and gaps() says so
  }
  if (record.sequence > recorded.floor) recorded.entries.push_back(entry);
}

void JournalIndex::take_id(std::uint32_t recorded_count, std::uint32_t recorded,
                           const JournalIdLayout& id) {
  const auto shard_count = static_cast<std::uint32_t>(shards_.size());
  Shard& shard = shards_[shard_of_id(id, recorded, recorded_count, shard_count)];
  (recorded_count == shard_count ? shard.ids : shard.former_ids).push_back(id);
}

/// Records of two segments may overlap: without this a long journal would be held twice.
void JournalIndex::bound_ids(std::uint32_t ids_max) {
  const std::size_t bound = std::size_t{2} * ids_max + 1024;
  for (Shard& shard : shards_) {
    if (shard.ids.size() > bound) keep_newest_ids(shard.ids, ids_max);
    if (shard.former_ids.size() > bound) keep_latest_ids(shard.former_ids, ids_max);
  }
}

void JournalIndex::settle(std::uint32_t ids_max) {
  const auto before = [](const Entry& a, const Entry& b) { return a.sequence < b.sequence; };
  const auto same = [](const Entry& a, const Entry& b) { return a.sequence == b.sequence; };
  for (Division& division : divisions_) {
    const bool today = division.size() == shards_.size();
    for (std::uint32_t number = 0; number < division.size(); ++number) {
      Recorded& recorded = division[number];
      std::vector<Entry>& entries = recorded.entries;
      if (!std::is_sorted(entries.begin(), entries.end(), before)) {
        std::stable_sort(entries.begin(), entries.end(), before);
      }
      entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
      find_gaps(recorded, number);
      for (Entry& entry : entries) {
        if (recorded.dead.count(entry.sequence) != 0) entry.kind = JournalKind::kDead;
        if (today || entry.kind == JournalKind::kEvent) {
          shards_[entry.shard].entries.push_back(entry);
        }
      }
      entries = {};
    }
  }
  for (Shard& shard : shards_) {
    if (!std::is_sorted(shard.entries.begin(), shard.entries.end(), before)) {
      std::stable_sort(shard.entries.begin(), shard.entries.end(), before);
    }
    keep_newest_ids(shard.ids, ids_max);
    if (shard.former_ids.empty()) continue;
    // Former ones may be newer than some of today's: the count may have been this one before.
    shard.ids.insert(shard.ids.end(), shard.former_ids.begin(), shard.former_ids.end());
    keep_latest_ids(shard.ids, ids_max);
    shard.former_ids = {};
  }
}

Status JournalIndex::read(const Entry& entry, std::vector<std::uint64_t>& words) const {
  words.assign((entry.payload_bytes + 7) / 8, 0);
  return disk_->read(segments_[entry.segment].name.text(), entry.position,
                     {reinterpret_cast<std::uint8_t*>(words.data()), entry.payload_bytes});
}

void JournalIndex::find_gaps(const Recorded& recorded, std::uint32_t number) {
  std::uint64_t next = recorded.floor + 1;
  std::vector<None> nones = recorded.nones;
  std::sort(nones.begin(), nones.end(),
            [](const None& a, const None& b) { return a.first < b.first; });
  auto none = nones.begin();
  const auto skip_nones = [&] {
    for (; none != nones.end() && none->first <= next; ++none) {
      next = std::max(next, none->last + 1);
    }
  };
  const auto missing = [&](std::uint64_t until) {
    gaps_.push_back("the events " + std::to_string(next) + " to " + std::to_string(until) +
                    " of shard " + std::to_string(number) +
                    " are in neither the journal nor Redis");
  };
  for (const Entry& entry : recorded.entries) {
    skip_nones();
    if (entry.sequence < next) continue;
    if (entry.sequence > next) missing(entry.sequence - 1);
    next = entry.sequence + 1;
  }
  skip_nones();
  if (recorded.highest >= next) missing(recorded.highest);
}

}  // namespace deja
