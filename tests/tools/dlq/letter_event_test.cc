// From a dead letter's bytes, which may be anybody's, to the event that is sent again.
#include "tools/dlq/letter_event.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "ring/event_record.capnp.h"
#include "shm/catalog.capnp.h"
#include "shm/value.h"
#include "tests/support/seed.h"
#include "tools/dlq/replayed_marks.h"
#include "tools/replay/event_json.h"

namespace deja {
namespace {

using Bytes = std::vector<std::uint8_t>;

struct Declared {
  const char* name;
  schema::Call call;
  const char* match;
};

Bytes catalog_of(const std::vector<Declared>& events, const std::vector<std::string>& paths) {
  capnp::MallocMessageBuilder message;
  auto catalog = message.initRoot<schema::Catalog>();
  auto kinds = catalog.initEvents(static_cast<unsigned>(events.size()));
  for (unsigned at = 0; at < events.size(); ++at) {
    kinds[at].setName(events[at].name);
    kinds[at].setCall(events[at].call);
    kinds[at].setMatch(events[at].match);
  }
  auto slots = catalog.initSlots(static_cast<unsigned>(paths.size()));
  for (unsigned at = 0; at < paths.size(); ++at) slots[at].setPath(paths[at]);
  const kj::Array<capnp::word> words = capnp::messageToFlatArray(message);
  return {words.asBytes().begin(), words.asBytes().end()};
}

struct Placed {
  std::uint16_t slot;
  std::uint16_t element;
  ValueKind kind;
  double number;
  std::string text;
};

Bytes record_of(std::uint64_t kinds, const std::vector<Placed>& values,
                const std::string& user = "ada", std::uint8_t name_space = 0) {
  capnp::MallocMessageBuilder message(1U << 14U);
  auto event = message.initRoot<schema::EventRecord>();
  event.setReceivedUs(1'700'000'000'000'001);
  event.setTimeUs(1'700'000'000'000'000);
  event.setIdLow(0x11);
  event.setIdHigh(0x22);
  event.setKinds(kinds);
  event.setKeyNamespace(name_space);
  event.setKey({reinterpret_cast<const kj::byte*>(user.data()), user.size()});
  auto list = event.initValues(static_cast<unsigned>(values.size()));
  for (unsigned at = 0; at < values.size(); ++at) {
    list[at].setSlot(values[at].slot);
    list[at].setElement(values[at].element);
    list[at].setKind(static_cast<std::uint8_t>(values[at].kind));
    list[at].setNumber(values[at].number);
    list[at].setText(
        {reinterpret_cast<const kj::byte*>(values[at].text.data()), values[at].text.size()});
  }
  const auto bytes = message.getSegmentsForOutput()[0].asBytes();
  return {bytes.begin(), bytes.end()};
}

LetterEvent read(const Bytes& catalog, const Bytes& record, std::uint64_t sequence = 0,
                 bool settled = false, RefusalReason reason = RefusalReason::kPoison) {
  DeadLetterScan scan;
  scan.header.checksum = 0xabc;
  scan.catalogs.emplace_back(catalog);
  DeadLetter letter;
  letter.number = 3;
  letter.head.record_bytes = static_cast<std::uint32_t>(record.size());
  letter.head.sequence = sequence;
  letter.head.reason = reason;
  letter.record = record;
  letter.catalog = 0;
  letter.settled = settled;
  return read_letter_event(scan, letter);
}

std::string json_of(const LetterEvent& event) {
  std::string json;
  append_event_json(json, event.event);
  return json;
}

const std::vector<Declared> kEvents = {{"view", schema::Call::TRACK, "Product Viewed"},
                                       {"any", schema::Call::TRACK, "*"},
                                       {"visit", schema::Call::PAGE, "*"},
                                       {"who", schema::Call::IDENTIFY, ""}};
const std::vector<std::string> kPaths = {"properties.item", "properties.products[].price",
                                         "context.page.path", "traits.plan", "name"};

TEST(LetterEvent, HasValuesWhereTheyWere) {
  const LetterEvent event =
      read(catalog_of(kEvents, kPaths), record_of(0b11, {{0, 0, ValueKind::kText, 0, "p\"1"},
                                                         {1, 2, ValueKind::kNumber, 0.1, ""},
                                                         {1, 0, ValueKind::kNumber, 7, ""},
                                                         {2, 0, ValueKind::kNull, 0, ""}}));
  EXPECT_EQ(event.fault, "");
  EXPECT_EQ(event.kinds, (std::vector<std::string>{"view", "any"}));
  EXPECT_EQ(
      json_of(event),
      "{\"type\":\"track\",\"event\":\"Product Viewed\",\"userId\":\"ada\","
      "\"messageId\":\"deja-id:00000000000000220000000000000011\","
      "\"timestamp\":\"2023-11-14T22:13:20.000Z\","
      "\"properties\":{\"item\":\"p\\\"1\",\"products\":[{\"price\":7},null,{\"price\":0.1}]},"
      "\"context\":{\"page\":{\"path\":null}}}");
}

TEST(LetterEvent, HasANameThatMatchesAsItsOwnDid) {
  const Bytes catalog = catalog_of(kEvents, kPaths);
  EXPECT_EQ(read(catalog, record_of(0b10, {})).event.name, "*") << "whatever it was called";
  const LetterEvent visit = read(catalog, record_of(0b100, {{4, 0, ValueKind::kText, 0, "Home"}}));
  EXPECT_EQ(visit.event.type, "page");
  EXPECT_EQ(visit.event.name, "Home");
  const LetterEvent who =
      read(catalog, record_of(0b1000, {{3, 0, ValueKind::kText, 0, "gold"}}, "x", 1));
  EXPECT_EQ(who.user, "anon:x");
  EXPECT_EQ(json_of(who),
            "{\"type\":\"identify\",\"anonymousId\":\"x\","
            "\"messageId\":\"deja-id:00000000000000220000000000000011\","
            "\"timestamp\":\"2023-11-14T22:13:20.000Z\",\"traits\":{\"plan\":\"gold\"}}");
}

TEST(LetterEvent, IsReplayedUnderAnIdThatIsRightOnce) {
  const Bytes catalog = catalog_of(kEvents, kPaths);
  const Bytes record = record_of(1, {});
  const std::string own = "deja-id:00000000000000220000000000000011";
  EXPECT_EQ(read(catalog, record).event.id, own);
  EXPECT_EQ(read(catalog, record, 17, false).event.id, own) << "nobody decided durably";
  EXPECT_EQ(read(catalog, record, 17, true).event.id,
            "dead-letter:00000000000000220000000000000011")
      << "its own is remembered";
  DeadLetterHeaderLayout file{};
  file.checksum = 0xabc;
  DeadLetter letter;
  letter.number = 3;
  EXPECT_EQ(replay_id(file, letter, {}), "dead-letter:0000000000000abc:3");
}

TEST(LetterEvent, SaysWhyItCantBeReplayed) {
  const Bytes catalog = catalog_of(kEvents, kPaths);
  EXPECT_EQ(read(catalog, Bytes(24, 0xff)).fault, "its bytes are no event record");
  EXPECT_EQ(read(catalog, {1, 2, 3}).fault, "its bytes are no event record");
  EXPECT_EQ(read({}, record_of(1, {})).fault, "its bytes are no event record");
  EXPECT_NE(read(catalog, {}).fault, "");
  EXPECT_NE(read(catalog, record_of(1, {}, "")).fault, "");
  EXPECT_NE(read(catalog, record_of(0b10000, {})).fault, "") << "a kind that there is not";
  EXPECT_NE(read(catalog, record_of(1, {{9, 0, ValueKind::kNumber, 1, ""}})).fault, "");
  EXPECT_NE(read(catalog, record_of(1, {{0, 2000, ValueKind::kNumber, 1, ""}})).fault, "");
  EXPECT_NE(read(catalog, record_of(1, {}), 0, false, RefusalReason::kBrokenRecord).fault, "");
}

TEST(LetterEvent, AsksForLittleMemoryWhateverItSays) {
  std::vector<std::string> paths;
  std::vector<Placed> values;
  for (std::uint16_t at = 0; at < 4000; ++at) {
    paths.push_back("properties.a" + std::to_string(at) + "[].b");
    values.push_back({at, 1023, ValueKind::kNumber, 1, ""});
  }
  const LetterEvent event = read(catalog_of(kEvents, paths), record_of(1, values));
  std::size_t elements = 0;
  for (const DatumMember& member : event.event.properties.members) {
    elements += member.value.elements.size();
  }
  EXPECT_LE(elements, 1U << 16U);
  const LetterEvent deep = read(catalog_of(kEvents, {"properties" +
                                                     [] {
                                                       std::string path;
                                                       for (int at = 0; at < 100'000; ++at)
                                                         path += ".a";
                                                       return path;
                                                     }()}),
                                record_of(1, {{0, 0, ValueKind::kNumber, 1, ""}}));
  EXPECT_NE(deep.fault, "");
}

TEST(LetterEvent, SurvivesAnyBytes) {
  std::mt19937_64 random(test_seed());
  const Bytes catalog = catalog_of(kEvents, kPaths);
  const Bytes record =
      record_of(0b11, {{0, 0, ValueKind::kText, 0, "p1"}, {1, 2, ValueKind::kNumber, 0.1, ""}});
  for (int round = 0; round < 20'000; ++round) {
    Bytes hostile_catalog = catalog;
    Bytes hostile_record = record;
    Bytes& hostile = random() % 2 == 0 ? hostile_catalog : hostile_record;
    const std::uint64_t changes = 1 + random() % 6;
    for (std::uint64_t change = 0; change < changes; ++change) {
      hostile[random() % hostile.size()] = static_cast<std::uint8_t>(random());
    }
    if (random() % 8 == 0) hostile.resize(random() % hostile.size());
    const LetterEvent event = read(hostile_catalog, hostile_record);
    EXPECT_TRUE(event.readable || !event.fault.empty());
    EXPECT_FALSE(json_of(event).empty());
  }
}

class ReplayedMarksTest : public testing::Test {
 protected:
  ReplayedMarksTest() {
    char path[] = "/tmp/deja-marks-XXXXXX";
    if (mkdtemp(path) != nullptr) directory_ = path;
  }
  ~ReplayedMarksTest() override { std::filesystem::remove_all(directory_); }
  void mark(std::uint64_t file, std::uint64_t number) {
    auto marks = ReplayedMarks::read(directory_, file);
    ASSERT_TRUE(marks.ok());
    ASSERT_TRUE(marks->lock().ok());
    ASSERT_TRUE(marks->add(number).ok());
  }
  [[nodiscard]] bool marked(std::uint64_t file, std::uint64_t number) const {
    const auto marks = ReplayedMarks::read(directory_, file);
    EXPECT_TRUE(marks.ok());
    return marks->find(number).has_value();
  }
  std::string directory_;
};

TEST_F(ReplayedMarksTest, AreOfOneFileOfLetters) {
  mark(7, 1);
  mark(7, 3);
  mark(8, 2);
  EXPECT_TRUE(marked(7, 1) && marked(7, 3) && marked(8, 2));
  EXPECT_FALSE(marked(7, 2) || marked(8, 1));
}

TEST_F(ReplayedMarksTest, ATornOrFlippedOneIsNone) {
  mark(7, 1);
  mark(7, 2);
  const std::string path = directory_ + "/" + kReplayedFile;
  std::filesystem::resize_file(path, 2 * sizeof(ReplayedMarkLayout) - 1);
  EXPECT_TRUE(marked(7, 1));
  EXPECT_FALSE(marked(7, 2));
  mark(7, 3);
  EXPECT_TRUE(marked(7, 1) && marked(7, 3)) << "written over the torn one";
  const int descriptor = open(path.c_str(), O_WRONLY);
  ASSERT_EQ(pwrite(descriptor, "x", 1, 20), 1);
  close(descriptor);
  EXPECT_FALSE(marked(7, 1));
  EXPECT_TRUE(marked(7, 3));
}

TEST_F(ReplayedMarksTest, OnlyOneReplayAtATime) {
  auto first = ReplayedMarks::read(directory_, 7);
  auto second = ReplayedMarks::read(directory_, 7);
  ASSERT_TRUE(first.ok() && second.ok());
  ASSERT_TRUE(first->lock().ok());
  const Status refused = second->lock();
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("another deja dlq replay"), std::string::npos);
}

}  // namespace
}  // namespace deja
