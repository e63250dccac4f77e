#include "ingest/json_extractor.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>

#include "ingest/json_scan.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

// Slots in this order.
constexpr const char* kPaths[] = {"properties.price",
                                  "properties.products[].price",
                                  "properties.products[].id",
                                  "context.page.path",
                                  "traits.plan",
                                  "userId",
                                  "event",
                                  "properties.tags[]"};

class JsonExtractorTest : public testing::Test {
 protected:
  JsonExtractorTest() {
    capnp::MallocMessageBuilder message;
    auto catalog = message.initRoot<schema::Catalog>();
    auto slots = catalog.initSlots(std::size(kPaths));
    for (unsigned at = 0; at < std::size(kPaths); ++at) slots[at].setPath(kPaths[at]);
    paths_ = std::make_unique<PathTrie>(catalog.asReader());
    extractor_ = std::make_unique<JsonExtractor>(*paths_, std::size(kPaths), 40);
    extractor_->share_nothing();
    event_ = std::make_unique<Extraction>();
  }

  static std::string padded(std::string text) {
    text.append(kJsonPaddingBytes, '\xff');  // whatever lies there must not matter
    return text;
  }
  /// "" when it was taken, else "code path".
  std::string extract(const std::string& text, CallType route = CallType::kTrack) {
    text_ = padded(text);
    const std::string_view given = std::string_view(text_).substr(0, text.size());
    JsonCursor cursor{given.data(), given.data() + given.size()};
    std::string_view event;
    if (!scan_value(cursor, event) || !cursor.at_end()) return "structure";
    Refusal refusal;
    if (extractor_->extract(event, route, *event_, refusal)) return "";
    return std::string(refusal.code) + " " + refusal.path;
  }
  std::string share(const std::string& text) {
    shared_ = padded(text);
    Refusal refusal;
    if (extractor_->share(std::string_view(shared_).substr(0, text.size()), refusal)) return "";
    return std::string(refusal.code) + " " + refusal.path;
  }
  /// What was captured: "slot.element=value …".
  std::string captured() {
    std::string all;
    for (std::uint32_t at = 0; at < event_->captured_count; ++at) {
      const CapturedValue& value = event_->captured[at];
      all += std::to_string(value.slot) + "." + std::to_string(value.element) + "=";
      switch (value.value.kind) {
        case ValueKind::kAbsent:
          all += "absent";
          break;
        case ValueKind::kNull:
          all += "null";
          break;
        case ValueKind::kBool:
          all += value.value.number != 0 ? "true" : "false";
          break;
        case ValueKind::kNumber: {
          char digits[40];
          std::snprintf(digits, sizeof digits, "%.17g", value.value.number);
          all += digits;
          break;
        }
        case ValueKind::kText:
          all += "'" + std::string(value.value.text, value.value.text_bytes) + "'";
      }
      all += " ";
    }
    if (!all.empty()) all.pop_back();
    return all;
  }

  std::unique_ptr<PathTrie> paths_;
  std::unique_ptr<JsonExtractor> extractor_;
  std::unique_ptr<Extraction> event_;
  std::string text_;
  std::string shared_;
};

/// An event with these members beside what a track needs.
std::string event(const std::string& members) {
  return R"({"event":"E","userId":"u",)" + members + "}";
}

