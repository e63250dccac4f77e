// Segments of a journal, put together from an input with the checksums that good ones have, so that
// what stands in them is believed; some are spoiled on purpose. Beside the bytes: which records a
// reader must find. Test code; one thread.
//
//   segment  flags │ catalog_size catalog, where flags say so │ group_count │ groups
//   group    flags │ record_count │ records │ u32, where flags say that more are said to be there
//   record   kind │ shard │ sequence (255: the next 8 bytes) │ payload_size │ payload
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"
#include "tests/support/test_event.h"
#include "workers/journal/journal_layout.h"
#include "workers/journal/journal_writer.h"

namespace deja::fuzz {

inline constexpr std::uint32_t kShards = 4;

/// One record as it was put into a segment.
struct Put {
  JournalRecordLayout record{};
  std::uint32_t shard_count = kShards;  ///< as its segment's header says
  std::vector<std::uint8_t> payload;
};

struct MadeSegment {
  std::vector<std::uint8_t> bytes;
  std::vector<Put> readable;  ///< of its whole groups; none behind a broken header
  bool whole = true;          ///< nothing in it was spoiled
  bool ours = true;           ///< its header does not say otherwise
  bool other_shards = false;  ///< its header is good, and counts them otherwise
  bool condensed = false;     ///< it says that it holds ids alone
};

class SegmentMaker {
 public:
  enum SegmentFlags : std::uint8_t {
    kCondensed = 1,
    kOtherAppliance = 2,
    kOtherShards = 4,
    kBrokenHeader = 8,
    kCatalogOfInput = 16,
  };
  enum GroupFlags : std::uint8_t {
    kBrokenChecksum = 1,
    kElsewhere = 2,
    kMoreRecordsSaid = 4,
    kHoleBefore = 8,
  };

  explicit SegmentMaker(std::string catalog) : catalog_(std::move(catalog)) {}

  [[nodiscard]] MadeSegment make(JournalSegmentName name, Input& input) const {
    MadeSegment segment;
    const auto flags = input.take<std::uint8_t>();
    JournalIdentity identity{(flags & kOtherAppliance) != 0 ? "others" : "test",
                             (flags & kOtherShards) != 0 ? kShards + 1 : kShards, catalog_};
    if ((flags & kCatalogOfInput) != 0) {
      const auto bytes = input.take_bytes(input.take<std::uint8_t>());
      identity.catalog.assign(bytes.begin(), bytes.end());
    }
    segment.bytes =
        journal_header_bytes(identity, name, (flags & kCondensed) != 0, 1'000'000, kSecret);
    const bool header_good = (flags & kBrokenHeader) == 0;
    if (!header_good) segment.bytes[offsetof(JournalHeaderLayout, checksum)] ^= 1U;
    segment.ours = !header_good || (flags & kOtherAppliance) == 0;
    segment.other_shards = header_good && identity.shard_count != kShards;
    segment.whole = header_good;
    segment.condensed = header_good && (flags & kCondensed) != 0;
    for (std::uint8_t groups = input.take<std::uint8_t>() % 4; groups > 0; --groups) {
      const bool good = put_group(name, identity.shard_count, input, header_good, segment);
      segment.whole = segment.whole && good;
    }
    return segment;
  }

 private:
  static constexpr std::uint64_t kSecret[2] = {1, 2};

  static void append(std::vector<std::uint8_t>& bytes, const void* from, std::size_t size) {
    const auto* first = static_cast<const std::uint8_t*>(from);
    bytes.insert(bytes.end(), first, first + size);
  }

  static Put put_of(Input& input) {
    Put put;
    put.record.kind = static_cast<JournalKind>(input.take<std::uint8_t>() % 8);
    const auto shard = input.take<std::uint8_t>();
    put.record.shard = shard < 250 ? shard % kShards : shard;
    put.record.sequence = input.take<std::uint8_t>();
    if (put.record.sequence == 255) put.record.sequence = input.take<std::uint64_t>();
    const auto bytes = input.take_bytes(input.take<std::uint8_t>());
    put.payload.assign(bytes.begin(), bytes.end());
    if (put.record.kind == JournalKind::kEvent && !bytes.empty() && bytes.size() <= 8) {
      // Too short to be one: a good event instead, whose id is what the input says.
      TestEvent event{"user-" + std::to_string(put.record.shard)};
      event.kinds = 7;
      event.values = {{2, 0, ValueKind::kNumber, 2.5}, {0, 0, ValueKind::kText, 0, "p1"}};
      for (const std::uint8_t byte : bytes) event.id_low = event.id_low << 8U | byte;
      put.payload = event.bytes(kShards);
    }
    put.record.payload_bytes = static_cast<std::uint32_t>(put.payload.size());
    return put;
  }

  /// False: it was spoiled.
  static bool put_group(JournalSegmentName name, std::uint32_t shard_count, Input& input,
                        bool header_good, MadeSegment& segment) {
    const auto flags = input.take<std::uint8_t>();
    std::vector<std::uint8_t>& bytes = segment.bytes;
    if ((flags & kHoleBefore) != 0) bytes.resize(bytes.size() + kJournalBlockBytes);
    std::vector<Put> puts;
    for (std::uint8_t records = input.take<std::uint8_t>() % 8; records > 0; --records) {
      puts.push_back(put_of(input));
      puts.back().shard_count = shard_count;
    }
    const std::uint64_t position = bytes.size();
    JournalGroupLayout group{};
    append(bytes, &group, sizeof group);
    for (const Put& put : puts) {
      append(bytes, &put.record, sizeof put.record);
      append(bytes, put.payload.data(), put.payload.size());
      bytes.resize(round_up(bytes.size(), 8));
    }
    group.magic = kJournalGroupMagic;
    group.epoch = name.epoch;
    group.number = name.number;
    group.record_count = static_cast<std::uint32_t>(puts.size());
    if ((flags & kMoreRecordsSaid) != 0) group.record_count += 1 + input.take<std::uint32_t>() / 2;
    group.position = position + ((flags & kElsewhere) != 0 ? kJournalBlockBytes : 0);
    group.records_bytes = bytes.size() - position - sizeof group;
    group.checksum =
        journal_group_checksum(kSecret, group, std::span(bytes).subspan(position + sizeof group));
    if ((flags & kBrokenChecksum) != 0) group.checksum ^= 1U;
    std::memcpy(bytes.data() + position, &group, sizeof group);
    bytes.resize(round_up(bytes.size(), kJournalBlockBytes));
    // A shard that its segment does not have: neither it nor what follows in its group is believed.
    const auto stranger = std::find_if(
        puts.begin(), puts.end(), [&](const Put& put) { return put.record.shard >= shard_count; });
    if (header_good && (flags & (kBrokenChecksum | kElsewhere)) == 0) {
      segment.readable.insert(segment.readable.end(), puts.begin(), stranger);
    }
    return (flags & 0x0fU) == 0 && stranger == puts.end();
  }

  std::string catalog_;
};

}  // namespace deja::fuzz
