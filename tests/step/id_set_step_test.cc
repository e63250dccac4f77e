// A window of ids whose worker is killed behind every single instruction of its insertions: whoever
// comes next remembers exactly the last ids, and goes on from there.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <vector>

#include "tests/step/stepped_process.h"
#include "workers/id_set.h"

namespace deja {
namespace {

constexpr std::uint32_t kWindow = 5;
constexpr std::uint64_t kIds = 16;
/// From here on each insertion forgets an id.
constexpr std::uint64_t kBefore = kWindow + 1;

/// The n-th id inserted; they meet in a few chains, one of which wraps around.
std::uint64_t id_of(std::uint64_t number) {
  return ((number + 1) << 8U) + 14 + number % 3;
}

/// Exactly the last ids of those counted are known.
void expect_window(const IdSet& ids, std::uint64_t instruction) {
  const std::uint64_t count = ids.inserted_count();
  for (std::uint64_t number = 0; number < kIds; ++number) {
    EXPECT_EQ(ids.contains(id_of(number)), number < count && number + kWindow >= count)
        << "id " << number << " of " << count << ", instruction " << instruction;
  }
}

TEST(IdSetStep, AWindowSurvivesAKillBehindEveryInstruction) {
  const std::size_t bytes = id_set_bytes(kWindow);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  {
    IdSet ids(memory, kWindow);
    for (std::uint64_t number = 0; number < kBefore; ++number) ids.insert(id_of(number));
  }
  struct alignas(kCacheLineBytes) Line {
    std::uint8_t bytes[kCacheLineBytes];
  };
  std::vector<Line> now(bytes / sizeof(Line));
  std::memcpy(now.data(), memory, bytes);
  SteppedProcess process([&] {
    IdSet ids(memory, kWindow);
    SteppedProcess::stop_here();
    for (std::uint64_t number = kBefore; number < kIds; ++number) ids.insert(id_of(number));
    SteppedProcess::stop_here();
  });
  std::uint64_t instructions = 0;
  std::uint64_t changes = 0;
  while (process.step() && !testing::Test::HasFailure()) {
    ++instructions;
    if (std::memcmp(now.data(), memory, bytes) == 0) continue;
    ++changes;
    std::memcpy(now.data(), memory, bytes);
    std::vector<Line> left = now;
    IdSet ids(left.data(), kWindow);
    expect_window(ids, instructions);
    for (std::uint64_t number = ids.inserted_count(); number < kIds; ++number) {
      EXPECT_TRUE(ids.insert(id_of(number)));
      expect_window(ids, instructions);
    }
  }
  std::printf("%llu instructions, %llu changed the set\n",
              static_cast<unsigned long long>(instructions),
              static_cast<unsigned long long>(changes));
  EXPECT_GE(changes, (kIds - kBefore) * 5);
  munmap(memory, bytes);
}

}  // namespace
}  // namespace deja
