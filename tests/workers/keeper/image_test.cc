#include "workers/keeper/image.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/support/seed.h"

namespace deja {
namespace {

constexpr std::uint32_t kFrameBytes = 64;

Key key_named(const std::string& name) {
  return {KeyNamespace::kUser, name.data(), static_cast<std::uint32_t>(name.size())};
}

class ImageTest : public testing::Test {
 protected:
  void SetUp() override {
    TableGeometry geometry;
    geometry.key_bytes = 16;
    geometry.frame_bytes = kFrameBytes;
    words_.assign(geometry.block_bytes() / 8, 0);
    auto* head = reinterpret_cast<BlockHeaderLayout*>(words_.data());
    head->stamp = 99;
    head->sequence = 7;
    head->updated_us = -5;
    head->late = 3;
    head->key_size = 3;
    std::memcpy(head + 1, "ada", 3);
    for (std::uint32_t at = 0; at < kFrameBytes; ++at) {
      reinterpret_cast<char*>(head + 1)[16 + at] = static_cast<char>(at + 1);
    }
    encode_image(ProfileCopy(words_.data(), geometry), 42, image_);
  }
  std::vector<std::uint64_t> words_;
  std::string image_;
  const std::string name_ = "ada";
};

TEST_F(ImageTest, HasTheBytesThatItsLayoutPromises) {
  const std::string head(
      "DEJI\x01\0\0\0"
      "\x2a\0\0\0\0\0\0\0"
      "\x07\0\0\0\0\0\0\0"
      "\xfb\xff\xff\xff\xff\xff\xff\xff"
      "\x03\0\0\0\x40\0\0\0"
      "\x03\0\0\0\0\0\0\0",
      48);
  EXPECT_EQ(image_.substr(0, 48), head);
  EXPECT_EQ(image_.substr(56, 3), "ada");
  EXPECT_EQ(image_.size(), 56 + 3 + kFrameBytes);
  EXPECT_EQ(image_[59], '\x01');
  // Stored images outlive builds: a checksum computed otherwise would refuse them all.
  std::uint64_t checksum = 0;
  std::memcpy(&checksum, image_.data() + 48, 8);
  EXPECT_EQ(checksum, 3690024655830971573U);
}

TEST_F(ImageTest, ComesBackAsItWas) {
  Image image;
  ASSERT_EQ(decode_image(image_, key_named(name_), image), ImageFault::kNone);
  EXPECT_EQ(image.header.sequence, 7U);
  EXPECT_EQ(image.header.updated_us, -5);
  EXPECT_EQ(image.header.late, 3U);
  EXPECT_EQ(image.header.catalog_hash, 42U);
  EXPECT_EQ(image.frame, image_.substr(59));
  EXPECT_TRUE(image.key == key_named(name_));
}

TEST_F(ImageTest, IsRefusedUnderAnotherKey) {
  Image image;
  const std::string other = "bob";
  EXPECT_EQ(decode_image(image_, key_named(other), image), ImageFault::kWrongKey);
  Key anonymous = key_named(name_);
  anonymous.name_space = KeyNamespace::kAnonymous;
  EXPECT_EQ(decode_image(image_, anonymous, image), ImageFault::kWrongKey);
}

TEST_F(ImageTest, IsRefusedAtEveryLengthButItsOwn) {
  Image image;
  for (std::size_t size = 0; size < image_.size(); ++size) {
    EXPECT_NE(decode_image(image_.substr(0, size), key_named(name_), image), ImageFault::kNone);
  }
  EXPECT_EQ(decode_image(image_ + "x", key_named(name_), image), ImageFault::kTruncated);
}

TEST_F(ImageTest, IsRefusedWithAnyBitFlipped) {
  Image image;
  for (std::size_t bit = 0; bit < image_.size() * 8; ++bit) {
    std::string damaged = image_;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_NE(decode_image(damaged, key_named(name_), image), ImageFault::kNone) << bit;
  }
}

TEST_F(ImageTest, IsSafeToDecodeFromAnyBytes) {
  std::mt19937_64 random(test_seed());
  Image image;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = image_.substr(0, random() % (image_.size() + 1));
    bytes.resize(random() % 200);
    for (int edit = 0; edit < 4 && !bytes.empty(); ++edit) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    if (bytes == image_) continue;
    EXPECT_NE(decode_image(bytes, key_named(name_), image), ImageFault::kNone);
  }
}

}  // namespace
}  // namespace deja
