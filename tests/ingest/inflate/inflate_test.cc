#include "ingest/inflate.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/seed.h"

namespace deja {
namespace {

std::vector<std::uint8_t> gzip(std::string_view text, int window = 16 + MAX_WBITS) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::vector<std::uint8_t> out(deflateBound(&stream, text.size()) + 64);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<unsigned>(text.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<unsigned>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string as_text(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(Inflater, GivesBackWhatWasCompressed) {
  Inflater inflater(10'000, 64);
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 300; ++round) {
    std::string text(random() % 10'001, 'x');
    for (char& c : text)
      c = static_cast<char>('a' + random() % static_cast<unsigned>(1 + round % 20));
    std::span<const std::uint8_t> out;
    ASSERT_EQ(inflater.inflate(gzip(text), out), Inflater::Outcome::kDone);
    ASSERT_EQ(as_text(out), text);
  }
}

TEST(Inflater, JoinsSeveralMembers) {
  Inflater inflater(100, 64);
  auto bytes = gzip("one ");
  const auto more = gzip("two");
  bytes.insert(bytes.end(), more.begin(), more.end());
  std::span<const std::uint8_t> out;
  ASSERT_EQ(inflater.inflate(bytes, out), Inflater::Outcome::kDone);
  EXPECT_EQ(as_text(out), "one two");
}

// The output has one bound, whatever the ratio and however many members it is spread over.
TEST(Inflater, StopsABombOfAnyShapeAtTheLimit) {
  Inflater inflater(500 * 1024, 64);
  std::span<const std::uint8_t> out;
  const auto bomb = gzip(std::string(100U << 20U, '\0'));
  EXPECT_LT(bomb.size(), 110'000U) << "a thousand to one";
  EXPECT_EQ(inflater.inflate(bomb, out), Inflater::Outcome::kTooLarge);
  std::vector<std::uint8_t> members;
  const auto member = gzip(std::string(50 * 1024, 'a'));
  for (int number = 0; number < 11; ++number) {
    members.insert(members.end(), member.begin(), member.end());
  }
  EXPECT_EQ(inflater.inflate(members, out), Inflater::Outcome::kTooLarge);
  std::vector<std::uint8_t> nothings;
  const auto nothing = gzip("");
  while (nothings.size() + nothing.size() <= 500 * 1024) {
    nothings.insert(nothings.end(), nothing.begin(), nothing.end());
  }
  EXPECT_EQ(inflater.inflate(nothings, out), Inflater::Outcome::kDone);
  EXPECT_TRUE(out.empty());
}

TEST(Inflater, StopsABombAtTheLimit) {
  Inflater inflater(500 * 1024, 64);
  std::span<const std::uint8_t> out;
  EXPECT_EQ(inflater.inflate(gzip(std::string(500 * 1024, 'a')), out), Inflater::Outcome::kDone);
  EXPECT_EQ(out.size(), 500U * 1024);
  EXPECT_EQ(inflater.inflate(gzip(std::string(500 * 1024 + 1, 'a')), out),
            Inflater::Outcome::kTooLarge);
  EXPECT_EQ(inflater.inflate(gzip(std::string(64 << 20, 'a')), out), Inflater::Outcome::kTooLarge);
  auto twice = gzip(std::string(300 * 1024, 'a'));
  const std::size_t bytes = twice.size();
  twice.resize(bytes * 2);
  std::copy(twice.begin(), twice.begin() + static_cast<std::ptrdiff_t>(bytes),
            twice.begin() + static_cast<std::ptrdiff_t>(bytes));
  EXPECT_EQ(inflater.inflate(twice, out), Inflater::Outcome::kTooLarge);
}

TEST(Inflater, RefusesWhatIsNotWholeGzip) {
  Inflater inflater(10'000, 64);
  const auto good = gzip("some text that is long enough to be cut anywhere");
  std::span<const std::uint8_t> out;
  for (std::size_t at = 0; at < good.size(); ++at) {
    EXPECT_EQ(inflater.inflate(std::span(good).first(at), out), Inflater::Outcome::kCorrupt) << at;
  }
  auto damaged = good;
  damaged[damaged.size() - 5] ^= 1U;  // the checksum
  EXPECT_EQ(inflater.inflate(damaged, out), Inflater::Outcome::kCorrupt);
  auto trailed = good;
  trailed.push_back('x');
  EXPECT_EQ(inflater.inflate(trailed, out), Inflater::Outcome::kCorrupt);
  EXPECT_EQ(inflater.inflate(gzip("x", MAX_WBITS), out), Inflater::Outcome::kCorrupt);   // zlib
  EXPECT_EQ(inflater.inflate(gzip("x", -MAX_WBITS), out), Inflater::Outcome::kCorrupt);  // raw
  const std::string plain = R"({"event":"E"})";
  EXPECT_EQ(
      inflater.inflate({reinterpret_cast<const std::uint8_t*>(plain.data()), plain.size()}, out),
      Inflater::Outcome::kCorrupt);
  // None of which harms what comes next.
  EXPECT_EQ(inflater.inflate(good, out), Inflater::Outcome::kDone);
}

}  // namespace
}  // namespace deja
