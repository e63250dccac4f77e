#include "ingest/stream_decoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "ingest/refusal_codes.h"
#include "ingest/utf8.h"
#include "tests/ingest/stream/stream_harness.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

using EventBuilder = stream_schema::Event::Builder;
using MemberBuilder = stream_schema::Member::Builder;

static_assert(static_cast<int>(CallType::kTrack) == static_cast<int>(stream_schema::Call::TRACK));
static_assert(static_cast<int>(CallType::kGroup) == static_cast<int>(stream_schema::Call::GROUP));
static_assert(static_cast<int>(CallType::kAlias) == static_cast<int>(stream_schema::Call::ALIAS));

class StreamDecoderTest : public testing::Test {
 protected:
  StreamDecoderTest() {
    catalog_ = test_catalog(
        {}, {"properties.product_id", "properties.price", "properties.products[].price",
             "properties.flag", "traits.plan", "properties.tags[]", "context.page.path"});
    words_.resize(catalog_.size() / 8);
    std::memcpy(words_.data(), catalog_.data(), catalog_.size());
    reader_ = std::make_unique<capnp::FlatArrayMessageReader>(kj::ArrayPtr<const capnp::word>(
        reinterpret_cast<const capnp::word*>(words_.data()), words_.size()));
    paths_ = std::make_unique<PathTrie>(reader_->getRoot<schema::Catalog>());
  }

  // Decodes the only event of a batch.
  bool decode(const FillEvent& fill, std::int64_t sent_at_us = 0) {
    frame_ = batch_frame(1, {fill});
    return decode_frame(sent_at_us);
  }
  bool decode_frame(std::int64_t sent_at_us = 0) {
    const Frame frame = first_frame(frame_);
    EXPECT_EQ(frame.state, FrameState::kWhole);
    auto message = capnp_view::Message::of_message(frame.message.data(), frame.message.size());
    const auto events = message.root().structure(0).list(0);
    refusal_ = {};
    StreamDecoder decoder(*paths_);
    auto budget = StreamDecoder::Budget::of_frame(frame.bytes);
    const bool taken =
        decoder.decode(message, events[0], sent_at_us, budget, *extraction_, refusal_);
    // The quick look takes nothing that the other refuses, and takes it alike.
    auto usual_budget = StreamDecoder::Budget::of_frame(frame.bytes);
    was_usual_ = decoder.decode_usual(UsualEvents(frame.message), 0, sent_at_us, usual_budget,
                                      *usual_extraction_);
    if (!was_usual_) {
      EXPECT_EQ(usual_budget.bytes_left, StreamDecoder::Budget::of_frame(frame.bytes).bytes_left);
      return taken;
    }
    EXPECT_TRUE(taken);
    EXPECT_EQ(usual_budget.bytes_left, budget.bytes_left);
    EXPECT_EQ(told(*usual_extraction_), told(*extraction_));
    return taken;
  }
  void expect_refused(const FillEvent& fill, const char* code, const char* path) {
    EXPECT_FALSE(decode(fill));
    ASSERT_NE(refusal_.code, nullptr);
    EXPECT_STREQ(refusal_.code, code);
    EXPECT_STREQ(refusal_.path, path);
  }
  [[nodiscard]] std::string captured() const { return captured(*extraction_); }
  [[nodiscard]] static std::string captured(const Extraction& extraction) {
    std::string text;
    for (std::uint32_t at = 0; at < extraction.captured_count; ++at) {
      const CapturedValue& value = extraction.captured[at];
      text += std::to_string(value.slot) + '.' + std::to_string(value.element) + '=';
      if (value.value.kind == ValueKind::kText) {
        text.append(value.value.text, value.value.text_bytes);
      } else if (value.value.kind == ValueKind::kNull) {
        text += "null";
      } else {
        text += std::to_string(value.value.number).substr(0, 4);
        if (value.value.kind == ValueKind::kBool) text += 'b';
      }
      text += ' ';
    }
    return text;
  }
  // All that an extraction says.
  [[nodiscard]] static std::string told(const Extraction& extraction) {
    std::string text = std::to_string(static_cast<int>(extraction.call));
    for (const std::string_view part :
         {extraction.name, extraction.user_id, extraction.anonymous_id, extraction.message_id}) {
      text.append("|").append(part);
    }
    text += '|' + std::to_string(extraction.has_timestamp ? extraction.timestamp_us : -1) + '|' +
            std::to_string(extraction.has_sent_at ? extraction.sent_at_us : -1) + '|';
    return text + captured(extraction);
  }

