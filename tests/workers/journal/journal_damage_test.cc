// Bits that turned around on the disk: found, named, and fatal only where nothing else has what
// they hid.
#include "tests/workers/journal/journal_harness.h"

namespace deja {
namespace {

/// A journal of several groups, all durable.
void write_some(JournalHarness& journal, int groups) {
  ASSERT_TRUE(journal.begin().ok());
  for (int at = 0; at < groups; ++at) {
    journal.append_some();
    while (!journal.writer().idle()) journal.tick();
  }
}

struct Seen {
  std::uint64_t records = 0;
  JournalSegmentFacts facts;
};
Seen read_all(const std::vector<std::uint8_t>& bytes, JournalSegmentName name) {
  Seen seen;
  seen.facts = read_journal_bytes(bytes, name,
                                  [&](const auto&, const auto&, auto, auto) { ++seen.records; });
  return seen;
}

Result<JournalIndex> read_index(
    FakeDisk& disk, const char* appliance,
    const std::vector<std::uint64_t>& watermarks = std::vector<std::uint64_t>(kHarnessShards)) {
  return JournalIndex::build(disk, appliance, StoredFloor(watermarks), kHarnessShards, kKeyBytesMax,
                             kHarnessIds);
}

TEST(JournalDamage, AnyFlippedBitOfAGroupButTheLastIsNamed) {
  FakeDisk disk(7);
  JournalHarness journal(disk, 7);
  write_some(journal, 6);
  const JournalSegmentName name = journal.writer().segment();
  const std::vector<std::uint8_t> good = disk.bytes(name.text());
  const Seen whole = read_all(good, name);
  ASSERT_EQ(whole.facts.groups, 6U);
  ASSERT_TRUE(whole.facts.damages.empty());
  std::uint64_t last_group = 0;
  for (std::uint64_t at = 0; at + 8 <= good.size(); at += kJournalBlockBytes) {
    if (std::memcmp(good.data() + at, &kJournalGroupMagic, 8) == 0) last_group = at;
  }
  std::uint64_t position = journal_groups_begin(whole.facts.header.catalog_bytes);
  std::uint64_t flips = 0;
  while (position < last_group) {
    JournalGroupLayout group;
    std::memcpy(&group, good.data() + position, sizeof group);
    const std::uint64_t end = position + sizeof group + group.records_bytes;
    for (std::uint64_t bit = position * 8; bit < end * 8; bit += 13) {
      std::vector<std::uint8_t> bad = good;
      bad[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      const Seen seen = read_all(bad, name);
      ASSERT_EQ(seen.facts.damages.size(), 1U) << "bit " << bit;
      ASSERT_NE(seen.facts.damages[0].find(name.text()), std::string::npos);
      ASSERT_EQ(seen.facts.groups, 5U);
      ++flips;
    }
    position = round_up(end, kJournalBlockBytes);
  }
  EXPECT_GT(flips, 100U);
}

TEST(JournalDamage, ABrokenHeaderIsNamedWhereGroupsStandBehindIt) {
  FakeDisk disk(7);
  JournalHarness journal(disk, 7);
  write_some(journal, 3);
  const JournalSegmentName name = journal.writer().segment();
  for (std::uint64_t byte = 0; byte < sizeof(JournalHeaderLayout); ++byte) {
    std::vector<std::uint8_t> bad = disk.bytes(name.text());
    bad[byte] ^= 0x10U;
    const Seen seen = read_all(bad, name);
    ASSERT_EQ(seen.facts.damages.size(), 1U) << "byte " << byte;
    ASSERT_EQ(seen.records, 0U);
  }
}

TEST(JournalDamage, WhatNothingElseHasIsAGapWithItsSequences) {
  FakeDisk disk(3);
  JournalHarness journal(disk, 3);
  write_some(journal, 6);
  const std::uint64_t in_first_group = (journal_groups_begin(7) + sizeof(JournalGroupLayout)) * 8;
  disk.flip_bit(journal.writer().segment().text(), in_first_group);
  const auto index = read_index(disk, "test");
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(index->damages().size(), 1U);
  const std::vector<std::string>& gaps = index->gaps();
  ASSERT_FALSE(gaps.empty());
  EXPECT_NE(gaps[0].find("the events 1 to "), std::string::npos) << gaps[0];
  // What the store has, nobody misses.
  EXPECT_TRUE(read_index(disk, "test", journal.durable())->gaps().empty());
}

TEST(JournalDamage, WhatAnotherSegmentHasIsNotMissed) {
  FakeDisk disk(3);
  std::vector<std::pair<JournalRecordLayout, std::vector<std::uint8_t>>> sent;
  JournalLimits limits;
  limits.segment_bytes = 64 << 10;
  for (std::uint64_t epoch = 1; epoch <= 2; ++epoch) {
    JournalWriter writer(disk, JournalHarness::identity(), limits);
    ASSERT_TRUE(writer.begin(epoch).ok());
    for (std::uint64_t sequence = 1; sequence <= 3; ++sequence) {
      TestEvent event;
      event.key = "u" + std::to_string(sequence);
      const std::vector<std::uint8_t> bytes = event.bytes(kHarnessShards);
      JournalRecordLayout record{};
      record.sequence = sequence;
      record.kind = JournalKind::kEvent;
      record.payload_bytes = static_cast<std::uint32_t>(bytes.size());
      ASSERT_TRUE(writer.append(record, bytes));
      do writer.tick(0, true);
      while (!writer.idle());
    }
  }
  const JournalSegmentName first{1, 0};
  disk.flip_bit(first.text(), (journal_groups_begin(7) + sizeof(JournalGroupLayout)) * 8);
  const auto index = read_index(disk, "test");
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(index->damages().size(), 1U);
  EXPECT_TRUE(index->gaps().empty());
  EXPECT_EQ(index->entries(0).size(), 3U);
}

TEST(JournalDamage, AnotherAppliancesJournalIsRefusedWithWhatToDo) {
  FakeDisk disk(3);
  JournalHarness journal(disk, 3);
  write_some(journal, 1);
  const auto other = read_index(disk, "other");
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.error().message().find("directory of its own"), std::string::npos);
}

}  // namespace
}  // namespace deja
