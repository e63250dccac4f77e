#include "shm/keyed_hash.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace deja {
namespace {

constexpr HashSecret kPaperKey{{0x0706050403020100U, 0x0f0e0d0c0b0a0908U}};

TEST(KeyedHash, TwoFourAgreesWithThePapersVector) {
  // Aumasson and Bernstein, appendix A: key 00…0f, message 00…0e.
  char message[15];
  for (char at = 0; at < 15; ++at) message[static_cast<int>(at)] = at;
  EXPECT_EQ((sip_hash<2, 4>(kPaperKey, message, 15, 15)), 0xa129ca6149be45e5U);
}

TEST(KeyedHash, EveryLengthSecretAndNamespaceGivesAnotherHash) {
  const std::string text(kKeyBytesMax, '\0');
  std::set<std::uint64_t> hashes;
  int count = 0;
  for (const KeyNamespace name_space : {KeyNamespace::kUser, KeyNamespace::kAnonymous}) {
    for (std::uint32_t size = 0; size <= kKeyBytesMax; ++size) {
      hashes.insert(keyed_hash(kPaperKey, {name_space, text.data(), size}));
      hashes.insert(keyed_hash({{1, 2}}, {name_space, text.data(), size}));
      count += 2;
    }
  }
  EXPECT_EQ(hashes.size(), static_cast<std::size_t>(count));
}

}  // namespace
}  // namespace deja
