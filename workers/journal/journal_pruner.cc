#include "workers/journal/journal_pruner.h"

#include <algorithm>
#include <cstring>

#include "shm/base/clock.h"
#include "shm/base/crash_point.h"
#include "workers/journal/event_facts.h"
#include "workers/journal/journal_ids.h"
#include "workers/journal/journal_reader.h"

namespace deja {
namespace {

/// Ids of one record: a group and its checksum stay small.
constexpr std::size_t kIdsPerRecord = 4096;

void append_bytes(std::vector<std::uint8_t>& bytes, const void* from, std::size_t size) {
  const auto* first = static_cast<const std::uint8_t*>(from);
  bytes.insert(bytes.end(), first, first + size);
}

}  // namespace

JournalPruner::JournalPruner(JournalDisk& disk, JournalIdentity identity, std::uint32_t ids_max)
    : disk_(disk),
      identity_(std::move(identity)),
      ids_max_(ids_max),
      highest_(identity_.shard_count) {}

Status JournalPruner::adopt(JournalSegmentName first_of_this_life,
                            const std::vector<std::uint64_t>& highest) {
  const Result<std::vector<std::string>> names = disk_.list();
  if (!names) return names.error();
  for (std::uint32_t shard = 0; shard < highest.size(); ++shard) appended(shard, highest[shard]);
  for (const std::string& text : *names) {
    if (text.ends_with(".journal.new")) {
      if (Status removed = disk_.remove(text); !removed) return removed;
    }
    const auto name = JournalSegmentName::parse(text);
    if (name && *name < first_of_this_life) closed_.push_back({*name, highest_});
  }
  std::sort(closed_.begin(), closed_.end(),
            [](const Closed& a, const Closed& b) { return a.name < b.name; });
  for (std::size_t at = 0; at < closed_.size(); ++at) {
    const bool last =
        at + 1 == closed_.size() || closed_[at + 1].name.epoch != closed_[at].name.epoch;
    if (last) unfinished_.push_back(closed_[at].name);
  }
  current_ = first_of_this_life;
  return Done{};
}

/// A life takes a whole segment's space before its first group: without this a keeper that is
/// killed again and again would fill the disk with nothing.
void JournalPruner::give_back_tail(JournalSegmentName name) {
  const Result<std::uint64_t> size = disk_.data_bytes(name.text());
  if (!size) return;
  std::vector<std::uint8_t> bytes(*size);
  if (!disk_.read(name.text(), 0, bytes).ok()) return;
  const JournalSegmentFacts facts =
      read_journal_bytes(bytes, name, [](const auto&, const auto&, auto, auto) {});
  // Where anything at all lies behind the last good group, it is left for a person to look at.
  if (!facts.header_good || !facts.damages.empty() ||
      std::any_of(bytes.begin() + static_cast<std::ptrdiff_t>(facts.end_position), bytes.end(),
                  [](std::uint8_t byte) { return byte != 0; })) {
    return;
  }
  disk_.give_back(name.text(), facts.end_position);
}

void JournalPruner::writing(JournalSegmentName segment) {
  if (segment == current_) return;
  // A segment that could not be made is not there; condensing it finds that out.
  closed_.push_back({current_, highest_});
  current_ = segment;
}

Result<bool> JournalPruner::work(const std::vector<std::uint64_t>& confirmed) {
  while (!unfinished_.empty()) {
    const JournalSegmentName name = unfinished_.back();
    unfinished_.pop_back();
    if (!disk_.holds_its_size(name.text())) continue;
    give_back_tail(name);
    return true;
  }
  if (condensed_.size() >= kCondensedMax) {
    if (Status merged = merge(); !merged) return merged.error();
    return true;
  }
  if (closed_.empty()) return false;
  const Closed& oldest = closed_.front();
  for (std::uint32_t shard = 0; shard < confirmed.size(); ++shard) {
    if (oldest.highest[shard] > confirmed[shard]) return false;
  }
  Ids ids(identity_.shard_count);
  bool was_condensed = false;
  if (Status read = read_ids(oldest.name, ids, was_condensed); !read) {
    if (read.error().error_number != ENOENT) return read.error();
    closed_.erase(closed_.begin());
    return true;
  }
  if (!was_condensed) {
    if (Status written = write_ids(oldest.name, ids); !written) return written.error();
    CRASH_POINT("journal.after_condense");
  }
  condensed_.push_back(oldest.name);
  closed_.erase(closed_.begin());
  return true;
}

Status JournalPruner::read_ids(JournalSegmentName name, Ids& ids, bool& was_condensed) {
  std::vector<std::uint64_t> words;
  const Result<JournalSegmentFacts> facts = read_journal_segment(
      disk_, name,
      [&](const JournalHeaderLayout& header, const JournalRecordLayout& record,
          std::span<const std::uint8_t> payload, std::uint64_t) {
        const auto take = [&](const JournalIdLayout& id) {
          ids[shard_of_id(id, record.shard, header.shard_count, identity_.shard_count)].push_back(
              id);
        };
        if (record.kind == JournalKind::kIds) for_each_journal_id(payload, take);
        if (record.kind != JournalKind::kEvent || payload.size() % 8 != 0) return;
        words.resize(payload.size() / 8);
        if (!payload.empty()) std::memcpy(words.data(), payload.data(), payload.size());
        EventFacts event;
        if (read_event_facts(words.data(), words.size(), kKeyBytesMax, event) == nullptr &&
            (event.id_low | event.id_high) != 0) {
          take({record.sequence, event.id_low, event.id_high, record.consumed_us,
                murmur2(event.key.bytes, event.key.size), 0});
        }
      });
  if (!facts) return facts.error();
  if (facts->header_good && facts->header.shard_count != identity_.shard_count) {
    for (std::vector<JournalIdLayout>& of_shard : ids) keep_latest_ids(of_shard, ids_max_);
  }
  was_condensed = facts->header_good && facts->header.condensed != 0;
  return Done{};
}

Status JournalPruner::write_ids(JournalSegmentName name, Ids& ids) {
  constexpr std::uint64_t kSecret[2] = {0x636f6e64656e7365U, 0x6a6f75726e616c31U};
  std::vector<std::uint8_t> bytes = journal_header_bytes(identity_, name, true, wall_us(), kSecret);
  const std::uint64_t position = bytes.size();
  JournalGroupLayout group{};
  append_bytes(bytes, &group, sizeof group);
  for (std::uint32_t shard = 0; shard < ids.size(); ++shard) {
    keep_newest_ids(ids[shard], ids_max_);
    std::span<const JournalIdLayout> left(ids[shard]);
    while (!left.empty()) {
      const auto some = left.first(std::min(left.size(), kIdsPerRecord));
      left = left.subspan(some.size());
      JournalRecordLayout record{};
      record.sequence = some.back().sequence;
      record.shard = shard;
      record.payload_bytes = static_cast<std::uint32_t>(some.size_bytes());
      record.kind = JournalKind::kIds;
      append_bytes(bytes, &record, sizeof record);
      append_bytes(bytes, some.data(), some.size_bytes());
      ++group.record_count;
    }
  }
  group.magic = kJournalGroupMagic;
  group.epoch = name.epoch;
  group.number = name.number;
  group.position = position;
  group.records_bytes = bytes.size() - position - sizeof group;
  const std::span<const std::uint8_t> records =
      std::span<const std::uint8_t>(bytes).subspan(position + sizeof group);
  group.checksum = journal_group_checksum(kSecret, group, records);
  std::memcpy(bytes.data() + position, &group, sizeof group);
  bytes.resize(round_up(bytes.size(), kJournalBlockBytes));
  return disk_.replace(name.text(), bytes);
}

/// Into the newest of them; the others go once that is synced. Who dies in between leaves ids
/// twice.
Status JournalPruner::merge() {
  Ids ids(identity_.shard_count);
  for (const JournalSegmentName& name : condensed_) {
    bool was_condensed = false;
    if (Status read = read_ids(name, ids, was_condensed); !read) return read;
  }
  if (Status written = write_ids(condensed_.back(), ids); !written) return written;
  CRASH_POINT("journal.after_merge");
  while (condensed_.size() > 1) {
    if (Status removed = disk_.remove(condensed_.front().text()); !removed) return removed;
    condensed_.erase(condensed_.begin());
  }
  return Done{};
}

}  // namespace deja
