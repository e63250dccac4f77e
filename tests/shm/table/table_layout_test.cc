// The bytes of the table, spelt out: this test fails when the layout changes, and then
// kLayoutVersion must change with it.
#include "shm/table_layout.h"

#include <gtest/gtest.h>

#include "shm/superblock.h"
#include "tests/shm/table/shard_memory.h"

namespace deja {
namespace {

using namespace table_test;

std::string hex(const std::uint8_t* bytes, std::size_t count) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (std::size_t at = 0; at < count; ++at) {
    if (at != 0 && at % 8 == 0) text += ' ';
    text += kDigits[bytes[at] >> 4U];
    text += kDigits[bytes[at] & 15U];
  }
  return text;
}

TEST(TableLayout, GoldenBytes) {
  static_assert(kLayoutVersion == 5);
  const TableGeometry geometry = geometry_of(4, 1, 1, 16, 16);
  const ShardMemory memory(geometry);
  ShardWriter writer = attach(memory, geometry);
  ShardWriter::Draft draft = writer.begin(key_of("anonymous", KeyNamespace::kAnonymous));
  draft.frame[0] = std::byte{0xf0};
  draft.frame[15] = std::byte{0xf1};
  draft.sequence = 0x1122;
  draft.updated_us = 0x334455;
  draft.late = 0x6677;
  draft.flags = kFlagPartial;
  writer.publish(draft);
  writer.set_sequence(0x1122);

  ASSERT_EQ(geometry.buckets_offset(), 128U);
  ASSERT_EQ(geometry.links_offset(), 128U + 2 * 64);
  ASSERT_EQ(geometry.blocks_offset(), 128U + 2 * 64 + 64);
  ASSERT_EQ(geometry.shard_bytes(), 128U + 2 * 64 + 64 + 4 * 64);
  EXPECT_EQ(hex(memory.bytes(), 64),
            "444a415348524431 0000000004000000 0100000001000000 1000000010000000 "
            "0000000000000000 0000000000000000 0000000000000000 0000000000000000");
  EXPECT_EQ(hex(memory.bytes() + 64, 64),
            "2211000000000000 0200000000000000 0100000000000000 0000000000000000 "
            "0000000000000000 0000000000000000 0000000000000000 0000000000000000");
  // Block 0, and the low half of SipHash-1-3 as the tag.
  EXPECT_EQ(hex(memory.bytes() + 128, 16), "010000009eabb0bf 0000000000000000");
  EXPECT_EQ(hex(memory.bytes() + geometry.blocks_offset(), 64),
            "0100000000000000 2211000000000000 5544330000000000 7766000001000901 "
            "616e6f6e796d6f75 7300000000000000 f000000000000000 00000000000000f1");
}

TEST(TableLayout, TheBlockReusedIsStillThere) {
  // An entry is tag and block + 1, so that block 0 under tag 0 is not "empty".
  EXPECT_EQ(make_entry(0, 0), 1U);
  EXPECT_EQ(block_of(make_entry(7, 41)), 41U);
  EXPECT_EQ(tag_of_entry(make_entry(7, 41)), 7U);
  EXPECT_EQ(block_of(make_entry(7, kNoBlock)), kNoBlock);
}

TEST(TableLayout, MainBucketsAreUsedEvenly) {
  constexpr std::uint32_t kBuckets = 10;
  constexpr int kKeys = 20000;
  int counts[kBuckets] = {};
  for (int user = 0; user < kKeys; ++user) {
    const std::string text = "user" + std::to_string(user);
    ++counts[main_bucket_of(keyed_hash(kSecret, key_of(text)), kBuckets)];
  }
  for (const int count : counts) {
    EXPECT_GT(count, kKeys / 10 - 250);  // six sigma
    EXPECT_LT(count, kKeys / 10 + 250);
  }
  EXPECT_EQ(main_bucket_of(~std::uint64_t{0}, kBuckets), kBuckets - 1);
}

TEST(TableLayout, GeometriesThatCanNotBeAreRefused) {
  const TableGeometry sane = TableGeometry::plan(1000, 4, 2, 16, 64);
  EXPECT_TRUE(geometry_is_sane(sane));
  std::uint32_t TableGeometry::*const fields[] = {
      &TableGeometry::shard_count, &TableGeometry::worker_count, &TableGeometry::blocks_per_shard,
      &TableGeometry::main_buckets, &TableGeometry::key_bytes};
  for (const auto field : fields) {
    for (const std::uint32_t bad : {0U, 0xffffffffU}) {
      TableGeometry geometry = sane;
      geometry.*field = bad;
      EXPECT_FALSE(geometry_is_sane(geometry));
    }
  }
  TableGeometry odd = sane;
  odd.key_bytes = 12;
  EXPECT_FALSE(geometry_is_sane(odd));
  odd = sane;
  odd.frame_bytes = 4;
  EXPECT_FALSE(geometry_is_sane(odd));
}

}  // namespace
}  // namespace deja
