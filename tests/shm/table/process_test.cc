// The table between processes: the race of tests/stress/table_race_test.cc with a process for each
// role, and an owner who is killed again and again, anywhere and at each crash point, while a
// reader reads on.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <new>

#include "tests/shm/table/race.h"

namespace deja {
namespace {

using namespace table_test;

/// A T in memory that forks share.
template <typename T>
class Shared {
 public:
  Shared() {
    memory_ = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory_ != MAP_FAILED);
    value_ = new (memory_) T();
  }
  ~Shared() { munmap(memory_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T& operator*() const { return *value_; }
  T* operator->() const { return value_; }

 private:
  void* memory_;
  T* value_;
};

template <typename Body>
pid_t start(Body body) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    body();
    _exit(0);
  }
  return child;
}

void sleep_us(std::int64_t duration_us) {
  const timespec duration{duration_us / 1'000'000, duration_us % 1'000'000 * 1000};
  nanosleep(&duration, nullptr);
}

template <typename Looks>
void run(RaceCounts& counts, int limit_ms) {
  const std::uint64_t seed = test_seed();
  const Race race;
  const ShardMemory memory(race.geometry());
  race.insert_stable(memory);
  const pid_t children[] = {
      start([&] { race.write(memory, counts, seed); }),
      start([&] { race.read<Looks>(memory, counts, seed + 1); }),
      start([&] { race.read<Looks>(memory, counts, seed + 2); }),
  };
  const std::int64_t end_ns = steady_ns() + std::int64_t{limit_ms} * 1'000'000;
  while (steady_ns() < end_ns && counts.wrong() == 0) sleep_us(1000);
  counts.stop = true;
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
}

TEST(TableProcesses, ReadersNeverSeeATornOrAMissingProfile) {
  const Shared<RaceCounts> counts;
  run<WholeLooks>(*counts, 1000);
  EXPECT_EQ(counts->torn, 0U);
  EXPECT_EQ(counts->lost, 0U);
  EXPECT_EQ(counts->backwards, 0U);
  EXPECT_EQ(counts->uncounted, 0U);
  EXPECT_GT(counts->writes, 0U);
  EXPECT_GT(counts->reads, counts->busy);
}

TEST(TableProcesses, ReadersWithoutTheSecondLookAtTheEntryLoseUsers) {
  const Shared<RaceCounts> counts;
  run<WithoutEntryAgain>(*counts, 10000);
  EXPECT_GT(counts->wrong(), 0U);
}

TEST(TableProcesses, ReadersWithoutTheSecondLookAtTheStampSeeTornProfiles) {
  const Shared<RaceCounts> counts;
  run<WithoutStampAgain>(*counts, 10000);
  EXPECT_GT(counts->wrong(), 0U);
}

TEST(TableProcesses, AnOwnerKilledAnywhereTearsAndLosesNothing) {
  const std::uint64_t seed = test_seed();
  const Shared<RaceCounts> counts;
  const Race race;
  const ShardMemory memory(race.geometry());
  race.insert_stable(memory);
  const pid_t reader = start([&] { race.read<WholeLooks>(memory, *counts, seed); });
  std::mt19937_64 random(seed);
  for (int life = 0; life < 60 && counts->wrong() == 0; ++life) {
    // Each life counts on from where versions can't be lower than what readers have seen.
    const pid_t writer = start([&] {
      ShardWriter owner = attach(memory, race.geometry(), 1);
      std::mt19937_64 mine(seed + static_cast<std::uint64_t>(life));
      for (std::uint64_t sequence = static_cast<std::uint64_t>(life + 1) << 32U;; ++sequence) {
        const std::uint32_t user = mine() % 4 != 0 ? static_cast<std::uint32_t>(mine() % 3)
                                                   : static_cast<std::uint32_t>(mine() % 72);
        const std::string text = "user-" + std::to_string(user);
        if (user >= Race::kStableUsers && mine() % 2 == 0) {
          (void)owner.clear(key_of(text));
        } else {
          (void)put(owner, key_of(text), sequence);
        }
        counts->writes.fetch_add(1, std::memory_order_relaxed);
      }
    });
    sleep_us(static_cast<std::int64_t>(2000 + random() % 20000));
    ASSERT_EQ(kill(writer, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(writer, &status, 0), writer);
    ASSERT_TRUE(WIFSIGNALED(status));
  }
  counts->stop = true;
  int status = 0;
  ASSERT_EQ(waitpid(reader, &status, 0), reader);
  EXPECT_EQ(counts->wrong(), 0U);
  EXPECT_GT(counts->writes, 0U);
  EXPECT_GT(counts->reads, 0U);
}

/// What the owner that dies at a crash point has surely done, and the memory it did it in.
struct CrashScene {
  alignas(kCacheLineBytes) std::byte shard[32 * 1024];
  std::uint64_t published[64];  // sequence of the last publish() that returned; 0: none
  std::uint64_t begun[64];      // of the last one that was begun
};
constexpr std::uint32_t kCrashUsers = 40;
const TableGeometry kCrashGeometry = geometry_of(kCrashUsers + 4, 2, 8, 16, 256);

/// Blocks with a payload and without a stamp.
int unstamped_builds(CrashScene& scene) {
  const ShardParts<std::byte> parts(scene.shard, kCrashGeometry);
  int count = 0;
  for (std::uint32_t block = 0; block < kCrashGeometry.blocks_per_shard; ++block) {
    const BlockWord* words = parts.block(block);
    if (words[0].load() == 0 && words[1].load() != 0) ++count;
  }
  return count;
}

// Not a test by itself: the owner that the test below starts, in a process of its own since crash
// points are read from the environment once.
TEST(TableCrash, DISABLED_Owner) {
  const char* descriptor = std::getenv("DEJA_TEST_SHARD");
  ASSERT_NE(descriptor, nullptr);
  void* memory = mmap(nullptr, sizeof(CrashScene), PROT_READ | PROT_WRITE, MAP_SHARED,
                      std::atoi(descriptor), 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* scene = static_cast<CrashScene*>(memory);
  Result<ShardWriter> writer = ShardWriter::attach(scene->shard, kCrashGeometry, 0, kSecret, 2);
  ASSERT_TRUE(writer.ok()) << writer.error().message();
  for (std::uint64_t step = 0;; ++step) {
    const std::uint32_t user = static_cast<std::uint32_t>(step % kCrashUsers);
    const std::uint64_t sequence = scene->begun[user] + 1;
    scene->begun[user] = sequence;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    ASSERT_TRUE(put(*writer, key_of("user-" + std::to_string(user)), sequence));
    std::atomic_signal_fence(std::memory_order_seq_cst);
    scene->published[user] = sequence;
  }
}

TEST(TableCrash, AnOwnerDyingAtAnyCrashPointLeavesEveryUserOldOrNew) {
  ASSERT_LE(kCrashGeometry.shard_bytes(), sizeof(CrashScene::shard));
  char self[PATH_MAX] = {};
  ASSERT_GT(readlink("/proc/self/exe", self, sizeof self - 1), 0);
  for (const char* point :
       {"table.before_stamp", "table.before_publish", "table.after_publish", "table.after_link"}) {
    const int file = memfd_create("shard", 0);
    ASSERT_GE(file, 0);
    ASSERT_EQ(ftruncate(file, sizeof(CrashScene)), 0);
    void* memory = mmap(nullptr, sizeof(CrashScene), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ASSERT_NE(memory, MAP_FAILED);
    auto* scene = static_cast<CrashScene*>(memory);
    // Each owner goes a different way before it dies; a chain is linked three times in all.
    const bool link = std::strcmp(point, "table.after_link") == 0;
    for (int life = 0; life < (link ? 3 : 5); ++life) {
      const pid_t child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        setenv("DEJA_TEST_SHARD", std::to_string(file).c_str(), 1);
        setenv("DEJA_CRASH_POINT", point, 1);
        setenv("DEJA_CRASH_AFTER", link ? "0" : std::to_string(life * 17).c_str(), 1);
        execl(self, self, "--gtest_also_run_disabled_tests",
              "--gtest_filter=TableCrash.DISABLED_Owner", "--gtest_brief=1", nullptr);
        _exit(127);
      }
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << point << " " << status;

      // A block that is being built has no stamp, even where an older version left one in it.
      if (std::strcmp(point, "table.before_stamp") == 0) {
        EXPECT_EQ(unstamped_builds(*scene), 1) << life;
      }
      const ShardReader<> reader(scene->shard, kCrashGeometry, kSecret);
      OwnCopy copy(kCrashGeometry);
      for (std::uint32_t user = 0; user < kCrashUsers; ++user) {
        const std::string text = "user-" + std::to_string(user);
        const ReadOutcome outcome = reader.get(key_of(text), *copy);
        if (outcome == ReadOutcome::kAbsent) {
          EXPECT_EQ(scene->published[user], 0U) << point;
          continue;
        }
        ASSERT_EQ(outcome, ReadOutcome::kFound);
        EXPECT_TRUE(is_whole(*copy)) << point;
        EXPECT_GE(copy->sequence(), scene->published[user]) << point;
        EXPECT_LE(copy->sequence(), scene->begun[user]) << point;
      }
    }
    munmap(memory, sizeof(CrashScene));
    close(file);
  }
}

}  // namespace
}  // namespace deja
