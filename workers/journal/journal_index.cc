#include "workers/journal/journal_index.h"

#include <algorithm>
#include <cstring>

#include "workers/journal/journal_ids.h"

namespace deja {

Result<JournalIndex> JournalIndex::build(JournalDisk& disk, std::string_view appliance,
                                         const std::vector<std::uint64_t>& watermarks,
                                         std::uint32_t key_bytes_max, std::uint32_t ids_max) {
  const Result<std::vector<std::string>> names = disk.list();
  if (!names) return names.error();
  std::vector<JournalSegmentName> ours;
  for (const std::string& text : *names) {
    if (const auto name = JournalSegmentName::parse(text)) ours.push_back(*name);
  }
  std::sort(ours.begin(), ours.end());

  JournalIndex index(disk);
  index.shards_.resize(watermarks.size());
  for (const JournalSegmentName& name : ours) {
    index.highest_epoch_ = std::max(index.highest_epoch_, name.epoch);
    index.segments_.push_back({name, false, {}, std::vector<std::uint64_t>(watermarks.size())});
    std::uint64_t strangers = 0;
    const Result<JournalSegmentFacts> facts = read_journal_segment(
        disk, name,
        [&](const JournalRecordLayout& record, std::span<const std::uint8_t> payload,
            std::uint64_t position) {
          if (record.shard >= watermarks.size()) {
            ++strangers;
            return;
          }
          index.take(record, payload, position, watermarks[record.shard], key_bytes_max);
        });
    if (!facts) return facts.error();
    Segment& segment = index.segments_.back();
    segment.condensed = facts->header_good && facts->header.condensed != 0;
    segment.catalog = facts->catalog;
    for (const std::string& damage : facts->damages) index.damages_.push_back(damage);
    if (!facts->header_good) continue;
    if (facts->header.appliance != appliance) {
      return Error{"the journal is that of the appliance '" + std::string(facts->header.appliance) +
                       "', not of '" + std::string(appliance) + "'",
                   0, "Give each appliance a [durability] directory of its own"};
    }
    if (facts->header.shard_count != watermarks.size() || strangers != 0) {
      return Error{"the journal was written for " + std::to_string(facts->header.shard_count) +
                       " shards, and this appliance has " + std::to_string(watermarks.size()),
                   0,
                   "Set [appliance] shards = " + std::to_string(facts->header.shard_count) +
                       ", or use an empty [durability] directory"};
    }
    // Records of two segments may overlap: without this a long journal would be held twice.
    for (Shard& shard : index.shards_) {
      if (shard.ids.size() > std::size_t{2} * ids_max + 1024) keep_newest_ids(shard.ids, ids_max);
    }
  }
  index.settle(ids_max);
  return index;
}

void JournalIndex::take(const JournalRecordLayout& record, std::span<const std::uint8_t> payload,
                        std::uint64_t position, std::uint64_t watermark,
                        std::uint32_t key_bytes_max) {
  Shard& shard = shards_[record.shard];
  Segment& segment = segments_.back();
  const auto segment_index = static_cast<std::uint32_t>(segments_.size() - 1);
  std::uint64_t& highest = segment.highest[record.shard];
  highest = std::max(highest, record.sequence);
  shard.highest = std::max(shard.highest, record.sequence);
  switch (record.kind) {
    case JournalKind::kEvent: {
      words_.assign((payload.size() + 7) / 8, 0);
      if (!payload.empty()) std::memcpy(words_.data(), payload.data(), payload.size());
      EventFacts facts;
      const bool understood =
          payload.size() % 8 == 0 &&
          read_event_facts(words_.data(), words_.size(), key_bytes_max, facts) == nullptr;
      if (understood && (facts.id_low | facts.id_high) != 0) {
        shard.ids.push_back({record.sequence, facts.id_low, facts.id_high});
      }
      break;
    }
    case JournalKind::kIds:
      for_each_journal_id(payload, [&](const JournalIdLayout& id) {
        shard.ids.push_back({id.sequence, id.low, id.high});
      });
      return;
    case JournalKind::kDead:
      shard.dead.insert(record.sequence);
      return;
    case JournalKind::kNone: {
      None none{0, record.sequence};
      if (payload.size() != sizeof none.first) return;
      std::memcpy(&none.first, payload.data(), sizeof none.first);
      shard.nones.push_back(none);
      return;
    }
    case JournalKind::kMerged:
      break;
    default:
      return;  // of a later version: its sequence is missed, and gaps() says so
  }
  if (record.sequence <= watermark) return;
  shard.entries.push_back({record.sequence, position, segment_index,
                           static_cast<std::uint32_t>(payload.size()), record.kind});
}

void JournalIndex::settle(std::uint32_t ids_max) {
  for (Shard& shard : shards_) {
    sort_by_sequence(shard.entries);
    keep_newest_ids(shard.ids, ids_max);
  }
}

Status JournalIndex::read(const Entry& entry, std::vector<std::uint64_t>& words) const {
  words.assign((entry.payload_bytes + 7) / 8, 0);
  return disk_->read(segments_[entry.segment].name.text(), entry.position,
                     {reinterpret_cast<std::uint8_t*>(words.data()), entry.payload_bytes});
}

std::vector<std::string> JournalIndex::gaps(const std::vector<std::uint64_t>& watermarks) const {
  std::vector<std::string> sentences;
  for (std::uint32_t number = 0; number < shards_.size(); ++number) {
    const Shard& shard = shards_[number];
    std::uint64_t next = watermarks[number] + 1;
    std::vector<None> nones = shard.nones;
    std::sort(nones.begin(), nones.end(),
              [](const None& a, const None& b) { return a.first < b.first; });
    auto none = nones.begin();
    const auto skip_nones = [&] {
      for (; none != nones.end() && none->first <= next; ++none) {
        next = std::max(next, none->last + 1);
      }
    };
    const auto missing = [&](std::uint64_t until) {
      sentences.push_back("the events " + std::to_string(next) + " to " + std::to_string(until) +
                          " of shard " + std::to_string(number) +
                          " are in neither the journal nor Redis");
    };
    for (const Entry& entry : shard.entries) {
      skip_nones();
      if (entry.sequence < next) continue;
      if (entry.sequence > next) missing(entry.sequence - 1);
      next = entry.sequence + 1;
    }
    skip_nones();
    if (shard.highest >= next) missing(shard.highest);
  }
  return sentences;
}

}  // namespace deja
