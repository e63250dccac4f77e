#include "shm/columns/item_hash.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <string>
#include <unordered_set>

namespace deja::columns {
namespace {

std::uint64_t hash_of(const std::string& text) {
  return item_hash(text.data(), static_cast<std::uint32_t>(text.size()));
}

TEST(ItemHash, NeverChanges) {
  // These values lie in profiles, Redis and journals. If one must change, so must
  // kColumnLayoutVersion.
  EXPECT_EQ(hash_of(""), 0xe26b6ad522bc252b);
  EXPECT_EQ(hash_of("p1"), 0x5af47b398b285d82);
  EXPECT_EQ(hash_of("12345678"), 0x44a82e67fa026256);
  EXPECT_EQ(hash_of("a longer item, of more than two words of eight"), 0xc623b007a2242ae2);
}

TEST(ItemHash, TellsLengthsAndNeighboursApart) {
  std::unordered_set<std::uint64_t> seen;
  for (std::size_t length = 0; length < 200; ++length) {
    EXPECT_TRUE(seen.insert(hash_of(std::string(length, '\0'))).second) << length;
  }
  for (int item = 0; item < 200000; ++item) {
    EXPECT_TRUE(seen.insert(hash_of("item-" + std::to_string(item))).second) << item;
  }
}

TEST(ItemHash, EveryBitOfTheTextTurnsAboutHalfOfTheHash) {
  for (const std::uint32_t bytes : {1U, 3U, 8U, 9U, 24U}) {
    for (std::uint32_t bit = 0; bit < 8 * bytes; ++bit) {
      int turned = 0;
      for (int round = 0; round < 64; ++round) {
        std::string text(bytes, static_cast<char>(round * 37));
        const std::uint64_t before = hash_of(text);
        text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
        turned += std::popcount(before ^ hash_of(text));
      }
      EXPECT_NEAR(turned / 64.0, 32, 4) << bytes << " bytes, bit " << bit;
    }
  }
}

}  // namespace
}  // namespace deja::columns
