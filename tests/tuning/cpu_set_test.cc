#include "tuning/cpu_set.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/support/seed.h"

namespace deja::tuning {
namespace {

TEST(CpuSet, ReadsAndWritesLists) {
  EXPECT_EQ(CpuSet::of_list("0-2,5,7-8")->list(), "0-2,5,7-8");
  EXPECT_EQ(CpuSet::of_list("1,0")->list(), "0-1");
  EXPECT_TRUE(CpuSet::of_list("")->empty());
  EXPECT_EQ(CpuSet::of_list("8191")->list(), "8191");
}

TEST(CpuSet, ReadsAndWritesMasks) {
  EXPECT_EQ(CpuSet::of_mask("f1")->list(), "0,4-7");
  EXPECT_EQ(CpuSet::of_mask("00000001,00000000")->list(), "32");
  EXPECT_EQ((CpuSet{32, 0}).mask(), "1,00000001");
  EXPECT_EQ(CpuSet{}.mask(), "0");
  EXPECT_TRUE(CpuSet::of_mask("0")->empty());
}

TEST(CpuSet, RefusesWhatIsNoList) {
  for (const char* text : {"a", "1-", "-1", "2-1", "1,,2", "1,", ",1", "8192", "0-8192", "1 2",
                           "99999999999999999999", "0x1"}) {
    EXPECT_FALSE(CpuSet::of_list(text)) << text;
  }
}

TEST(CpuSet, RefusesWhatIsNoMask) {
  for (const char* text : {"", "g", ",", "1,", ",00000001", "1,1", "123456789", "0x1", "-1"}) {
    EXPECT_FALSE(CpuSet::of_mask(text)) << text;
  }
  EXPECT_FALSE(CpuSet::of_mask(std::string(4000, '1')));
}

TEST(CpuSet, BothFormsGiveBackAnySet) {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 200; ++round) {
    CpuSet set;
    const auto count = random() % 40;
    for (std::uint64_t at = 0; at < count; ++at) set.add(static_cast<int>(random() % 300));
    EXPECT_EQ(CpuSet::of_list(set.list()), set) << set.list();
    EXPECT_EQ(CpuSet::of_mask(set.mask()), set) << set.mask();
    EXPECT_EQ(set.cores().size(), set.count());
  }
}

TEST(CpuSet, IgnoresWhatIsNoCore) {
  CpuSet set;
  set.add(-1);
  set.add(kCoresMax);
  EXPECT_TRUE(set.empty());
  EXPECT_FALSE(set.has(-1));
  EXPECT_FALSE(set.has(kCoresMax));
}

}  // namespace
}  // namespace deja::tuning
