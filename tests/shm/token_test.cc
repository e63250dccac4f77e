#include "shm/token.h"

#include <gtest/gtest.h>

#include <string>

namespace deja {
namespace {

TEST(Token, WhatIsWrittenIsReadBack) {
  const TokenPart parts[] = {{0, 1, 0x1234}, {0xffffffff, 0xffffffff, ~std::uint64_t{0}}};
  char text[token_bytes_max(2)];
  const std::size_t size = format_token(~std::uint64_t{0}, parts, 2, text, sizeof text);
  EXPECT_EQ(size + 1, sizeof text - 26);  // the first part is 26 short of the longest
  EXPECT_EQ(std::string(text).substr(0, 29), "v1.ffffffffffffffff.0:1:1234.");
  TokenReader reader(text, size);
  ASSERT_TRUE(reader.valid());
  EXPECT_EQ(reader.incarnation(), ~std::uint64_t{0});
  for (int pass = 0; pass < 2; ++pass) {
    TokenPart part;
    for (const TokenPart& expected : parts) {
      ASSERT_TRUE(reader.next(part));
      EXPECT_EQ(part.ingest, expected.ingest);
      EXPECT_EQ(part.worker, expected.worker);
      EXPECT_EQ(part.position, expected.position);
    }
    EXPECT_FALSE(reader.next(part));
    reader.rewind();
  }
}

TEST(Token, ATokenThatDoesNotFitIsNotWritten) {
  const TokenPart part{1, 2, 3};
  char text[64];
  const std::size_t size = format_token(0xabc, &part, 1, text, sizeof text);
  EXPECT_EQ(std::string(text, size), "v1.abc.1:2:3");
  for (std::size_t capacity = 0; capacity <= size; ++capacity) {
    EXPECT_EQ(format_token(0xabc, &part, 1, text, capacity), 0U);
  }
  EXPECT_EQ(format_token(0xabc, &part, 1, text, size + 1), size);
  EXPECT_EQ(format_token(0xabc, &part, 0, text, sizeof text), 0U);
}

TEST(Token, AnythingElseIsNoToken) {
  for (const char* text : {"",
                           "v",
                           "v1",
                           "v1.",
                           "v1.a",
                           "v1.a.",
                           "v2.a.1:2:3",
                           "v1..1:2:3",
                           "v1.a.1:2",
                           "v1.a.1:2:",
                           "v1.a.1:2:3.",
                           "v1.a.1:2:3:4",
                           "v1.A.1:2:3",
                           "v1.a.1:2:G",
                           "v1.a.-1:2:3",
                           " v1.a.1:2:3",
                           "v1.a.1:2:3 ",
                           "v1.a.123456789:2:3",
                           "v1.a.1:2:12345678901234567",
                           "v1.12345678901234567.1:2:3"}) {
    const std::string exact(text);
    EXPECT_FALSE(TokenReader(exact.data(), exact.size()).valid()) << text;
  }
}

}  // namespace
}  // namespace deja