TEST_F(JsonExtractorTest, NotesWhatHasAMeaningOfItsOwn) {
  ASSERT_EQ(extract(R"( {"type":"track","event":"Product \"Viewed\"","userId":"ü1",
      "anonymousId":"a","messageId":"m-1","timestamp":"2026-11-20T20:25:54Z",
      "sentAt":1795206355000,"integrations":{"All":true}} )"),
            "");
  EXPECT_EQ(event_->call, CallType::kTrack);
  EXPECT_EQ(event_->name, "Product \"Viewed\"");
  EXPECT_EQ(event_->user_id, "ü1");
  EXPECT_EQ(event_->anonymous_id, "a");
  EXPECT_EQ(event_->message_id, "m-1");
  EXPECT_TRUE(event_->has_timestamp);
  EXPECT_EQ(event_->timestamp_us, 1'795'206'354'000'000);
  EXPECT_TRUE(event_->has_sent_at);
  EXPECT_EQ(event_->sent_at_us, 1'795'206'355'000'000);
  EXPECT_EQ(captured(), "6.0='Product \"Viewed\"' 5.0='ü1'");
}

TEST_F(JsonExtractorTest, KnowsEveryCallByRouteOrType) {
  const struct {
    const char* type;
    CallType call;
    const char* name;
  } cases[] = {{"track", CallType::kTrack, "E"},   {"page", CallType::kPage, "N"},
               {"screen", CallType::kScreen, "N"}, {"group", CallType::kGroup, "G"},
               {"alias", CallType::kAlias, ""},    {"identify", CallType::kIdentify, ""}};
  for (const auto& wanted : cases) {
    const std::string members = R"("event":"E","name":"N","groupId":"G","userId":"u"})";
    EXPECT_EQ(extract(R"({"type":")" + std::string(wanted.type) + "\"," + members, CallType::kNone),
              "");
    EXPECT_EQ(event_->call, wanted.call);
    EXPECT_EQ(event_->name, wanted.name);
    EXPECT_EQ(extract("{" + members, wanted.call), "");
    EXPECT_EQ(event_->name, wanted.name);
  }
}

TEST_F(JsonExtractorTest, CapturesDeclaredValuesWhereverTheyAre) {
  const struct {
    const char* members;
    const char* captured;
  } cases[] = {
      {R"("properties":{"price":1.5})", "0.0=1.5"},
      {R"("properties":{"price":"x"})", "0.0='x'"},
      {R"("properties":{"price":null})", "0.0=null"},
      {R"("properties":{"price":true})", "0.0=true"},
      {R"("properties":{"price":{"a":1}})", ""},
      {R"("properties":{"price":[1]})", ""},
      {R"("properties":[{"price":1}])", ""},
      {R"("price":1,"other":{"properties":{"price":1}})", ""},
      {R"("properties":{"products":[{"price":1,"id":"a"},{"id":"b"},{"price":3}]})",
       "1.0=1 2.0='a' 2.1='b' 1.2=3"},
      {R"("properties":{"products":[1,{"price":2},[{"price":3}],null]})", "1.1=2"},
      {R"("properties":{"products":{"price":1}})", ""},
      {R"("properties":{"tags":["a","b",null]})", "7.0='a' 7.1='b' 7.2=null"},
      {R"("context":{"page":{"path":"/p","x":[[[]]]},"y":{}},"traits":{"plan":false})",
       "3.0='/p' 4.0=false"},
      {R"("properties":{"pri\u0063e":7})", "0.0=7"},
      // Numbers.
      {R"("properties":{"price":9007199254740993})", "0.0=9007199254740992"},
      {R"("properties":{"price":123456789012345678901234567890})", "0.0=1.2345678901234568e+29"},
      {R"("properties":{"price":-0.0})", "0.0=-0"},
      {R"("properties":{"price":1e-400})", "0.0=0"},
      {R"("properties":{"price":1.7976931348623157e308})", "0.0=1.7976931348623157e+308"},
      // Texts.
      {R"("properties":{"price":"\u00e9\ud83d\ude00\n\/"})", "0.0='é😀\n/'"},
      {R"("properties":{"price":""})", "0.0=''"},
  };
  for (const auto& wanted : cases) {
    EXPECT_EQ(extract(event(wanted.members)), "") << wanted.members;
    const std::string always = "6.0='E' 5.0='u'";
    const std::string more = *wanted.captured == '\0' ? "" : " " + std::string(wanted.captured);
    EXPECT_EQ(captured(), always + more) << wanted.members;
  }
}

