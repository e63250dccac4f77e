// A replay: an input is a map, a line "---", and a data file, CSV or JSON lines as the map says. A
// map that is wrong is refused with its place. Rows are the same however the file was cut into
// pieces; every event made of one is JSON that the ingest side reads, with the same user, id, name
// and time.
#include <string>
#include <vector>

#include "ingest/timestamp.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/is_json.h"
#include "tools/replay/csv_rows.h"
#include "tools/replay/event_json.h"
#include "tools/replay/json_rows.h"
#include "tools/replay/row_event.h"
#include "tools/replay/stream_event.h"

namespace deja::fuzz {
namespace {

constexpr std::string_view kBetween = "\n---\n";
constexpr std::uint64_t kRowsMax = 2000;

/// A file in memory, given out in pieces.
class Bytes final : public ByteSource {
 public:
  Bytes(std::string_view bytes, Dice* pieces) : left_(bytes), pieces_(pieces) {}

  [[nodiscard]] Result<std::span<const char>> next() override {
    const std::size_t size = pieces_ == nullptr
                                 ? left_.size()
                                 : std::min<std::size_t>(left_.size(), 1 + pieces_->below(40));
    piece_.assign(left_.begin(), left_.begin() + static_cast<std::ptrdiff_t>(size));
    left_.remove_prefix(size);
    return std::span<const char>(piece_);
  }

 private:
  std::string_view left_;
  Dice* pieces_;
  std::vector<char> piece_;  // of just its size
};

/// What the ingest side would find in the event.
void check_event(const ReplayEvent& event) {
  std::string text;
  append_event_json(text, event);
  CHECK(is_json(text));
  const std::optional<TomlValue> json = parse_json(text);
  CHECK(json.has_value());
  const auto member = [&](const char* name) {
    const TomlValue* value = json->find(name);
    return value == nullptr ? std::string() : value->text;
  };
  CHECK(member("userId") == event.user && member("anonymousId") == event.anonymous);
  CHECK(member("messageId") == event.id && member("type") == event.type);
  if (event.type == "track") CHECK(member("event") == event.name);
  const auto time_us = parse_timestamp(member("timestamp"));
  CHECK(!time_us || *time_us == event.time_us);
  (void)producer_event(event);
}

/// Every row, as text; "!" for one that is bad.
std::vector<std::string> read_rows(const ReplayMap& map, std::string_view data, Dice* pieces) {
  std::vector<std::string> seen;
  auto bytes = std::make_unique<Bytes>(data, pieces);
  std::unique_ptr<RowReader> reader;
  if (map.format == ReplayMap::Format::kJsonLines) {
    reader = std::make_unique<JsonRows>(std::move(bytes), "data.jsonl", map);
  } else {
    auto rows =
        std::make_unique<CsvRows>(std::move(bytes), "data.csv", map.separator, map.file_columns);
    const Status bound = rows->bind(map);
    if (!bound.ok()) return {bound.error().message()};
    reader = std::move(rows);
  }
  const RowEvents events(map, "data");
  Row row;
  ReplayEvent event;
  while (seen.size() < kRowsMax) {
    const auto outcome = reader->next(row);
    if (!outcome.ok()) {
      seen.push_back(outcome.error().message());
      break;
    }
    if (outcome.value() == RowReader::Outcome::kEnd) break;
    if (outcome.value() == RowReader::Outcome::kBad) {
      CHECK(!reader->complaint().empty());
      seen.push_back("!" + reader->complaint());
      continue;
    }
    CHECK(row.values.size() == map.columns.size());
    std::string text = std::to_string(row.number);
    for (const Value& value : row.values) {
      text += "|" + cast_text(value, Cast::kNone).value_or("-");
    }
    seen.push_back(std::move(text));
    if (events.make(row, event) == RowOutcome::kEvent) check_event(event);
  }
  return seen;
}

void run(std::span<const std::uint8_t> input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const std::size_t between = text.find(kBetween);
  const auto map = ReplayMap::parse(std::string(text.substr(0, between)), "m.toml");
  if (!map.ok()) {
    CHECK(map.error().message().starts_with("m.toml:"));
    return;
  }
  if (between == text.npos) return;
  const std::string_view data = text.substr(between + kBetween.size());
  Dice dice(input);
  CHECK(read_rows(*map, data, nullptr) == read_rows(*map, data, &dice));
}

}  // namespace
}  // namespace deja::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  deja::fuzz::run({data, size});
  return 0;
}
