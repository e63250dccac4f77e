// Reads one segment of the journal: every record of every group that is whole, in order; and says
// where it is damaged (workers/journal/journal_layout.h, 1 to 3). Start-up code; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "workers/journal/journal_disk.h"
#include "workers/journal/journal_layout.h"

namespace deja {

/// What a segment turned out to be.
struct JournalSegmentFacts {
  JournalSegmentName name;
  bool header_good = false;  ///< else what follows is about groups alone
  JournalHeaderLayout header{};
  std::string catalog;
  std::uint64_t groups = 0;
  std::uint64_t end_position = 0;  ///< behind the last good group
  std::uint64_t records = 0;
  /// Bytes that are no good group although a good one follows, as sentences; a broken header with a
  /// good group behind it is one too.
  std::vector<std::string> damages;
};

/// `header` is that of the segment, `position` that of the payload in the file.
using JournalVisit =
    std::function<void(const JournalHeaderLayout& header, const JournalRecordLayout& record,
                       std::span<const std::uint8_t> payload, std::uint64_t position)>;

/// An error is one of reading the file. What can't be a segment at all has no good header, no group
/// and no damage: a segment whose making was cut off.
[[nodiscard]] Result<JournalSegmentFacts> read_journal_segment(JournalDisk& disk,
                                                               JournalSegmentName name,
                                                               const JournalVisit& visit);

/// The same of bytes in memory.
[[nodiscard]] JournalSegmentFacts read_journal_bytes(std::span<const std::uint8_t> bytes,
                                                     JournalSegmentName name,
                                                     const JournalVisit& visit);

}  // namespace deja