TEST_F(JsonExtractorTest, LetsTheLastOfEqualMembersCount) {
  const struct {
    const char* members;
    const char* captured;
  } cases[] = {
      {R"("properties":{"price":1,"price":2})", "0.0=2"},
      {R"("properties":{"price":1},"properties":{"price":2})", "0.0=2"},
      {R"("properties":{"price":1},"properties":{})", ""},
      {R"("properties":{"price":1},"properties":null)", ""},
      {R"("properties":{"price":1,"price":{}})", ""},
      {R"("properties":{"products":[{"price":1},{"price":2}],"price":5,"products":[{"id":"x"}]})",
       "0.0=5 2.0='x'"},
      {R"("properties":{"price":1,"tags":["a"],"price":2,"tags":[]})", "0.0=2"},
      {R"("traits":{"plan":1},"properties":{"price":1},"traits":{"plan":2},"properties":{"price":3,"price":4})",
       "4.0=2 0.0=4"},
  };
  for (const auto& wanted : cases) {
    EXPECT_EQ(extract(event(wanted.members)), "") << wanted.members;
    const std::string more = *wanted.captured == '\0' ? "" : " " + std::string(wanted.captured);
    EXPECT_EQ(captured(), "6.0='E' 5.0='u'" + more) << wanted.members;
  }
  EXPECT_EQ(extract(R"({"event":{},"userId":[],"userId":"u","event":"E","event":"F"})"), "");
  EXPECT_EQ(event_->name, "F");
  EXPECT_EQ(event_->user_id, "u");
}

TEST_F(JsonExtractorTest, TakesNumbersAsIds) {
  const struct {
    const char* number;
    const char* id;
  } cases[] = {{"17", "17"},
               {"-3", "-3"},
               {"0", "0"},
               {"-0", "0"},
               {"12345678901234567890", "12345678901234567890"},
               {"9007199254740993", "9007199254740993"},
               {"1.0", "1"},
               {"1e3", "1000"},
               {"0.5", "0.5"},
               {"17 ", "17"}};
  for (const auto& wanted : cases) {
    EXPECT_EQ(extract(R"({"event":"E","userId":)" + std::string(wanted.number) +
                      R"(,"anonymousId":4.5})"),
              "");
    EXPECT_EQ(event_->user_id, wanted.id);
    EXPECT_EQ(event_->anonymous_id, "4.5");
  }
}

