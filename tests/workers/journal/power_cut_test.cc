// The power goes at every step of the journal, and the disk keeps, loses or tears any sector that
// was not synced. DEJA_POWER_CUTS sets how many seeds are tried (10,000 and more in the long form).
#include <cstdlib>

#include "tests/support/seed.h"
#include "tests/workers/journal/journal_harness.h"

namespace deja {
namespace {

std::uint64_t seed_count() {
  const char* given = std::getenv("DEJA_POWER_CUTS");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 300;
}

TEST(PowerCut, WhatWasDurableIsThereAndNothingElseIsEverFound) {
  const std::uint64_t first_seed = test_seed();
  std::uint64_t cuts = 0;
  for (std::uint64_t at = 0; at < seed_count(); ++at) {
    SCOPED_TRACE("seed " + std::to_string(first_seed + at));
    FakeDisk disk(first_seed + at);
    JournalHarness journal(disk, first_seed + at);
    for (int life = 0; life < 6; ++life) {
      try {
        disk.cut_power_after(1 + journal.random()() % 60);
        ASSERT_TRUE(journal.begin().ok());
        for (;;) {
          journal.append_some();
          journal.tick();
          if (journal.random()() % 4 == 0) {
            ASSERT_TRUE(journal.prune().ok());
          }
        }
      } catch (const PowerCut&) {
        ++cuts;
      }
      disk.restore_power();
      ASSERT_TRUE(journal.recover());
    }
  }
  std::printf("%llu power cuts\n", static_cast<unsigned long long>(cuts));
}

TEST(PowerCut, IdsOutliveACutWhileRoomIsMade) {
  const std::uint64_t first_seed = test_seed();
  for (std::uint64_t at = 0; at < seed_count(); ++at) {
    SCOPED_TRACE("seed " + std::to_string(first_seed + at));
    FakeDisk disk(first_seed + at);
    JournalHarness journal(disk, first_seed + at);
    journal.limits().segment_bytes = 8 << 10;  // each group in a segment of its own
    for (int life = 0; life < 3; ++life) {
      try {
        disk.cut_power_after(60 + journal.random()() % 200);
        ASSERT_TRUE(journal.begin().ok());
        for (;;) {
          journal.append_some();
          journal.tick();
          ASSERT_TRUE(journal.prune().ok());
        }
      } catch (const PowerCut&) {
      }
      disk.restore_power();
      ASSERT_TRUE(journal.recover());
    }
  }
}

TEST(PowerCut, AFailedWriteIsNotTriedAgainOnItsSegment) {
  FakeDisk disk(1);
  JournalHarness journal(disk, 1);
  ASSERT_TRUE(journal.begin().ok());
  const JournalSegmentName first = journal.writer().segment();
  journal.append_some();
  disk.fail_after(1, EIO);
  while (!disk.failed() || !journal.writer().idle()) journal.tick();
  EXPECT_TRUE(first < journal.writer().segment());
}

TEST(PowerCut, ARefusedCallAtAnyStepMakesNoFalseAck) {
  const std::uint64_t first_seed = test_seed();
  for (const int error_number : {EIO, ENOSPC}) {
    for (std::uint64_t step = 1; step < 80; ++step) {
      SCOPED_TRACE(std::string(std::strerror(error_number)) + " at step " + std::to_string(step));
      FakeDisk disk(first_seed + step);
      JournalHarness journal(disk, first_seed + step);
      disk.fail_after(step, error_number);
      try {
        while (!journal.begin().ok()) {
        }
        for (int pass = 0; pass < 80; ++pass) {
          journal.append_some();
          journal.tick();
          (void)journal.prune().ok();
        }
        // The next group goes into a new segment, and the appliance goes on.
        for (int pass = 0; pass < 20; ++pass) journal.tick();
        EXPECT_EQ(journal.writer().state(), JournalState::kWriting);
        disk.cut_power_after(1);
        journal.append_some();
        for (;;) journal.tick();
      } catch (const PowerCut&) {
      }
      EXPECT_TRUE(disk.failed());
      disk.restore_power();
      ASSERT_TRUE(journal.recover());
    }
  }
}

TEST(PowerCut, AFullDiskIsSaidAndHoldsEverythingBackUntilItHasRoom) {
  FakeDisk disk(1);
  JournalHarness journal(disk, 1);
  ASSERT_TRUE(journal.begin().ok());
  disk.fill(ENOSPC);
  journal.append_some();
  for (int pass = 0; pass < 50; ++pass) journal.tick();
  EXPECT_EQ(journal.writer().state(), JournalState::kFull);
  EXPECT_NE(journal.writer().problem().find("Free some space"), std::string::npos);
  EXPECT_EQ(journal.durable(), std::vector<std::uint64_t>(kHarnessShards));
  disk.empty();
  for (int pass = 0; pass < 50; ++pass) journal.tick();
  EXPECT_EQ(journal.writer().state(), JournalState::kWriting);
  EXPECT_TRUE(journal.writer().idle());
  EXPECT_NE(journal.durable(), std::vector<std::uint64_t>(kHarnessShards));
  EXPECT_TRUE(journal.recover());
}

TEST(PowerCut, ALifeThatBeganOnAFullDiskIsWrittenOnceThereIsRoomWithoutAnythingToWrite) {
  FakeDisk disk(1);
  JournalHarness journal(disk, 1);
  disk.fill(ENOSPC);
  EXPECT_FALSE(journal.begin().ok());
  EXPECT_EQ(journal.writer().state(), JournalState::kFull);
  disk.empty();
  ASSERT_TRUE(journal.writer().begin(1).ok());
  EXPECT_EQ(journal.writer().state(), JournalState::kWriting);
  EXPECT_EQ(journal.writer().problem(), "");
}

TEST(PowerCut, AppendIsRefusedOnceTooMuchWaits) {
  FakeDisk disk(1);
  JournalHarness journal(disk, 1);
  ASSERT_TRUE(journal.begin().ok());
  disk.fill(EIO);
  const std::vector<std::uint8_t> payload(1 << 20);
  JournalRecordLayout record{};
  record.kind = JournalKind::kEvent;
  record.payload_bytes = static_cast<std::uint32_t>(payload.size());
  std::uint64_t taken = 0;
  while (journal.writer().append(record, payload) && taken < 100) {
    ++taken;
    journal.tick();
  }
  EXPECT_LE(taken, 2 * (JournalWriter::kCollectedBytesMax >> 20U));
}

}  // namespace
}  // namespace deja
