#include "shm/columns/hyperloglog.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "shm/columns/item_hash.h"

namespace deja::columns {
namespace {

struct Spread {
  double mean = 0;  // of the relative errors
  double deviation = 0;
};

/// Relative errors of the estimate of `items` different texts, over many sets of texts.
Spread errors_of(std::uint32_t items, std::uint32_t rounds) {
  double sum = 0;
  double squares = 0;
  for (std::uint32_t round = 0; round < rounds; ++round) {
    std::uint8_t registers[kRegisterBytes] = {};
    for (std::uint32_t item = 0; item < items; ++item) {
      const std::string text = "p" + std::to_string(round * 1000003ULL + item);
      add_hash(registers, item_hash(text.data(), static_cast<std::uint32_t>(text.size())));
    }
    const double error = estimate_count(registers) / items - 1;
    sum += error;
    squares += error * error;
  }
  return {sum / rounds, std::sqrt(squares / rounds)};
}

TEST(HyperLogLog, NothingIsNothing) {
  const std::uint8_t registers[kRegisterBytes] = {};
  EXPECT_EQ(estimate_count(registers), 0);
}

TEST(HyperLogLog, ErrsByNoMoreThanTenPercentAndWithoutBias) {
  for (const std::uint32_t items : {33U, 60U, 130U, 300U, 1000U, 5000U}) {
    const std::uint32_t rounds = items > 500 ? 300 : 1500;
    const Spread spread = errors_of(items, rounds);
    EXPECT_LT(spread.deviation, 0.10) << items;
    EXPECT_LT(std::abs(spread.mean), 4 * 0.065 / std::sqrt(rounds)) << items;
  }
}

TEST(HyperLogLog, ReadsTheRegistersThatAreToBeExpected) {
  // With n items, a register is at most k with probability e^(-n / (256·2^k)); 15 holds all above.
  for (const double items : {30.0, 60.0, 1e3, 1e5, 1e6, 3e6, 6e6}) {
    std::uint8_t registers[kRegisterBytes] = {};
    for (std::uint32_t index = 0; index < kRegisterCount; ++index) {
      std::uint32_t value = 0;
      while (value < kRegisterMax &&
             kRegisterCount * std::exp(-items / kRegisterCount / std::exp2(value)) <= index + 0.5) {
        ++value;
      }
      raise_register(registers, index, value);
    }
    EXPECT_NEAR(estimate_count(registers) / items, 1, 0.03) << items;
  }
}

TEST(HyperLogLog, TheSameItemsAgainChangeNothing) {
  std::uint8_t registers[kRegisterBytes] = {};
  for (std::uint32_t item = 0; item < 100; ++item) {
    add_hash(registers, item_hash(reinterpret_cast<const char*>(&item), 4));
  }
  std::uint8_t again[kRegisterBytes];
  std::memcpy(again, registers, sizeof again);
  for (std::uint32_t item = 100; item-- > 0;) {
    add_hash(again, item_hash(reinterpret_cast<const char*>(&item), 4));
  }
  EXPECT_EQ(std::memcmp(again, registers, sizeof again), 0);
}

TEST(HyperLogLog, AnyBytesGiveAFiniteCount) {
  std::uint8_t registers[kRegisterBytes];
  for (const int fill : {0x00, 0xFF, 0xF0, 0x0F, 0x11, 0xA5}) {
    std::memset(registers, fill, sizeof registers);
    EXPECT_TRUE(std::isfinite(estimate_count(registers))) << fill;
    EXPECT_GE(estimate_count(registers), 0) << fill;
  }
}

}  // namespace
}  // namespace deja::columns
