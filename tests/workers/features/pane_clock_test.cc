// Divisions by multiplication are exact: against the divisions that they stand for, at the edges
// where a quotient steps, and at random.
#include "workers/features/pane_clock.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/workers/features/random_events.h"

namespace deja::features {
namespace {

constexpr std::uint64_t kValues = std::uint64_t{1} << 63U;  // the divisor's are below

std::vector<std::uint64_t> divisors(Random& random) {
  std::vector<std::uint64_t> list = {kValues - 1, 1'000'000, 3'600'000'000, 2'592'000'000'000};
  for (std::uint64_t divisor = 1; divisor <= 70; ++divisor) list.push_back(divisor);
  for (unsigned bits = 7; bits < 63; ++bits) {
    for (std::uint64_t off = 0; off <= 2; ++off)
      list.push_back((std::uint64_t{1} << bits) + off - 1);
    list.push_back(static_cast<std::uint64_t>(random.between(1, std::int64_t{1} << bits)));
  }
  return list;
}

TEST(ExactDivisor, DividesAsTheInstructionDoes) {
  Random random;
  SCOPED_TRACE("DEJA_SEED=" + std::to_string(random.seed()));
  for (const std::uint64_t divisor : divisors(random)) {
    const ExactDivisor exact(divisor);
    std::vector<std::uint64_t> values = {0, 1, kValues - 1};
    const std::uint64_t quotient_max = (kValues - 1) / divisor;
    for (int count = 0; count < 200; ++count) {
      const std::uint64_t quotient =
          count < 4 ? quotient_max - static_cast<std::uint64_t>(count) % (quotient_max + 1)
                    : static_cast<std::uint64_t>(
                          random.between(0, static_cast<std::int64_t>(quotient_max)));
      for (const int off : {-1, 0, 1}) {  // where the quotient steps
        const std::uint64_t value = quotient * divisor + static_cast<std::uint64_t>(off);
        if (value < kValues) values.push_back(value);
      }
    }
    for (const std::uint64_t value : values) {
      ASSERT_EQ(exact.quotient(value), value / divisor) << value << " / " << divisor;
    }
  }
}

TEST(PaneClock, SaysWhatTheSpecSays) {
  Random random;
  SCOPED_TRACE("DEJA_SEED=" + std::to_string(random.seed()));
  constexpr std::int64_t kHourUs = 3'600'000'000;
  for (const std::int64_t length :
       {std::int64_t{64}, std::int64_t{1000}, std::int64_t{1200}, kHourUs, 720 * kHourUs,
        columns::kDurationMaxUs - 1, columns::kDurationMaxUs}) {
    for (const std::uint32_t panes : {1U, 7U, 12U, 60U, 63U, 64U}) {
      FeatureSpec spec;
      spec.window_us = length;
      spec.panes = panes;
      FeatureSpec decaying;
      decaying.half_life_us = length;
      const PaneClock clock(spec.pane_us(), panes);
      const PaneClock half_life(length, 1);
      for (int count = 0; count < 600; ++count) {
        std::int64_t time = random.between(-columns::kInstantLimit, columns::kInstantLimit);
        if (count % 3 == 0) time = random.between(-3, 3) * length + random.between(-2, 2);
        if (count % 3 == 1) time = time / length * length + random.between(-1, 1);
        if (count < 2) time = count == 0 ? columns::kInstantLimit : -columns::kInstantLimit;
        time = columns::clamp_instant(time);
        SCOPED_TRACE(std::to_string(time) + " of " + std::to_string(length) + " / " +
                     std::to_string(panes));
        ASSERT_EQ(clock.place(time).pane, columns::pane_place(spec, time).pane);
        ASSERT_EQ(clock.place(time).slot, columns::pane_place(spec, time).slot);
        const columns::HalfLives expected = columns::half_lives_at(decaying, time);
        ASSERT_EQ(half_life.half_lives(time).whole, expected.whole);
        ASSERT_EQ(half_life.half_lives(time).rest_us, expected.rest_us);
      }
    }
  }
}

}  // namespace
}  // namespace deja::features
