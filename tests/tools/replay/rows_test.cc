#include "tools/replay/rows.h"

#include <gtest/gtest.h>
#include <lzma.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "tools/replay/byte_source.h"
#include "tools/replay/event_json.h"
#include "tools/replay/row_event.h"

namespace deja {
namespace {

/// A file that goes away with the test.
class ScratchFile {
 public:
  ScratchFile(const std::string& ending, const std::string& content)
      : path_(testing::TempDir() + "rows_test_" + std::to_string(getpid()) + ending) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~ScratchFile() { std::remove(path_.c_str()); }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

ReplayMap map_of(const std::string& head, const std::string& rules) {
  auto map = ReplayMap::parse(head + "\n" + rules, "m.toml");
  EXPECT_TRUE(map.ok()) << map.error().message();
  return std::move(map.value());
}

ReplayMap csv_map() {
  return map_of("format = \"csv\"\nuser = \"u\"\ntime = { column = \"t\", unit = \"s\" }",
                "[[event]]\ntrack = \"x\"\nproperties = { a = \"a\" }");
}

/// Each row's values joined by "|", "-" for an absent one; "!" for a bad row.
std::vector<std::string> rows_of(const std::string& path, const ReplayMap& map) {
  auto reader = RowReader::open(path, map);
  EXPECT_TRUE(reader.ok()) << reader.error().message();
  std::vector<std::string> rows;
  Row row;
  for (;;) {
    const auto outcome = (*reader)->next(row);
    if (!outcome.ok()) {
      rows.push_back("error");
      return rows;
    }
    if (outcome.value() == RowReader::Outcome::kEnd) return rows;
    if (outcome.value() == RowReader::Outcome::kBad) {
      rows.push_back("!");
      continue;
    }
    std::string text;
    for (const Value& value : row.values) {
      text += (text.empty() ? "" : "|") + cast_text(value, Cast::kNone).value_or("-");
    }
    rows.push_back(text);
  }
}

TEST(CsvRows, ReadWhatRfc4180Allows) {
  const ScratchFile file(".csv",
                         "\xef\xbb\xbfu,t,a\r\n"
                         "1,2,plain\r\n"
                         "\"1\",\"2\",\"a,b\"\n"
                         "1,2,\"say \"\"hi\"\"\"\n"
                         "1,2,\"two\nlines\"\n"
                         "1,,\n"
                         "1,2,5\" pipe\n"
                         "1,2,\"\"\n"
                         "1,2,last");
  EXPECT_EQ(rows_of(file.path(), csv_map()),
            (std::vector<std::string>{"1|2|plain", "1|2|a,b", "1|2|say \"hi\"", "1|2|two\nlines",
                                      "1|-|-", "1|2|5\" pipe", "1|2|-", "1|2|last"}));
}

TEST(CsvRows, SkipABadRowAndGoOn) {
  const ScratchFile file(".csv", "u,t,a\n1,2\n1,2,3,4\n1,2,\"x\"y\n1,2,3\n1,2,\"open\n");
  EXPECT_EQ(rows_of(file.path(), csv_map()),
            (std::vector<std::string>{"!", "!", "!", "1|2|3", "!"}));
}

TEST(CsvRows, SkipARowWhoseWantedFieldsAreNotUtf8) {
  // As a text it would be refused by the stream, and mended over HTTP: two users could become one.
  const ScratchFile file(".csv", "u,other,t,a\nu\xe9,x,1,2\nu,\xe9,1,2\nu,x,1,\xc3\xa9\n");
  EXPECT_EQ(rows_of(file.path(), csv_map()),
            (std::vector<std::string>{"!", "u|1|2", "u|1|\xc3\xa9"}));
}

TEST(CsvRows, SayThatARowIsTooLongAndGoOn) {
  const ScratchFile file(".csv", "u,t,a\n1,2," + std::string(2'000'000, 'x') + "\n1,2,3\n");
  EXPECT_EQ(rows_of(file.path(), csv_map()), (std::vector<std::string>{"!", "1|2|3"}));
}

TEST(CsvRows, NameAColumnThatTheFileDoesNotHave) {
  const ScratchFile file(".csv", "user,t,a\n");
  const auto reader = RowReader::open(file.path(), csv_map());
  ASSERT_FALSE(reader.ok());
  EXPECT_TRUE(reader.error().message().starts_with("m.toml:2:8: ")) << reader.error().message();
}

TEST(CsvRows, TakeTheirColumnsFromTheMapWhereThereIsNoHeader) {
  const ScratchFile file(".csv", "1\t2\t3\n");
  const ReplayMap map = map_of(
      "format = \"csv\"\nseparator = \"\\t\"\ncolumns = [\"t\", \"a\", \"u\"]\nuser = \"u\"\n"
      "time = { column = \"t\", unit = \"s\" }",
      "[[event]]\ntrack = \"x\"\nproperties = { a = \"a\" }");
  EXPECT_EQ(rows_of(file.path(), map), (std::vector<std::string>{"3|1|2"}));
}

TEST(JsonRows, LookIntoTheElementFirstAndThenIntoTheLine) {
  const ScratchFile file(
      ".jsonl",
      "{\"u\":7,\"t\":1,\"events\":[{\"a\":\"x\"},{\"a\":true,\"t\":2.5}]}\n\nnot json\n[]\n"
      "{\"u\":\"v\",\"events\":5}\n{\"u\":\"v\",\"events\":[]}\n{\"u\":\"v\",\"events\":[{\"a\":[1]"
      "}]}");
  const ReplayMap map = map_of(
      "format = \"jsonl\"\neach = \"events\"\nuser = \"u\"\ntime = { column = \"t\", unit = \"s\" "
      "}",
      "[[event]]\ntrack = \"x\"\nproperties = { a = \"a\" }");
  EXPECT_EQ(rows_of(file.path(), map),
            (std::vector<std::string>{"7|1|x", "7|2.5|true", "!", "!", "!", "v|-|-"}));
}

std::string gzip(const std::string& text) {
  std::string out(text.size() + 1000, '\0');
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string xz(const std::string& text) {
  std::string out(lzma_stream_buffer_bound(text.size()), '\0');
  std::size_t bytes = 0;
  EXPECT_EQ(lzma_easy_buffer_encode(
                1, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const std::uint8_t*>(text.data()),
                text.size(), reinterpret_cast<std::uint8_t*>(out.data()), &bytes, out.size()),
            LZMA_OK);
  out.resize(bytes);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1));
  return out;
}

TEST(ByteSource, InflatesByExtensionAndNoticesAnEarlyEnd) {
  std::string text = "u,t,a\n";
  for (int row = 0; row < 100'000; ++row) text += std::to_string(row) + ",2,some more text\n";
  const std::pair<const char*, std::string> files[] = {
      {".csv.gz", gzip(text)},
      {".csv.xz", xz(text)},
      {".csv.zst", zstd(text)},
      {".csv.gz", gzip(text.substr(0, 1000)) + gzip(text.substr(1000))},
      {".csv.xz", xz(text.substr(0, 1000)) + xz(text.substr(1000))},
  };
  for (const auto& [ending, packed] : files) {
    const ScratchFile whole(ending, packed);
    EXPECT_EQ(rows_of(whole.path(), csv_map()).size(), 100'000U) << ending;
    const ScratchFile cut(ending, packed.substr(0, packed.size() / 2));
    EXPECT_EQ(rows_of(cut.path(), csv_map()).back(), "error") << ending;
    const ScratchFile garbage(ending, "u,t,a\nthis is not compressed\n");
    const auto reader = RowReader::open(garbage.path(), csv_map());
    EXPECT_FALSE(reader.ok()) << ending;
  }
}

ReplayEvent event_of(const std::string& rules, const std::string& csv, RowOutcome expected) {
  const ScratchFile file(".csv", csv);
  auto parsed = ReplayMap::parse("format = \"csv\"\n" + rules, "m.toml");
  EXPECT_TRUE(parsed.ok()) << parsed.error().message();
  auto reader = RowReader::open(file.path(), parsed.value());
  EXPECT_TRUE(reader.ok()) << reader.error().message();
  Row row;
  EXPECT_EQ((*reader)->next(row).value(), RowReader::Outcome::kRow);
  ReplayEvent event;
  EXPECT_EQ(RowEvents(parsed.value(), "f.csv").make(row, event), expected);
  return event;
}

TEST(RowEvents, MakeTheEventThatTheMapDescribes) {
  const ReplayEvent event =
      event_of(R"(
user = "u:integer"
anonymous = "anon-{i}"
time = { column = "t", format = "%Y-%m-%d %H:%M:%S" }
id = ["i", "#row"]
[[event]]
when = "q < 0"
track = "Refund"
[[event]]
when = "i == 'C1' and q >= 2"
track = "Order of {i}"
properties = { q = "q:number", text = "q", total = "=q * p", gone = "e", none = "=p / 0", list = [{ p = "p:number", n = 1 }], yes = true }
context = { page = { path = "i" } }
)",
               "u,t,i,q,p,e\n17850.0,2010-12-01 08:26:00,C1,2,2.5,\n", RowOutcome::kEvent);
  std::string json;
  append_event_json(json, event);
  EXPECT_EQ(json,
            "{\"type\":\"track\",\"event\":\"Order of C1\",\"userId\":\"17850\","
            "\"anonymousId\":\"anon-C1\",\"messageId\":\"C1-1\","
            "\"timestamp\":\"2010-12-01T08:26:00.000Z\",\"properties\":{\"q\":2,\"text\":\"2\","
            "\"total\":5,\"list\":[{\"p\":2.5,\"n\":1}],\"yes\":true},"
            "\"context\":{\"page\":{\"path\":\"C1\"}}}");
}

TEST(RowEvents, SayWhyARowIsNone) {
  const char* rules =
      "user = \"u:integer\"\ntime = { column = \"t\", unit = \"ms\" }\n[[event]]\nwhen = \"q > "
      "1\"\n"
      "track = \"x\"\n";
  event_of(rules, "u,t,q\n,1,2\n", RowOutcome::kNoUser);
  event_of(rules, "u,t,q\n1.5,1,2\n", RowOutcome::kNoUser);
  event_of(rules, "u,t,q\n1,1,1\n", RowOutcome::kNoRule);
  event_of(rules, "u,t,q\n1,soon,2\n", RowOutcome::kBadTime);
  // Seconds taken for milliseconds, say: no event can name the year 57647, and none says another.
  event_of(rules, "u,t,q\n1,1756993536656000,2\n", RowOutcome::kBadTime);
  event_of(rules, "u,t,q\n1,-62167219200001,2\n", RowOutcome::kBadTime);
  EXPECT_EQ(event_of(rules, "u,t,q\n1,1592337718123.5,2\n", RowOutcome::kEvent).time_us,
            1'592'337'718'123'500);
}

TEST(RowEvents, GiveEveryRowAnIdWhereTheMapDoesNot) {
  EXPECT_EQ(event_of("user = \"u\"\ntime = { column = \"t\", unit = \"s\" }\n[[event]]\n"
                     "type = \"identify\"\ntraits = { a = \"u\" }\n",
                     "u,t\nx,1\n", RowOutcome::kEvent)
                .id,
            "f.csv-1");
}

}  // namespace
}  // namespace deja