  Bytes catalog_;
  std::vector<std::uint64_t> words_;
  std::unique_ptr<capnp::FlatArrayMessageReader> reader_;
  std::unique_ptr<PathTrie> paths_;
  Bytes frame_;
  std::unique_ptr<Extraction> extraction_ = std::make_unique<Extraction>();
  std::unique_ptr<Extraction> usual_extraction_ = std::make_unique<Extraction>();
  bool was_usual_ = false;
  Refusal refusal_;
};

TEST_F(StreamDecoderTest, TakesOutWhatIsDeclaredAndSkipsTheRest) {
  ASSERT_TRUE(decode(
      [](EventBuilder event) {
        event.setCall(stream_schema::Call::TRACK);
        event.setName("Product Viewed");
        event.setUserId("u1");
        event.setAnonymousId("a1");
        event.setMessageId("m1");
        event.setTimestampUs(123);
        auto members = event.initProperties(6);
        members[0].setName("product_id");
        members[0].setText("p1");
        members[1].setName("price");
        members[1].setNumber(9.5);
        members[2].setName("unknown");
        members[2].initObject(1)[0].setName("price");
        members[3].setName("products");
        auto products = members[3].initList(3);
        for (unsigned at = 0; at < 3; ++at) {
          auto product = products[at].initObject(1);
          product[0].setName("price");
          if (at == 1) {
            product[0].setNull();
          } else {
            product[0].setNumber(at + 0.25);
          }
        }
        members[4].setName("flag");
        members[4].setBoolean(true);
        members[5].setName("tags");
        auto tags = members[5].initList(2);
        tags[0].setText("x");
        tags[1].setText("");
        auto page = event.initContext(1)[0];
        page.setName("page");
        auto path = page.initObject(1)[0];
        path.setName("path");
        path.setText("/shoes");
        auto plan = event.initTraits(1)[0];
        plan.setName("plan");
        plan.setNull();
      },
      456));
  EXPECT_EQ(extraction_->call, CallType::kTrack);
  EXPECT_EQ(extraction_->name, "Product Viewed");
  EXPECT_EQ(extraction_->user_id, "u1");
  EXPECT_EQ(extraction_->anonymous_id, "a1");
  EXPECT_EQ(extraction_->message_id, "m1");
  EXPECT_TRUE(extraction_->has_timestamp);
  EXPECT_EQ(extraction_->timestamp_us, 123);
  EXPECT_TRUE(extraction_->has_sent_at);
  EXPECT_EQ(extraction_->sent_at_us, 456);
  EXPECT_EQ(captured(),
            "0.0=p1 1.0=9.50 2.0=0.25 2.1=null 2.2=2.25 3.0=1.00b 5.0=x 5.1= 4.0=null 6.0=/shoes ");
}

