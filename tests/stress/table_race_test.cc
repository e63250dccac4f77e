// Readers against a writer in threads, for ThreadSanitizer too. tests/shm/table/process_test.cc has
// the same in processes.
#include <gtest/gtest.h>

#include <thread>

#include "tests/shm/table/race.h"

namespace deja {
namespace {

using namespace table_test;

/// Runs until `limit_ms` have passed or something was wrong.
template <typename Looks>
void run(RaceCounts& counts, int limit_ms) {
  const std::uint64_t seed = test_seed();
  const Race race;
  const ShardMemory memory(race.geometry());
  race.insert_stable(memory);
  std::thread writer([&] { race.write(memory, counts, seed); });
  std::thread readers[] = {
      std::thread([&] { race.read<Looks>(memory, counts, seed + 1); }),
      std::thread([&] { race.read<Looks>(memory, counts, seed + 2); }),
  };
  const std::int64_t end_ns = steady_ns() + std::int64_t{limit_ms} * 1'000'000;
  while (steady_ns() < end_ns && counts.wrong() == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  counts.stop = true;
  writer.join();
  for (std::thread& reader : readers) reader.join();
}

TEST(TableRace, ReadersNeverSeeATornOrAMissingProfile) {
  RaceCounts counts;
  run<WholeLooks>(counts, 1500);
  EXPECT_EQ(counts.torn, 0U);
  EXPECT_EQ(counts.lost, 0U);
  EXPECT_EQ(counts.backwards, 0U);
  EXPECT_EQ(counts.uncounted, 0U);
  EXPECT_GT(counts.writes, 0U);
  EXPECT_GT(counts.reads, counts.busy);
}

TEST(TableRace, ReadersWithoutTheSecondLookAtTheEntryLoseUsers) {
  RaceCounts counts;
  run<WithoutEntryAgain>(counts, 10000);
  EXPECT_GT(counts.wrong(), 0U);
}

TEST(TableRace, ReadersWithoutTheSecondLookAtTheStampSeeTornProfiles) {
  RaceCounts counts;
  run<WithoutStampAgain>(counts, 10000);
  EXPECT_GT(counts.wrong(), 0U);
}

}  // namespace
}  // namespace deja
