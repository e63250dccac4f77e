// From a rejected event's letter, whose bytes may be anybody's, to what is shown and sent again.
#include "tools/dlq/letter_text.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "ring/rejected_event.h"
#include "tests/support/seed.h"
#include "tools/dlq/letter_event.h"
#include "tools/dlq/printable.h"

namespace deja {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes record_of(RejectedForm form, std::uint8_t call, const std::string& text,
                std::uint32_t flags = 0) {
  RejectedEventLayout head{};
  head.received_us = 1'700'000'000'000'000;
  head.text_bytes = static_cast<std::uint32_t>(text.size());
  head.flags = flags;
  head.form = form;
  head.call = call;
  std::memcpy(head.code, "missing_user", 12);
  std::memcpy(head.path, "a\x1b[2J", 5);
  Bytes bytes(sizeof head + text.size());
  std::memcpy(bytes.data(), &head, sizeof head);
  std::memcpy(bytes.data() + sizeof head, text.data(), text.size());
  return bytes;
}

LetterText read(const Bytes& record) {
  DeadLetter letter;
  letter.head.reason = RefusalReason::kRejected;
  letter.head.record_bytes = static_cast<std::uint32_t>(record.size());
  letter.record = record;
  return read_letter_text(letter);
}

TEST(LetterText, IsSentAgainAsItWasToWhereItWas) {
  const std::string text = "{\"userId\": 7,\n \"n\": 1e400}";
  const LetterText element = read(record_of(RejectedForm::kElement, 0, text));
  EXPECT_TRUE(element.readable);
  EXPECT_EQ(element.fault, "");
  EXPECT_EQ(element.route, "/v1/batch");
  EXPECT_EQ(element.body, "{\"batch\":[" + text + "]}");
  const LetterText single = read(record_of(RejectedForm::kBody, 2, text));
  EXPECT_EQ(single.route, "/v1/page");
  EXPECT_EQ(single.body, text);
  EXPECT_EQ(read(record_of(RejectedForm::kBody, 0, text)).body, text) << "a batch of its own";
  const LetterText stream = read(record_of(RejectedForm::kStream, 0, text));
  EXPECT_TRUE(stream.of_stream);
  EXPECT_EQ(stream.body, element.body);
}

TEST(LetterText, SaysWhoseItIsAsFarAsThatCanBeRead) {
  const auto names = [](const std::string& text) {
    const SaidNames said = said_names(read(record_of(RejectedForm::kElement, 1, text)));
    return said.event + "|" + said.user;
  };
  EXPECT_EQ(names(R"({"userId":"ada","event":5})"), "5|ada");
  EXPECT_EQ(names(R"({"type":"track","event":"X"})"), "X|");
  EXPECT_EQ(names(R"({"type":"page","anonymousId":"a1","userId":null})"), "page|anon:a1");
  EXPECT_EQ(names(R"({"userId":["ada"],"event":{}})"), "|");
  EXPECT_EQ(names(R"(["userId"])"), "|");
  EXPECT_EQ(names(R"({"userId":"ada")"), "|") << "cut";
}

TEST(LetterText, ThatIsNotWholeIsShownAndNotSent) {
  const LetterText cut = read(record_of(RejectedForm::kElement, 0, "{\"a", kRejectedCut));
  EXPECT_EQ(cut.text, "{\"a");
  EXPECT_TRUE(cut.cut);
  EXPECT_EQ(cut.fault, "not all of it was kept");
}

TEST(LetterText, OfOtherBytesIsNone) {
  EXPECT_NE(read({}).fault, "");
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes = record_of(RejectedForm::kElement, 1, "{}");
    for (int flips = 0; flips < 3; ++flips) {
      bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
    }
    bytes.resize(random() % (bytes.size() + 1));
    const LetterText text = read(bytes);
    EXPECT_EQ(text.readable, text.fault.empty() || text.cut);
  }
  DeadLetter cut_by_the_file;
  const Bytes record = record_of(RejectedForm::kElement, 1, "{}");
  cut_by_the_file.record = record;
  cut_by_the_file.head.record_bytes = static_cast<std::uint32_t>(record.size()) + 1;
  EXPECT_FALSE(read_letter_text(cut_by_the_file).readable);
}

TEST(LetterText, IsNoEventRecord) {
  DeadLetter letter;
  letter.head.reason = RefusalReason::kRejected;
  const Bytes record = record_of(RejectedForm::kElement, 1, "{}");
  letter.record = record;
  const LetterEvent event = read_letter_event({}, letter);
  EXPECT_FALSE(event.readable);
  EXPECT_NE(event.fault, "");
}

TEST(LetterText, OrdersATerminalNothing) {
  const LetterText text = read(record_of(RejectedForm::kElement, 0, "{}"));
  const std::string shown = printable(place_of_fault(text.code, text.path));
  EXPECT_EQ(shown, "missing_user at a\\u001b[2J");
  EXPECT_EQ(printable("a\xc2\x9b\x7f\xff"), "a?\\u007f\xef\xbf\xbd");
}

}  // namespace
}  // namespace deja