TEST_F(StreamDecoderTest, TheQuickLookAtDamagedEventsSaysTheSameOrNothing) {
  const FillEvent whole = [](EventBuilder event) {
    event.setCall(stream_schema::Call::TRACK);
    event.setName("Product Viewed");
    event.setUserId("user-0000123");
    event.setMessageId("0123456789abcdef");
    auto members = event.initProperties(5);
    members[0].setName("product_id");
    members[0].setText("pröduct");
    members[1].setName("price");
    members[1].setNumber(9.5);
    members[2].setName("products");
    members[2].initList(2)[1].initObject(1)[0].setName("price");
    members[3].setName("flag");
    members[3].setBoolean(true);
    members[4].setName("a");
    event.initTraits(1)[0].setName("plan");
  };
  ASSERT_TRUE(decode(whole, 7));
  EXPECT_TRUE(was_usual_);
  const Bytes good = frame_;
  constexpr std::size_t kEventsBegin = 8 + 8 + 3 * 8 + 3 * 8;  // frame, table, root, batch, and tag
  std::mt19937_64 random(test_seed());
  int usual = 0;
  int refused = 0;
  for (int round = 0; round < 100'000; ++round) {
    frame_ = good;
    for (std::uint64_t flips = 1 + random() % 3; flips != 0; --flips) {
      frame_[kEventsBegin + random() % (frame_.size() - kEventsBegin)] ^=
          static_cast<std::uint8_t>(1U << random() % 8);
    }
    if (!decode_frame(7)) ++refused;
    if (was_usual_) ++usual;
    if (HasFailure()) FAIL() << "round " << round;
  }
  EXPECT_GT(usual, 10'000);
  EXPECT_GT(refused, 10'000);
}

TEST_F(StreamDecoderTest, AValueOfAnotherShapeThanItsPathIsNotTaken) {
  ASSERT_TRUE(decode([](EventBuilder event) {
    auto members = event.initProperties(3);
    members[0].setName("price");
    members[0].initList(1)[0].setNumber(1);
    members[1].setName("products");
    members[1].setNumber(2);
    members[2].setName("tags");
    members[2].initObject(1)[0].setName("price");
  }));
  EXPECT_EQ(captured(), "");
}

TEST_F(StreamDecoderTest, EachMistakeInAnEventHasItsCodeAndItsPath) {
  const auto nested = [](unsigned levels) {
    return [levels](EventBuilder event) {
      MemberBuilder member = event.initProperties(1)[0];
      member.setName("a");
      for (unsigned level = 0; level < levels; ++level) member = member.initList(1)[0];
    };
  };
  expect_refused([](EventBuilder event) { event.setCall(static_cast<stream_schema::Call>(7)); },
                 code::kUnknownType, "call");
  expect_refused([](EventBuilder event) { event.setName("\xc3\x28"); }, code::kBadUtf8, "name");
  expect_refused([](EventBuilder event) { event.setMessageId("\xed\xa0\x80"); }, code::kBadUtf8,
                 "messageId");
  expect_refused(
      [](EventBuilder event) {
        auto member = event.initProperties(2)[1];
        member.setName("products");
        auto product = member.initList(4)[3].initObject(1)[0];
        product.setName("price");
        product.setNumber(std::numeric_limits<double>::infinity());
      },
      code::kBadNumber, "properties.products[3].price");
  expect_refused([](EventBuilder event) { event.initTraits(1)[0].setNumber(std::nan("")); },
                 code::kBadNumber, "traits.");
  expect_refused([](EventBuilder event) { event.initContext(1)[0].setName("\x80"); },
                 code::kBadUtf8, "context");
  EXPECT_TRUE(decode(nested(kDepthMax - 2)));
  EXPECT_FALSE(decode(nested(kDepthMax - 1)));
  EXPECT_STREQ(refusal_.code, code::kTooDeep);
  const auto elements = [](unsigned count, const char* name) {
    return [count, name](EventBuilder event) {
      auto member = event.initProperties(1)[0];
      member.setName(name);
      member.initList(count);
    };
  };
  EXPECT_TRUE(decode(elements(1024, "tags")));
  expect_refused(elements(1025, "tags"), code::kTooManyElements, "properties.tags[1024]");
  // A change of config must not change what is accepted.
  expect_refused(elements(1025, "undeclared"), code::kTooManyElements,
                 "properties.undeclared[1024]");
  const auto text = [](std::size_t bytes) {
    return [bytes](EventBuilder event) { event.setName(std::string(bytes, 'x')); };
  };
  EXPECT_TRUE(decode(text(kEventBytesMax)));
  expect_refused(text(kEventBytesMax + 1), code::kEventTooLarge, "name");
  expect_refused(
      [](EventBuilder event) {
        auto members = event.initProperties(2100);
        for (auto member : members) {
          member.setName("price");
          member.setNumber(1);
        }
      },
      code::kTooManyValues, "properties.price");
}

TEST_F(StreamDecoderTest, AMessageThatPointsToTheSameBytesAgainAndAgainIsSoonRefused) {
  // A list of 60 members whose first one's list is that same list: 60^30 members by its own
  // account.
  frame_ = batch_frame(1, {[](EventBuilder event) {
                         auto members = event.initProperties(60);
                         for (auto member : members) member.initList(60);
                       }});
  // Every pointer to a list of 60 members is turned to the first of those lists.
  std::size_t first = 0;
  for (std::size_t at = 16; at + 8 <= frame_.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, frame_.data() + at, 8);
    if ((word & 3U) != 1 || (word >> 32U & 7U) != 7 || word >> 35U != 240) continue;
    const std::size_t target = at / 8 + 1 + (static_cast<std::uint32_t>(word) >> 2U);
    if (first == 0) first = target;
    const std::int64_t offset =
        static_cast<std::int64_t>(first) - static_cast<std::int64_t>(at / 8 + 1);
    word = (word & ~std::uint64_t{0xffffffffU}) | (static_cast<std::uint32_t>(offset) << 2U) | 1U;
    std::memcpy(frame_.data() + at, &word, 8);
  }
  ASSERT_NE(first, 0U);
  EXPECT_FALSE(decode_frame());
  ASSERT_NE(refusal_.code, nullptr);
  // Whichever bound is met first: depth, size or the frame's budget.
  EXPECT_TRUE(refusal_.code == std::string(code::kTooDeep) ||
              refusal_.code == std::string(code::kEventTooLarge) ||
              refusal_.code == std::string(code::kBadMessage))
      << refusal_.code;
}

TEST(Utf8, AgreesWithTheRulesOnEveryShortSequence) {
  // Encode every code point; then every pair and triple of bytes against a plain decoder.
  const auto plain = [](const std::string& text) {
    for (std::size_t at = 0; at < text.size();) {
      const auto byte = [&](std::size_t of) {
        return of < text.size() ? static_cast<unsigned char>(text[of]) : 0U;
      };
      const unsigned lead = byte(at);
      std::size_t more = 0;
      std::uint32_t point = lead;
      if (lead >= 0x80) {
        if ((lead & 0xe0U) == 0xc0) {
          more = 1;
          point = lead & 0x1fU;
        } else if ((lead & 0xf0U) == 0xe0) {
          more = 2;
          point = lead & 0x0fU;
        } else if ((lead & 0xf8U) == 0xf0) {
          more = 3;
          point = lead & 0x07U;
        } else {
          return false;
        }
      }
      for (std::size_t next = 1; next <= more; ++next) {
        if ((byte(at + next) & 0xc0U) != 0x80) return false;
        point = point << 6U | (byte(at + next) & 0x3fU);
      }
      constexpr std::uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
      if (point < kLeast[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) {
        return false;
      }
      at += more + 1;
    }
    return true;
  };
  std::mt19937_64 random(test_seed());
  const unsigned char edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
                                 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xec, 0xed,
                                 0xee, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff};
  for (int round = 0; round < 300'000; ++round) {
    std::string text(random() % 12, 'a');
    for (std::size_t count = random() % 6; count != 0 && !text.empty(); --count) {
      text[random() % text.size()] = static_cast<char>(edges[random() % std::size(edges)]);
    }
    ASSERT_EQ(is_utf8(text), plain(text)) << testing::PrintToString(text);
  }
}

}  // namespace
}  // namespace deja
