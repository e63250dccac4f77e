// The way of an event allocates nothing: the allocator's own count stands still over a million
// events, duplicates and broken records and over a million passes that find nothing.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>

#include "tests/support/worker_world.h"

// jemalloc's; not there in a build for a sanitizer, which brings an allocator of its own.
extern "C" int mallctl(const char* name, void* old_value, std::size_t* old_bytes, void* new_value,
                       std::size_t new_bytes) __attribute__((weak));

namespace deja {
namespace {

std::uint64_t allocated_bytes() {
  std::uint64_t bytes = 0;
  std::size_t size = sizeof bytes;
  CHECK(mallctl("thread.allocated", &bytes, &size, nullptr, 0) == 0);
  return bytes;
}

TEST(WorkerAllocation, AMillionEventsAllocateNothing) {
  if (mallctl == nullptr) GTEST_SKIP() << "jemalloc is not in this build";
  WorkerWorld world;
  Worker& worker = world.start_fresh();
  std::vector<std::vector<std::uint8_t>> records;
  for (int user = 0; user < 100; ++user) {
    records.push_back(view_of("user-" + std::to_string(user)).bytes(4));
    records.push_back(order_of("user-" + std::to_string(user), user).bytes(4));
    records.push_back(view_of("user-" + std::to_string(user), 1).bytes(4));
  }
  records.push_back(std::vector<std::uint8_t>(64));
  auto* drained = &keeper_logs(world.fixture.file("keeper").data())[0].drained_position.value;
  auto* log = world.fixture.file("log-0").at<RingHeaderLayout>();
  auto* heard = &world.fixture.file("ingest-0").at<PositionLayout>()[0].value;
  auto* verdicts = world.fixture.file("verdict-0-0").at<RingHeaderLayout>();

  const std::uint64_t before = allocated_bytes();
  EXPECT_GT(before, 0U) << "the counter counts";
  std::uint64_t taken = 0;
  for (std::size_t next = 0; taken < 1'000'000;) {
    for (int count = 0; count < 100; ++count) {
      if (world.ingest.commit(records[next]) == 0) break;
      next = (next + 1) % records.size();
    }
    world.ingest.publish();
    taken += worker.duty_cycle();
    // What keeper and ingest would have taken by now.
    drained->store(log->producer_position.load());
    heard->store(verdicts->producer_position.load());
  }
  for (int pass = 0; pass < 1'000'000; ++pass) taken += worker.duty_cycle();
  EXPECT_EQ(allocated_bytes(), before);
  EXPECT_EQ(world.counter(kAppliedCounter) + world.counter(kDuplicateCounter) +
                world.counter(kDeadCounter),
            taken);
  EXPECT_GT(world.counter(kDuplicateCounter), 0U);
  EXPECT_GT(world.counter(kDeadCounter), 0U);
}

TEST(WorkerAllocation, EvictingAndMergingAllocateNothing) {
  if (mallctl == nullptr) GTEST_SKIP() << "jemalloc is not in this build";
  TestAppliance appliance = TestAppliance::small();
  appliance.profiles_max = 12;
  appliance.shard_count = 1;
  WorkerWorld world(appliance);
  Worker& worker = world.start_fresh();
  std::vector<std::vector<std::uint8_t>> records;
  std::vector<std::vector<std::uint8_t>> answers;
  world.ingest.send(view_of("user-0"));
  world.run_dry();
  for (int number = 0; number < 200; ++number) {
    const std::string user = "user-" + std::to_string(number);
    records.push_back(view_of(user).bytes(1));
    // As if the store had user-0's profile for everybody.
    std::vector<std::uint64_t> block = world.profile("user-0").block;
    BlockHeaderLayout header;
    std::memcpy(&header, block.data(), sizeof header);
    header.key_size = static_cast<std::uint8_t>(user.size());
    std::memcpy(block.data(), &header, sizeof header);
    std::memcpy(block.data() + sizeof header / 8, user.data(), user.size());
    answers.push_back(world.keeper.profile_bytes(
        0, ProfileCopy(block.data(), world.fixture.segment().geometry())));
  }
  auto* drained = &keeper_logs(world.fixture.file("keeper").data())[0].drained_position.value;
  auto* log = world.fixture.file("log-0").at<RingHeaderLayout>();
  auto* heard = &world.fixture.file("ingest-0").at<PositionLayout>()[0].value;
  auto* verdicts = world.fixture.file("verdict-0-0").at<RingHeaderLayout>();
  const ShardReader<> reader = world.fixture.reader(0);

  const std::uint64_t before = allocated_bytes();
  for (std::size_t round = 0; round < 100'000; ++round) {
    const std::size_t next = round % records.size();
    static_cast<void>(world.ingest.commit(records[next]));
    world.ingest.publish();
    worker.duty_cycle();
    static_cast<void>(world.keeper.give(answers[next], kReturnStored));
    worker.duty_cycle();
    world.keeper.confirm(0, reader.sequence());
    drained->store(log->producer_position.load());
    heard->store(verdicts->producer_position.load());
  }
  EXPECT_EQ(allocated_bytes(), before);
  EXPECT_GT(world.counter("deja_evicted_total"), 90'000U);
  EXPECT_GT(world.counter("deja_profiles_merged_total"), 90'000U);
  EXPECT_EQ(world.counter(kTableFullCounter), 0U);
}

}  // namespace
}  // namespace deja
