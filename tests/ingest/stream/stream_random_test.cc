// Good traffic with bits flipped and ends cut off: whatever comes, the handler stays within its
// memory (the sanitizers' builds say so), answers with whole frames, and every event it met ends in
// exactly one counter.
#include <gtest/gtest.h>

#include <random>

#include "tests/ingest/stream/stream_harness.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

FillEvent random_event(std::mt19937_64& random) {
  const std::uint64_t seed = random();
  return [seed](stream_schema::Event::Builder event) {
    std::mt19937_64 local(seed);
    event.setCall(static_cast<stream_schema::Call>(local() % 7));
    event.setName(local() % 3 == 0 ? "Product Viewed" : "Product Veiwed");
    if (local() % 8 != 0) event.setUserId("user-" + std::to_string(local() % 10));
    event.setMessageId("m" + std::to_string(local() % 1000));
    auto members = event.initProperties(static_cast<unsigned>(local() % 5));
    for (auto member : members) {
      const char* const names[] = {"product_id", "price", "products", "flag", "other"};
      member.setName(names[local() % 5]);
      switch (local() % 5) {
        case 0:
          member.setNumber(static_cast<double>(local() % 100));
          break;
        case 1:
          member.setText("text");
          break;
        case 2:
          member.setBoolean(true);
          break;
        case 3: {
          auto list = member.initList(static_cast<unsigned>(local() % 4));
          for (auto element : list) element.initObject(1)[0].setName("price");
          break;
        }
        default:
          break;
      }
    }
  };
}

TEST(StreamRandom, DamagedTrafficIsAnsweredAndCounted) {
  std::mt19937_64 random(test_seed());
  StreamHarness harness;
  std::uint64_t errors = 0;
  for (int round = 0; round < 3000; ++round) {
    Bytes bytes = hello_frame();
    const std::size_t hello_bytes = bytes.size();
    for (std::uint64_t sequence = 1; sequence <= 2; ++sequence) {
      std::vector<FillEvent> events;
      for (std::uint64_t count = random() % 6; count != 0; --count) {
        events.push_back(random_event(random));
      }
      const Bytes batch = batch_frame(sequence, events);
      bytes.insert(bytes.end(), batch.begin(), batch.end());
    }
    for (std::uint64_t flips = random() % 8; flips != 0; --flips) {
      const std::size_t at = random() % 10 == 0
                                 ? random() % bytes.size()
                                 : hello_bytes + random() % (bytes.size() - hello_bytes);
      bytes[at] ^= static_cast<std::uint8_t>(1U << random() % 8);
    }
    if (random() % 3 == 0) bytes.resize(random() % bytes.size());

    harness.open();
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t end = std::min(bytes.size(), at + 1 + random() % 700);
      harness.receive(Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                            bytes.begin() + static_cast<std::ptrdiff_t>(end)));
      at = end;
      if (random() % 2 == 0) harness.pass();
    }
    Next next = harness.handler->on_end();
    while (harness.handler->busy()) next = harness.pass();
    ASSERT_EQ(next, Next::kClose);
    harness.records.clear();
    const auto answers = harness.output->answers();
    if (!answers.empty() && answers.back().which == stream_schema::StreamMessage::ERROR) ++errors;
    harness.handler->on_close();
    harness.appliance.sink().publish();
    (void)harness.appliance.records();
    if (round % 100 == 0) {
      ASSERT_TRUE(harness.sums_agree());
    }
  }
  ASSERT_TRUE(harness.sums_agree());
  EXPECT_GT(errors, 100U);
  EXPECT_GT(harness.total("ring_records"), 100U);
  EXPECT_GT(harness.appliance.rejected("bad_message") + harness.appliance.rejected("bad_utf8"),
            10U);
}

}  // namespace
}  // namespace deja
