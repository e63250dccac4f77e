#include "workers/journal/journal_writer.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "shm/base/check.h"
#include "shm/base/clock.h"
#include "shm/base/crash_point.h"

namespace deja {

std::vector<std::uint8_t> journal_header_bytes(const JournalIdentity& identity,
                                               JournalSegmentName segment, bool condensed,
                                               std::int64_t created_us,
                                               const std::uint64_t (&secret)[2]) {
  JournalHeaderLayout header{};
  header.magic = kJournalMagic;
  header.version = kJournalVersion;
  header.shard_count = identity.shard_count;
  header.epoch = segment.epoch;
  header.number = segment.number;
  header.condensed = condensed ? 1 : 0;
  header.catalog_bytes = identity.catalog.size();
  header.created_us = created_us;
  header.secret[0] = secret[0];
  header.secret[1] = secret[1];
  std::memcpy(header.appliance, identity.appliance.data(),
              std::min(identity.appliance.size(), sizeof header.appliance - 1));
  header.checksum = journal_header_checksum(header, identity.catalog);
  std::vector<std::uint8_t> bytes(journal_groups_begin(identity.catalog.size()));
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + kJournalBlockBytes, identity.catalog.data(), identity.catalog.size());
  return bytes;
}

Status JournalWriter::begin(std::uint64_t epoch) {
  CHECK(!segment_open_ && (segment_.epoch == 0 || segment_.epoch == epoch));
  segment_ = {epoch, segment_.epoch == 0 ? 0 : segment_.number + 1};
  if (!make_segment(steady_ns())) return Error{problem_, 0, {}};
  // Nothing waits for this segment, so no group's end will say that a full disk has room again; and
  // while it is called full, ingest lets nothing durable in that could become one.
  state_ = JournalState::kWriting;
  problem_.clear();
  return Done{};
}

void JournalWriter::clear(Group& group) {
  group.bytes.resize(sizeof(JournalGroupLayout));
  group.records = 0;
  group.since_ns = 0;
}

bool JournalWriter::append(const JournalRecordLayout& record,
                           std::span<const std::uint8_t> payload) {
  CHECK(record.payload_bytes == payload.size());
  if (collecting_.records == 0) clear(collecting_);
  std::vector<std::uint8_t>& bytes = collecting_.bytes;
  const std::size_t at = bytes.size();
  const std::size_t record_bytes = journal_record_bytes(payload.size());
  if (collecting_.records != 0 && at + record_bytes > kCollectedBytesMax) return false;
  // Appended piece by piece: a resize() would write zeros first.
  const auto* head = reinterpret_cast<const std::uint8_t*>(&record);
  bytes.insert(bytes.end(), head, head + sizeof record);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  bytes.resize(at + record_bytes);
  ++collecting_.records;
  return true;
}

void JournalWriter::tick(std::int64_t now_ns, bool at_once) {
  if (submitted_) {
    const std::optional<int> result = disk_.result();
    if (!result) return;
    submitted_ = false;
    if (*result == 0) {
      CRASH_POINT("journal.after_sync");  // @G: the journal ahead of the keeper's positions
      position_ += writing_.bytes.size();
      written_bytes_ += writing_.bytes.size();
      durable_ = last_begun_;
      under_way_ = false;
      state_ = JournalState::kWriting;
      problem_.clear();
    } else {
      // What the disk has of it can't be known: never again on this segment.
      segment_open_ = false;
      fail(*result, "write the journal");
      retry_at_ns_ = now_ns;
    }
  }
  if (!under_way_) {
    if (collecting_.records == 0) return;
    if (collecting_.since_ns == 0) collecting_.since_ns = now_ns;
    const bool due = at_once || collecting_.bytes.size() >= limits_.group_bytes_due ||
                     now_ns - collecting_.since_ns >= limits_.group_commit_ns;
    if (!due) return;
    std::swap(collecting_, writing_);
    clear(collecting_);
    // Padding to the block is not part of the group.
    writing_.records_bytes = writing_.bytes.size() - sizeof(JournalGroupLayout);
    writing_.bytes.resize(round_up(writing_.bytes.size(), kJournalBlockBytes));
    under_way_ = true;
    ++last_begun_;
  }
  if (now_ns < retry_at_ns_) return;
  if (segment_open_ && position_ + writing_.bytes.size() > end_) segment_open_ = false;
  if (!segment_open_) {
    ++segment_.number;
    if (!make_segment(now_ns)) return;
  }
  begin_group();
}

void JournalWriter::wait(std::int64_t bound_ns) {
  if (submitted_) disk_.wait(bound_ns);
}

void JournalWriter::begin_group() {
  JournalGroupLayout group{};
  group.magic = kJournalGroupMagic;
  group.epoch = segment_.epoch;
  group.number = segment_.number;
  group.record_count = writing_.records;
  group.position = position_;
  group.records_bytes = writing_.records_bytes;
  group.checksum = journal_group_checksum(
      secret_, group, {writing_.bytes.data() + sizeof group, writing_.records_bytes});
  std::memcpy(writing_.bytes.data(), &group, sizeof group);
  submitted_ = true;
  disk_.begin_append(position_, writing_.bytes);
  CRASH_POINT("journal.after_begin");
}

bool JournalWriter::make_segment(std::int64_t now_ns) {
  if (getrandom(secret_, sizeof secret_, 0) != sizeof secret_) {
    fail(errno, "draw a secret for the journal");
    retry_at_ns_ = now_ns + limits_.retry_ns;
    return false;
  }
  const std::vector<std::uint8_t> first =
      journal_header_bytes(identity_, segment_, false, wall_us(), secret_);
  const std::uint64_t bytes = std::max<std::uint64_t>(
      limits_.segment_bytes, first.size() + writing_.bytes.size() + kJournalBlockBytes);
  const Status made = disk_.create(segment_.text(), bytes, first);
  CRASH_POINT("journal.after_create");
  if (!made) {
    fail(made.error().error_number, made.error().operation);
    retry_at_ns_ = now_ns + limits_.retry_ns;
    return false;
  }
  segment_open_ = true;
  position_ = first.size();
  end_ = bytes;
  return true;
}

void JournalWriter::fail(int error_number, const std::string& what) {
  ++failures_;
  const bool full = error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
  state_ = full ? JournalState::kFull : JournalState::kFailed;
  problem_ = Error{what, error_number,
                   full ? "Free some space there: the appliance goes on by itself"
                        : "See to the disk of [durability] directory: the appliance goes on by "
                          "itself once it can write there"}
                 .message();
}

}  // namespace deja