TEST_F(JsonExtractorTest, NamesTheFaultAndItsPlace) {
  std::string deep = "1";
  for (int at = 0; at < 31; ++at) deep = "[" + deep + "]";
  EXPECT_EQ(extract(event("\"x\":" + deep)), "");
  const std::string many_elements = [] {
    std::string text = "[0";
    for (int at = 0; at < 1024; ++at) text += ",0";
    return text + "]";
  }();
  const struct {
    std::string text;
    std::string fault;
    CallType route = CallType::kTrack;
  } cases[] = {
      // Values.
      {event(R"("properties":{"price":1e999})"), "bad_number properties.price"},
      {event(R"("properties":{"products":[{},{"x":01}]})"), "bad_number properties.products[1].x"},
      {event(R"("x":-)"), "bad_number x"},
      {event(R"("x":1.)"), "bad_number x"},
      {event(R"("x":1e)"), "bad_number x"},
      {event(R"("x":0x10)"), "bad_number x"},
      {event(R"("x":+1)"), "bad_json x"},
      {event(R"("x":.5)"), "bad_json x"},
      {event(R"("x":NaN)"), "bad_json x"},
      {event(R"("x":Infinity)"), "bad_json x"},
      {event(R"("x":-Infinity)"), "bad_number x"},
      {event(R"("x":tru)"), "bad_json x"},
      {event(R"("x":truex)"), "bad_json x"},
      {event(R"("x":nul)"), "bad_json x"},
      {event(R"("x":undefined)"), "bad_json x"},
      {event(R"("x":{"y":["\q"]})"), "bad_json x.y[0]"},
      {event(R"("x":"\u12g4")"), "bad_json x"},
      {event(R"("x":{"fine":1,"\q":2})"), "bad_json x"},
      {event(R"("fine":1,"\q":2)"), "bad_json "},
      {event(R"("x":"\ud800")"), "bad_json x"},
      {event("\"x\":\"a\nb\""), "bad_json "},
      {event("\"x\":\"\x01\""), "bad_json "},
      {event("\"x\":" + std::string("[") + deep + "]"),
       "too_deep x[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]"
       "[0][0][0][0][0]"},
      {event("\"x\":" + many_elements), "too_many_elements x[1024]"},
      // The members that matter.
      {"[]", "bad_type "},
      {"7", "bad_type "},
      {"\"text\"", "bad_type "},
      {"null", "bad_type "},
      {"{}", "missing_user userId"},
      {R"({"event":"E"})", "missing_user userId"},
      {R"({"event":"E","userId":"","anonymousId":""})", "missing_user userId"},
      {R"({"event":"E","userId":null})", "missing_user userId"},
      {R"({"event":"E","userId":true})", "bad_type userId"},
      {R"({"event":"E","userId":["u"]})", "bad_type userId"},
      {R"({"event":"E","userId":"u","anonymousId":{}})", "bad_type anonymousId"},
      {R"({"event":"E","userId":")" + std::string(41, 'u') + "\"}", "key_too_long userId"},
      {R"({"event":"E","anonymousId":")" + std::string(41, 'u') + "\"}",
       "key_too_long anonymousId"},
      {R"({"userId":"u"})", "missing_event event"},
      {R"({"userId":"u","event":""})", "missing_event event"},
      {R"({"userId":"u","event":null})", "missing_event event"},
      {R"({"userId":"u","event":5})", "bad_type event"},
      {R"({"userId":"u","event":{"a":1}})", "bad_type event"},
      {R"({"userId":"u","name":5})", "bad_type name", CallType::kPage},
      {R"({"userId":"u","name":[]})", "bad_type name", CallType::kScreen},
      {R"({"userId":"u","groupId":false})", "bad_type groupId", CallType::kGroup},
      {R"({"userId":"u"})", "missing_type type", CallType::kNone},
      {R"({"userId":"u","type":null})", "missing_type type", CallType::kNone},
      {R"({"userId":"u","type":5})", "bad_type type", CallType::kNone},
      {R"({"userId":"u","type":"tracks"})", "unknown_type type", CallType::kNone},
      {R"({"userId":"u","type":"Track"})", "unknown_type type", CallType::kNone},
      {event(R"("messageId":5)"), "bad_type messageId"},
      {event(R"("timestamp":"yesterday")"), "bad_timestamp timestamp"},
      {event(R"("timestamp":"")"), "bad_timestamp timestamp"},
      {event(R"("timestamp":-5)"), "bad_timestamp timestamp"},
      {event(R"("timestamp":true)"), "bad_timestamp timestamp"},
      {event(R"("timestamp":{})"), "bad_timestamp timestamp"},
      {event(R"("originalTimestamp":"x")"), "bad_timestamp originalTimestamp"},
      {event(R"("sentAt":"2026-13-01")"), "bad_timestamp sentAt"},
      {event("\"x\":\"" + std::string(32 * 1024, 'a') + "\""), "event_too_large "},
  };
  for (const auto& wanted : cases) {
    EXPECT_EQ(extract(wanted.text, wanted.route), wanted.fault) << wanted.text.substr(0, 200);
    // And the extractor is as good as new.
    ASSERT_EQ(extract(event(R"("properties":{"price":1})")), "");
    ASSERT_EQ(captured(), "6.0='E' 5.0='u' 0.0=1");
  }
}

TEST_F(JsonExtractorTest, RefusesMoreValuesThanFit) {
  std::string products;
  for (int at = 0; at < 1020; ++at) products += std::string(at == 0 ? "" : ",") + "{\"price\":1}";
  const std::string some = "\"properties\":{\"products\":[" + products + "]";
  EXPECT_EQ(extract(event(some + "}")), "");
  EXPECT_EQ(event_->captured_count, 1022U);
  std::string tags = "1";
  for (int at = 1; at < 1024; ++at) tags += ",1";
  EXPECT_EQ(extract(event(some + ",\"tags\":[" + tags + "]}")), "");
  EXPECT_EQ(extract(event(some + ",\"tags\":[" + tags + "],\"price\":1},\"traits\":{\"plan\":1}")),
            "");
  EXPECT_EQ(event_->captured_count, kCapturedMax);
  EXPECT_EQ(
      extract(event(some + ",\"tags\":[" + tags +
                    "],\"price\":1},\"traits\":{\"plan\":1},\"context\":{\"page\":{\"path\":1}}")),
      "too_many_values context.page.path");
}

