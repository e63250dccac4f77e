// The ring between a producer and a consumer at full speed: as threads (for ThreadSanitizer, which
// can't see races between processes) and as processes.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <thread>

#include "ring/spsc_ring.h"
#include "tests/ring/ring_memory.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

constexpr std::uint64_t kRecords = 300'000;

/// Record n: a size that depends on n, and bytes that depend on n.
std::uint32_t size_of(std::uint64_t number) {
  return static_cast<std::uint32_t>(8 + (number * 0x9e3779b97f4a7c15U >> 56U));
}

/// From `first` on, in batches of 1 and of 15.
void produce(RingProducer& ring, std::uint64_t first, std::uint64_t end) {
  for (std::uint64_t number = first; number < end;) {
    const std::uint32_t size = size_of(number);
    std::uint8_t* claimed = ring.claim(size);
    if (claimed == nullptr) {
      ring.publish();
      std::this_thread::yield();
      continue;
    }
    std::memset(claimed, static_cast<int>(number & 0xffU), size);
    std::memcpy(claimed, &number, sizeof number);
    ring.commit(size, 1);
    ++number;
    if (number % 16 < 2) ring.publish();
  }
  ring.publish();
}

/// False at the first record that is not the one expected, whole.
bool consume(RingConsumer& ring, std::uint64_t first, std::uint64_t end) {
  std::uint8_t copy[512];
  for (std::uint64_t number = first; number < end;) {
    const RingRecord record = ring.next();
    if (record.outcome == RingRecord::Outcome::kBroken) return false;
    if (record.outcome == RingRecord::Outcome::kEmpty) {
      std::this_thread::yield();
      continue;
    }
    if (record.size_bytes != size_of(number)) return false;
    std::memcpy(copy, record.payload, record.size_bytes);
    if (std::memcmp(copy, &number, sizeof number) != 0) return false;
    for (std::uint32_t at = sizeof number; at < record.size_bytes; ++at) {
      if (copy[at] != (number & 0xffU)) return false;
    }
    if (++number % 3 == 0) ring.release(record.end_position);
  }
  ring.release(ring.read_position());
  return true;
}

TEST(RingStress, ThreadsHandEveryRecordOverWhole) {
  RingMemory memory(4096);
  RingProducer producer = memory.producer();
  RingConsumer consumer = memory.consumer();
  std::thread thread([&] { produce(producer, 0, kRecords); });
  EXPECT_TRUE(consume(consumer, 0, kRecords));
  thread.join();
  EXPECT_TRUE(consumer.empty());
}

/// A ring and its consumer's position, shared with children.
class SharedRing {
 public:
  explicit SharedRing(std::uint64_t capacity_bytes)
      : bytes_(ring_file_bytes(capacity_bytes)),
        memory_(static_cast<std::uint8_t*>(mmap(nullptr, bytes_ + 4096, PROT_READ | PROT_WRITE,
                                                MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    format_ring(memory_ + 4096, capacity_bytes);
  }
  ~SharedRing() { munmap(memory_, bytes_ + 4096); }
  SharedRing(const SharedRing&) = delete;
  SharedRing& operator=(const SharedRing&) = delete;

  [[nodiscard]] RingProducer producer() { return {memory_ + 4096, bytes_, position()}; }
  [[nodiscard]] RingConsumer consumer() { return {memory_ + 4096, bytes_, position()}; }
  [[nodiscard]] std::atomic<std::uint64_t>* position() {
    return reinterpret_cast<std::atomic<std::uint64_t>*>(memory_);
  }

 private:
  std::uint64_t bytes_;
  std::uint8_t* memory_;
};

TEST(RingStress, ProcessesHandEveryRecordOverWhole) {
  SharedRing ring(4096);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    RingProducer producer = ring.producer();
    produce(producer, 0, kRecords);
    _exit(0);
  }
  RingConsumer consumer = ring.consumer();
  const bool whole = consume(consumer, 0, kRecords);
  if (!whole) kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(whole);
}

/// The producer is killed at any instant; its successor finds out what was published and goes on
/// behind it. The consumer sees no gap, no repetition and nothing half-written.
TEST(RingStress, AProducerKilledAnywhereLeavesNothingHalfVisible) {
  std::mt19937_64 random(test_seed());
  SharedRing ring(4096);
  RingConsumer consumer = ring.consumer();
  std::uint64_t next = 0;
  for (int life = 0; life < 30; ++life) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      RingProducer producer = ring.producer();
      produce(producer, next, ~std::uint64_t{0});
    }
    const std::uint64_t stop_at = next + random() % 3000;
    ASSERT_TRUE(consume(consumer, next, stop_at));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    next = stop_at;
    std::uint8_t copy[512];
    for (;;) {
      const RingRecord record = consumer.next();
      ASSERT_NE(record.outcome, RingRecord::Outcome::kBroken);
      if (record.outcome == RingRecord::Outcome::kEmpty) break;
      ASSERT_EQ(record.size_bytes, size_of(next));
      std::memcpy(copy, record.payload, record.size_bytes);
      ASSERT_EQ(std::memcmp(copy, &next, sizeof next), 0);
      ++next;
      consumer.release(record.end_position);
    }
  }
}

}  // namespace
}  // namespace deja
