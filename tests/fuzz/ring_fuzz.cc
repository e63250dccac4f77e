// The bytes of a ring: an input is a header's fields and what lies behind them, as a hostile
// producer would write it; or, with an odd first byte, the payload of one record. What the consumer
// takes lies inside the ring and between the positions, and a ring that was broken stays so; what
// the decoder takes is an event of this worker's that can be applied to any profile.
//
//   0       1              3                     7
//   ┌───────┬──────────────┬─────────────────────┬───────────────────────────────────────┐
//   │ flags │ consumer / 8 │ producer - consumer │ data, from the consumer's position on │
//   └───────┴──────────────┴─────────────────────┴───────────────────────────────────────┘
#include <atomic>
#include <memory>

#include "ring/spsc_ring.h"
#include "tests/fuzz/feature_world.h"

namespace deja::fuzz {
namespace {

constexpr std::uint64_t kCapacityBytes = 4096;

enum Flags : std::uint8_t {
  kPayloadAlone = 1,
  kOtherMagic = 2,
  kCapacityOfInput = 4,  ///< 8 bytes of it follow
  kFarAlong = 8,         ///< positions near the end of 64 bits
};

/// A ring's file, in memory of just its size.
struct Ring {
  RingHeaderLayout header;
  std::uint8_t data[kCapacityBytes];
};
static_assert(sizeof(Ring) == ring_file_bytes(kCapacityBytes));

class RingWorld {
 public:
  void run(Input input) {
    const auto flags = input.take<std::uint8_t>();
    if ((flags & kPayloadAlone) != 0) return decode(input.rest());
    RingHeaderLayout& header = ring_->header;
    header.magic = kRingMagic + ((flags & kOtherMagic) != 0 ? 1 : 0);
    header.capacity_bytes =
        (flags & kCapacityOfInput) != 0 ? input.take<std::uint64_t>() : kCapacityBytes;
    std::uint64_t start = std::uint64_t{input.take<std::uint16_t>()} * 8;
    if ((flags & kFarAlong) != 0) start -= 4096;
    consumed_.store(start);
    header.producer_position.store(start + input.take<std::uint32_t>());
    std::memset(ring_->data, 0, kCapacityBytes);
    std::uint64_t at = start;
    for (const std::uint8_t byte : input.take_bytes(kCapacityBytes)) {
      ring_->data[at++ % kCapacityBytes] = byte;
    }
    consume(header.producer_position.load());
  }

 private:
  void consume(std::uint64_t producer_position) {
    RingConsumer consumer(ring_.get(), sizeof(Ring), &consumed_);
    const std::uint8_t* data = ring_->data;
    const std::uint64_t start = consumed_.load();
    for (std::uint64_t count = 0;; ++count) {
      CHECK(count <= kCapacityBytes / sizeof(RingRecordLayout));
      const std::uint64_t before = consumer.read_position();
      const RingRecord record = consumer.next();
      if (record.outcome == RingRecord::Outcome::kEmpty) {
        CHECK(before == producer_position);
        break;
      }
      if (record.outcome == RingRecord::Outcome::kBroken) {
        CHECK(consumer.next().outcome == RingRecord::Outcome::kBroken);
        CHECK(consumer.read_position() == before);
        break;
      }
      CHECK(record.type != kRingPadding && record.position == before);
      CHECK(record.payload >= data + sizeof(RingRecordLayout));
      CHECK(record.payload + record.size_bytes <= data + kCapacityBytes);
      CHECK(record.end_position - before >= ring_record_bytes(record.size_bytes));
      CHECK(record.end_position - start <= producer_position - start);
      decode({record.payload, record.size_bytes});
      consumer.release(record.end_position);
      CHECK(consumed_.load() == record.end_position);
    }
  }

  void decode(std::span<const std::uint8_t> payload) {
    const std::vector<std::uint8_t> copy(payload.begin(), payload.end());
    Event& event = features_.event();
    if (!features_.decoder().decode(copy.data(), static_cast<std::uint32_t>(copy.size()), event)) {
      return;
    }
    CHECK(event.key.size != 0 && event.key.size <= features_.geometry().key_bytes);
    CHECK(event.shard == shard_of(event.key, features_.geometry().shard_count));
    CHECK(event.kinds != 0 && event.kinds < 8);
    Frame frame(features_.features().frame_bytes());
    (void)features_.features().apply(event, frame.data());
    (void)features_.features().apply(event, frame.data());
    features_.check_frame(frame.data(), event.time_us);
    features_.check_frame(frame.data(), event.received_us + 1'800'000'000);
  }

  FeatureWorld features_;
  std::unique_ptr<Ring> ring_ = std::make_unique<Ring>();
  std::atomic<std::uint64_t> consumed_{0};
};

}  // namespace
}  // namespace deja::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static deja::fuzz::RingWorld world;
  world.run({data, size});
  return 0;
}
