// The short cuts of bytes.h against what they stand for.
#include "shm/columns/bytes.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <random>
#include <string>
#include <vector>

namespace deja::columns {
namespace {

TEST(Bytes, FiniteIsTheNearestFiniteNumber) {
  std::vector<std::uint64_t> bits = {0,
                                     1,
                                     0x000F'FFFF'FFFF'FFFF,
                                     0x0010'0000'0000'0000,
                                     0x7FEF'FFFF'FFFF'FFFF,
                                     0x7FF0'0000'0000'0000,
                                     0x7FF0'0000'0000'0001,
                                     0x7FF8'0000'0000'0000,
                                     0x7FFF'FFFF'FFFF'FFFF};
  std::mt19937_64 engine(1);
  for (int count = 0; count < 10'000; ++count) bits.push_back(engine() >> 1U);
  for (const std::uint64_t without_sign : bits) {
    for (const std::uint64_t sign : {std::uint64_t{0}, std::uint64_t{1} << 63U}) {
      const auto number = std::bit_cast<double>(without_sign | sign);
      const double expected = std::isnan(number) || number == 0 ? 0.0
                              : std::isinf(number)              ? std::copysign(DBL_MAX, number)
                                                                : number;
      ASSERT_EQ(std::bit_cast<std::uint64_t>(finite(number)),
                std::bit_cast<std::uint64_t>(expected))
          << std::hex << (without_sign | sign);
    }
  }
}

TEST(Bytes, ATextFillsItsRoomAndNoMore) {
  const std::string text(256, 't');
  for (std::uint32_t room = 0; room <= 256; ++room) {
    for (std::uint32_t bytes = 0; bytes <= room; ++bytes) {
      // Of its very size, so that a sanitizer sees who reads behind it.
      const std::vector<char> exact(text.begin(), text.begin() + bytes);
      std::vector<std::uint8_t> into(room + 32, 0xA7);
      store_text(into.data() + 16, room, exact.data(), bytes);
      std::vector<std::uint8_t> expected(room + 32, 0xA7);
      for (std::uint32_t at = 0; at < room; ++at) expected[16 + at] = at < bytes ? 't' : 0;
      ASSERT_EQ(into, expected) << bytes << " bytes in a room of " << room;
    }
  }
}

}  // namespace
}  // namespace deja::columns
