#include "workers/journal/journal_reader.h"

#include <cstring>

namespace deja {
namespace {

/// A group at `position` that is whole, or nothing.
bool read_group(std::span<const std::uint8_t> bytes, std::uint64_t position,
                JournalSegmentName name, const JournalHeaderLayout& header,
                JournalGroupLayout& group) {
  if (position + sizeof group > bytes.size()) return false;
  std::memcpy(&group, bytes.data() + position, sizeof group);
  return group.magic == kJournalGroupMagic && group.epoch == name.epoch &&
         group.number == name.number && group.position == position &&
         group.records_bytes <= bytes.size() - position - sizeof group &&
         journal_group_checksum(header.secret, group,
                                bytes.subspan(position + sizeof group, group.records_bytes)) ==
             group.checksum;
}

bool read_header(std::span<const std::uint8_t> bytes, JournalSegmentName name,
                 JournalSegmentFacts& facts) {
  JournalHeaderLayout& header = facts.header;
  if (bytes.size() < kJournalBlockBytes) return false;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kJournalMagic || header.version != kJournalVersion ||
      header.epoch != name.epoch || header.number != name.number || header.shard_count == 0 ||
      header.shard_count > kJournalShardsMax ||
      header.catalog_bytes > bytes.size() - kJournalBlockBytes) {
    return false;
  }
  const std::string_view catalog(reinterpret_cast<const char*>(bytes.data()) + kJournalBlockBytes,
                                 header.catalog_bytes);
  if (journal_header_checksum(header, catalog) != header.checksum) return false;
  header.appliance[sizeof header.appliance - 1] = '\0';
  facts.catalog = catalog;
  return true;
}

/// Its checksum was right, so a record that does not fit is a fault of whoever wrote it.
bool visit_records(const JournalHeaderLayout& header, const JournalGroupLayout& group,
                   std::span<const std::uint8_t> records, std::uint64_t position,
                   const JournalVisit& visit) {
  for (std::uint32_t at = 0; at < group.record_count; ++at) {
    JournalRecordLayout record;
    if (records.size() < sizeof record) return false;
    std::memcpy(&record, records.data(), sizeof record);
    const std::uint64_t record_bytes = journal_record_bytes(record.payload_bytes);
    if (record_bytes > records.size() || record.shard >= header.shard_count) return false;
    visit(header, record, records.subspan(sizeof record, record.payload_bytes),
          position + sizeof record);
    records = records.subspan(record_bytes);
    position += record_bytes;
  }
  return records.empty();
}

std::uint64_t count_group_magics(std::span<const std::uint8_t> bytes) {
  std::uint64_t count = 0;
  for (std::uint64_t at = kJournalBlockBytes; at + 8 <= bytes.size(); at += kJournalBlockBytes) {
    count += std::memcmp(bytes.data() + at, &kJournalGroupMagic, 8) == 0 ? 1 : 0;
  }
  return count;
}

std::string between(const JournalSegmentName& name, std::uint64_t begin, std::uint64_t end) {
  return "bytes " + std::to_string(begin) + " to " + std::to_string(end) + " of " + name.text() +
         " are damaged";
}

}  // namespace

JournalSegmentFacts read_journal_bytes(std::span<const std::uint8_t> bytes, JournalSegmentName name,
                                       const JournalVisit& visit) {
  JournalSegmentFacts facts;
  facts.name = name;
  facts.header_good = read_header(bytes, name, facts);
  if (!facts.header_good) {
    // Groups are only written behind a header that was synced, so one that was never whole has
    // none.
    const std::uint64_t lost = count_group_magics(bytes);
    if (lost != 0) {
      facts.damages.push_back("the header of " + name.text() + " is damaged, so its " +
                              std::to_string(lost) + " groups can't be read");
    }
    return facts;
  }
  std::uint64_t position = journal_groups_begin(facts.header.catalog_bytes);
  std::uint64_t good_until = position;
  while (position < bytes.size()) {
    JournalGroupLayout group{};
    if (!read_group(bytes, position, name, facts.header, group)) {
      position += kJournalBlockBytes;
      continue;
    }
    if (good_until != position) facts.damages.push_back(between(name, good_until, position));
    const std::uint64_t records_at = position + sizeof group;
    if (!visit_records(facts.header, group, bytes.subspan(records_at, group.records_bytes),
                       records_at, visit)) {
      facts.damages.push_back("the group at byte " + std::to_string(position) + " of " +
                              name.text() +
                              " has records that do not fit into it or their segment");
    }
    ++facts.groups;
    facts.records += group.record_count;
    position += round_up(sizeof group + group.records_bytes, kJournalBlockBytes);
    good_until = position;
  }
  facts.end_position = good_until;
  return facts;
}

Result<JournalSegmentFacts> read_journal_segment(JournalDisk& disk, JournalSegmentName name,
                                                 const JournalVisit& visit) {
  const std::string file = name.text();
  const Result<std::uint64_t> size = disk.data_bytes(file);
  if (!size) return size.error();
  std::vector<std::uint8_t> bytes(*size);
  if (Status read = disk.read(file, 0, bytes); !read) return read.error();
  return read_journal_bytes(bytes, name, visit);
}

}  // namespace deja