TEST_F(JsonExtractorTest, GivesTheEventsOfABatchWhatTheyShare) {
  ASSERT_EQ(share(R"({"batch":[],"writeKey":"k","sentAt":"2026-11-20T20:25:54Z","userId":"shared",
      "context":{"page":{"path":"/shared"}},"traits":{"plan":"pro"}})"),
            "");
  ASSERT_EQ(extract(R"({"event":"E"})"), "");
  EXPECT_EQ(event_->user_id, "shared");
  EXPECT_TRUE(event_->has_sent_at);
  EXPECT_EQ(event_->sent_at_us, 1'795'206'354'000'000);
  EXPECT_EQ(captured(), "6.0='E' 5.0='shared' 3.0='/shared' 4.0='pro'");
  ASSERT_EQ(
      extract(R"({"event":"E","userId":"own","sentAt":0,"context":{"page":{"path":"/own"}}})"), "");
  EXPECT_EQ(event_->user_id, "own");
  EXPECT_EQ(event_->sent_at_us, 0);
  EXPECT_EQ(captured(), "6.0='E' 5.0='own' 3.0='/own' 4.0='pro'");
  EXPECT_EQ(share(R"({"batch":[],"sentAt":"soon"})"), "bad_timestamp sentAt");
  EXPECT_EQ(share(R"({"batch":[],"context":{"x":01}})"), "bad_number context.x");
  EXPECT_EQ(share("{\"x\":\"" + std::string(40'000, 'a') + "\",\"batch\":[]}"), "event_too_large ");
  extractor_->share_nothing();
  EXPECT_EQ(extract(R"({"event":"E"})"), "missing_user userId");
}

TEST(JsonScan, TellsStructureFromItsRuins) {
  const char* whole[] = {"{}",
                         "[]",
                         "0",
                         "\"\"",
                         "{\"a\":[1,{\"b\":null}],\"c\":\"}]\\\"\"}",
                         " [ 1 , 2 ] ",
                         "[[[]]]",
                         "{\"a\":01,\"b\":tru}",
                         "\"a\\\\\""};
  for (const char* text : whole) {
    JsonCursor cursor{text, text + std::strlen(text)};
    std::string_view value;
    EXPECT_TRUE(scan_value(cursor, value) && cursor.at_end()) << text;
  }
  const char* broken[] = {"",
                          "{",
                          "[",
                          "}",
                          "[1",
                          "[1,",
                          "[1,]",
                          "[,1]",
                          "{\"a\"}",
                          "{\"a\":}",
                          "{\"a\":1,}",
                          "{a:1}",
                          "{1:2}",
                          "[1 2]",
                          "[1]]",
                          "{}{}",
                          "\"",
                          "\"\\\"",
                          "[\"a]",
                          "{\"a\":1]",
                          "[1}",
                          "'a'",
                          "[1;2]",
                          "{\"a\" 1}",
                          "1 2",
                          "// c\n1",
                          "[1]x",
                          "{,}",
                          "\xef\xbb\xbf{}"};
  for (const char* text : broken) {
    JsonCursor cursor{text, text + std::strlen(text)};
    std::string_view value;
    EXPECT_FALSE(scan_value(cursor, value) && cursor.at_end()) << text;
  }
  const std::string open(600, '[');
  JsonCursor cursor{open.data(), open.data() + open.size()};
  std::string_view value;
  EXPECT_FALSE(scan_value(cursor, value));
}

TEST(JsonScan, AStringEndsAtItsFirstQuoteThatIsNotEscaped) {
  std::mt19937_64 random(test_seed());
  // Bytes that differ from a quote or a backslash by one bit or by one count among them.
  static constexpr std::string_view kBytes = "\"\\a!#[]|\xa2\xdc\x01\x80\xff";
  for (int round = 0; round < 100'000; ++round) {
    std::string text = "\"";
    for (std::uint64_t bytes = random() % 40; bytes != 0; --bytes) {
      text += random() % 4 == 0 ? kBytes[random() % kBytes.size()] : 'x';
    }
    std::size_t end = 1;
    while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
    JsonCursor cursor{text.data(), text.data() + text.size()};
    std::string_view content;
    ASSERT_EQ(scan_string(cursor, content), end < text.size()) << testing::PrintToString(text);
    if (end >= text.size()) continue;
    ASSERT_EQ(content, std::string_view(text).substr(1, end - 1));
    ASSERT_EQ(cursor.at, text.data() + end + 1);
  }
}

TEST(JsonScan, FindsTheEnvelope) {
  JsonEnvelope envelope;
  const auto scan = [&](std::string_view text) { return scan_document(text, envelope); };
  EXPECT_EQ(scan(R"({"batch":[1, 2],"writeKey":"k","context":{"batch":[3]}} )"),
            ScanOutcome::kObject);
  EXPECT_EQ(envelope.batch, "[1, 2]");
  EXPECT_EQ(envelope.batch_count, 2U);
  EXPECT_EQ(envelope.write_key, "k");
  EXPECT_TRUE(envelope.has_shared);
  EXPECT_EQ(scan(R"({"batch":1,"writeKey":5,"batch":[]})"), ScanOutcome::kObject);
  EXPECT_EQ(envelope.batch, "[]");
  EXPECT_EQ(envelope.batch_count, 0U);
  EXPECT_EQ(scan(R"({"batch":[[1,2],{"a":1,"b":[3,4]},"x,y",[],{}]})"), ScanOutcome::kObject);
  EXPECT_EQ(envelope.batch_count, 5U);
  EXPECT_FALSE(envelope.has_shared);
  EXPECT_EQ(scan(R"({"batch":1,"writeKey":5,"batch":[]})"), ScanOutcome::kObject);
  EXPECT_TRUE(envelope.write_key.empty());
  EXPECT_FALSE(envelope.has_shared);
  EXPECT_EQ(scan("[1]"), ScanOutcome::kNotObject);
  EXPECT_EQ(scan("{} x"), ScanOutcome::kBroken);
  EXPECT_EQ(scan(""), ScanOutcome::kBroken);
  const auto nested = [](std::size_t levels) {
    return std::string(levels, '[') + std::string(levels, ']');
  };
  EXPECT_EQ(scan(nested(kScanDepthMax)), ScanOutcome::kNotObject);
  EXPECT_EQ(scan(nested(kScanDepthMax + 1)), ScanOutcome::kTooDeep);
  EXPECT_EQ(scan(R"({"x":)" + nested(kScanDepthMax + 1) + "}"), ScanOutcome::kTooDeep);
}

// Damaged events either fail or leave something that the same scan and extractor take again the
// same way: nothing read out of bounds (sanitizers), no state carried over.
TEST_F(JsonExtractorTest, SurvivesRandomDamage) {
  const std::string good = event(
      R"("properties":{"price":1.5,"products":[{"price":1,"id":"a"},{"id":"é"}],"tags":["x"]},"timestamp":"2026-11-20T20:25:54Z")");
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 5000; ++round) {
    std::string text = good;
    for (std::uint64_t change = 0; change < 1 + random() % 3; ++change) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = "{}[]\",:0e\\ntu"[random() % 13];
          break;
        case 1:
          text.erase(at, 1 + random() % 3);
          break;
        default:
          text.insert(at, 1, "{}[]\",:0e\\ntu"[random() % 13]);
      }
    }
    const std::string first = extract(text);
    const std::string values = first.empty() ? captured() : "";
    ASSERT_EQ(extract(text), first);
    if (first.empty()) {
      ASSERT_EQ(captured(), values);
    }
  }
}

}  // namespace
}  // namespace deja
