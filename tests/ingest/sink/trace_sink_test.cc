#include "ingest/trace_sink.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ingest/event_sink.h"
#include "ingest/refusal_codes.h"
#include "shm/base/clock.h"
#include "tests/ingest/sink/test_appliance.h"

namespace deja {
namespace {

constexpr std::int64_t kLeaseNs = 5'000'000'000;
constexpr std::uint64_t kAll = ~std::uint64_t{0};
constexpr auto kApplied = schema::AckLevel::APPLIED;

std::string text(const char* field, std::size_t bytes) {
  const std::string all(field, bytes);
  return all.substr(0, all.find('\0'));
}

class TraceSinkTest : public testing::Test {
 protected:
  static SinkAppliance::Options shop() {
    SinkAppliance::Options options;
    options.events = {{"view", schema::Call::TRACK, "view", {}}};
    options.worker_count = 2;
    options.ring_bytes = 1U << 16U;
    return options;
  }
  TraceSinkTest()
      : appliance_(shop()),
        control_(appliance_.segment().map("trace", MappedFile::Mode::kReadWrite)),
        slots_(appliance_.segment().map("trace-ingest-0", MappedFile::Mode::kReadOnly)) {
    event_->call = CallType::kTrack;
    event_->name = "view";
    event_->user_id = "ada";
  }
  [[nodiscard]] EventSink& sink() { return appliance_.sink(); }
  [[nodiscard]] TraceControlLayout& control() { return *control_->at<TraceControlLayout>(); }
  [[nodiscard]] const TraceLaneLayout& lane(std::uint32_t at) const {
    return slots_->at<const TraceLaneLayout>()[at];
  }
  [[nodiscard]] std::uint64_t count(std::uint32_t at) const { return lane(at).count.load(); }
  [[nodiscard]] std::uint64_t count_all() const { return count(0) + count(1) + count(2); }
  [[nodiscard]] TraceSlot slot(std::uint32_t at, std::uint64_t number) const {
    TraceSlot found{};
    EXPECT_TRUE(read_cell(lane(at).slots[number % kTraceSlots], number, found)) << number;
    return found;
  }
  void follow(std::uint64_t threshold, std::uint64_t flags = 0, std::uint64_t user_hash = 0) {
    control().threshold.store(threshold);
    control().flags.store(flags);
    control().user_hash.store(user_hash);
    control().until_ns.store(steady_ns() + kLeaseNs);
    sink().refresh();
  }
  [[nodiscard]] std::uint64_t hash_of(const std::string& user) const {
    const auto& words = appliance_.segment().superblock().hash_secret;
    return keyed_hash({{words[0], words[1]}},
                      {KeyNamespace::kUser, user.data(), static_cast<std::uint32_t>(user.size())});
  }
  SinkOutcome submit(const std::string& user, const std::string& id = "") {
    user_ = user;
    id_ = id;
    event_->user_id = user_;
    event_->message_id = id_;
    return sink().submit(*event_, wall_us(), kApplied, refusal_, placed_);
  }
  /// Where the last event went.
  [[nodiscard]] std::uint32_t worker() const { return placed_.worker; }

  SinkAppliance appliance_;
  Result<MappedFile> control_;
  Result<MappedFile> slots_;
  std::unique_ptr<Extraction> event_ = std::make_unique<Extraction>();
  std::string user_;
  std::string id_;
  Refusal refusal_;
  Placed placed_;
};

TEST_F(TraceSinkTest, OffNothingIsFollowed) {
  EXPECT_EQ(submit("ada"), SinkOutcome::kCommitted);
  EXPECT_FALSE(sink().traces().on());
  EXPECT_EQ(count_all(), 0U);
}

TEST_F(TraceSinkTest, AFollowedEventHasItsSlotBeforeItIsPublished) {
  follow(kAll);
  EXPECT_EQ(submit("ada", "m1"), SinkOutcome::kCommitted);
  ASSERT_EQ(count(worker()), 1U);
  TraceSlot seen = slot(worker(), 0);
  EXPECT_EQ(seen.outcome, TraceOutcome::kPlaced);
  EXPECT_EQ(seen.end_position, placed_.end_position);
  EXPECT_EQ(seen.user_hash, hash_of("ada"));
  EXPECT_EQ(text(seen.name, sizeof seen.name), "view");
  EXPECT_EQ(text(seen.message_id, sizeof seen.message_id), "m1");
  EXPECT_GT(seen.received_ns, 0);
  EXPECT_GE(seen.committed_ns, seen.received_ns);
  EXPECT_EQ(seen.published_ns, 0);
  sink().publish();
  seen = slot(worker(), 0);
  EXPECT_GE(seen.published_ns, seen.committed_ns);
  EXPECT_EQ(seen.answered_ns, 0);
  sink().traces().answered(placed_, schema::AckLevel::DURABLE);
  seen = slot(worker(), 0);
  EXPECT_GE(seen.answered_ns, seen.published_ns);
  EXPECT_EQ(seen.ack, kTraceAckDurable);
}

TEST_F(TraceSinkTest, AUserIsFollowedAlone) {
  follow(0, kTraceUser, hash_of("ada"));
  submit("bob");
  EXPECT_EQ(count_all(), 0U);
  submit("ada");
  EXPECT_EQ(count_all(), 1U);
  event_->anonymous_id = "ada";
  submit("");
  EXPECT_EQ(count_all(), 1U) << "anon:ada is somebody else";
}

TEST_F(TraceSinkTest, APartIsChosenByIdSoThatAResendIsChosenAgain) {
  follow(std::uint64_t{1} << 62U);  // a quarter
  std::set<std::string> chosen;
  for (int number = 0; number < 2000; ++number) {
    const std::string id = "id-" + std::to_string(number);
    const std::uint64_t before = count_all();
    submit("ada", id);
    if (count_all() != before) chosen.insert(id);
    sink().publish();
    (void)appliance_.records(worker());
  }
  EXPECT_GT(chosen.size(), 400U);
  EXPECT_LT(chosen.size(), 600U);
  for (const std::string& id : chosen) {
    const std::uint64_t before = count_all();
    submit("ada", id);
    sink().publish();
    (void)appliance_.records(worker());
    EXPECT_EQ(count_all(), before + 1) << id;
    if (count(worker()) > 900) break;
  }
}

TEST_F(TraceSinkTest, WithoutAnIdItIsByChance) {
  follow(std::uint64_t{1} << 63U);
  for (int number = 0; number < 1000; ++number) {
    submit("ada");
    sink().publish();
    (void)appliance_.records(worker());
  }
  EXPECT_GT(count_all(), 400U);
  EXPECT_LT(count_all(), 600U);
}

TEST_F(TraceSinkTest, ARequestThatIsSampledIsFollowedUnderItsOwnName) {
  follow(0, kTraceRequests);
  TraceContext context{1, 2, 3, true};
  sink().traces().of_request(&context);
  submit("ada");
  ASSERT_EQ(count_all(), 1U);
  TraceSlot seen = slot(worker(), 0);
  EXPECT_EQ(seen.trace_high, 1U);
  EXPECT_EQ(seen.trace_low, 2U);
  EXPECT_EQ(seen.parent, 3U);
  context.sampled = false;
  submit("ada");
  EXPECT_EQ(count_all(), 1U) << "its sender does not record it";
  context.sampled = true;
  follow(0, 0);
  submit("ada");
  EXPECT_EQ(count_all(), 1U) << "requests are not asked for";
  sink().traces().of_request(nullptr);
  follow(0, kTraceRequests);
  submit("ada");
  EXPECT_EQ(count_all(), 1U) << "another request's";
}

TEST_F(TraceSinkTest, WhatGetsIntoNoRingIsToldAsWhatItIs) {
  follow(kAll, kTraceRequests);
  event_->name = "nobody wants it";
  EXPECT_EQ(submit("ada"), SinkOutcome::kDone);
  EXPECT_EQ(slot(2, 0).outcome, TraceOutcome::kUnmatched);
  event_->call = CallType::kAlias;
  EXPECT_EQ(submit("ada"), SinkOutcome::kDone);
  EXPECT_EQ(slot(2, 1).outcome, TraceOutcome::kAlias);
  event_->call = CallType::kTrack;
  EXPECT_EQ(submit(std::string(100, 'x')), SinkOutcome::kRefused);
  TraceSlot seen = slot(2, 2);
  EXPECT_EQ(seen.outcome, TraceOutcome::kRefused);
  EXPECT_EQ(text(seen.code, sizeof seen.code), "key_too_long");
  EXPECT_EQ(seen.user_hash, 0U) << "it is no key";
  sink().traces().unreadable({code::kBadJson, "", ""}, wall_us());
  seen = slot(2, 3);
  EXPECT_EQ(seen.outcome, TraceOutcome::kRefused);
  EXPECT_EQ(text(seen.code, sizeof seen.code), "bad_json");
  EXPECT_EQ(count(0) + count(1), 0U);
}

TEST_F(TraceSinkTest, AnEventThatIsGivenUpAtAFullRingIsRefused) {
  follow(kAll);
  while (submit("ada") == SinkOutcome::kCommitted) {
  }
  const std::uint64_t before = count_all();
  EXPECT_EQ(submit("ada", "full"), SinkOutcome::kFull);
  EXPECT_EQ(count_all(), before) << "it may come to something yet";
  sink().refuse_full(refusal_);
  ASSERT_EQ(count(2), 1U);
  const TraceSlot seen = slot(2, 0);
  EXPECT_EQ(text(seen.code, sizeof seen.code), "ring_full");
  EXPECT_EQ(text(seen.message_id, sizeof seen.message_id), "full");
  sink().refuse_full(refusal_);
  EXPECT_EQ(count(2), 1U) << "it is told once";
}

TEST_F(TraceSinkTest, WithoutAFreeSlotAnEventIsCountedAndNotFollowed) {
  follow(kAll);
  for (std::uint64_t number = 0; number < kTraceSlots + 5; ++number) {
    submit("ada");
    sink().publish();
    (void)appliance_.records(worker());
  }
  EXPECT_EQ(count(worker()), kTraceSlots);
  EXPECT_EQ(lane(worker()).dropped.load(), 5U);
  control().collected()[worker()].store(1);
  submit("ada");
  EXPECT_EQ(count(worker()), kTraceSlots + 1);
  EXPECT_EQ(slot(worker(), kTraceSlots).end_position, placed_.end_position);
  submit("ada");
  EXPECT_EQ(count(worker()), kTraceSlots + 1);
}

TEST_F(TraceSinkTest, ATracerThatHasCollectedMoreThanThereIsIsToldNothing) {
  follow(kAll);
  submit("ada");
  for (const std::uint64_t lie : {std::uint64_t{2}, kTraceSlots + 7, ~std::uint64_t{0}}) {
    control().collected()[worker()].store(lie);
    submit("ada");
    EXPECT_EQ(count(worker()), 1U) << lie;
  }
}

TEST_F(TraceSinkTest, ALeaseThatHasEndedOrIsNobodysIsNone) {
  follow(kAll);
  EXPECT_TRUE(sink().traces().on());
  for (const std::int64_t until_ns :
       {steady_ns() - 1, steady_ns() + 2 * kTraceLeaseMaxNs, std::int64_t{-1},
        std::numeric_limits<std::int64_t>::max(), std::int64_t{0}}) {
    control().until_ns.store(until_ns);
    sink().refresh();
    EXPECT_FALSE(sink().traces().on()) << until_ns;
    follow(kAll);
    EXPECT_TRUE(sink().traces().on());
  }
}

TEST_F(TraceSinkTest, ALeaseEndsWithoutAnybodysDoing) {
  control().threshold.store(kAll);
  const std::int64_t until_ns = steady_ns() + 30'000'000;
  control().until_ns.store(until_ns);
  sink().refresh();
  while (steady_ns() < until_ns) sink().refresh();
  sink().refresh();
  EXPECT_FALSE(sink().traces().on());
  submit("ada");
  EXPECT_EQ(count_all(), 0U);
}

TEST_F(TraceSinkTest, WhatItsIngestNeverPublishedIsAbandoned) {
  follow(kAll);
  submit("ada");
  sink().publish();
  submit("ada");
  const std::uint32_t at = worker();
  appliance_.reopen_sink();
  EXPECT_EQ(slot(at, 0).outcome, TraceOutcome::kPlaced);
  EXPECT_EQ(slot(at, 1).outcome, TraceOutcome::kAbandoned);
  EXPECT_EQ(slot(at, 1).end_position, 0U) << "another event will end there";
  sink().refresh();
  submit("ada");
  EXPECT_EQ(slot(at, 2).outcome, TraceOutcome::kPlaced);
}

TEST_F(TraceSinkTest, AnAckThatIsRefusedSaysWhy) {
  follow(kAll);
  submit("ada");
  const Placed first = placed_;
  submit("ada");
  sink().publish();
  EXPECT_EQ(appliance_.records(first.worker).size(), 2U);
  appliance_.give_verdict(first.worker, first.end_position, RefusalReason::kTableFull);
  sink().refresh();
  EXPECT_FALSE(sink().settle(first, kApplied, nullptr, refusal_));
  EXPECT_TRUE(sink().settle(placed_, kApplied, nullptr, refusal_));
  EXPECT_EQ(text(slot(worker(), 0).code, sizeof TraceSlot::code), "table_full");
  EXPECT_EQ(text(slot(worker(), 1).code, sizeof TraceSlot::code), "");
}

TEST_F(TraceSinkTest, AnswersComeInAnyOrder) {
  follow(std::uint64_t{1} << 63U);
  std::vector<Placed> all;
  for (int number = 0; number < 200; ++number) {
    submit("ada", std::to_string(number));
    all.push_back(placed_);
  }
  sink().publish();
  for (std::size_t at = all.size(); at > 0; --at) sink().traces().answered(all[at - 1], kApplied);
  const std::uint64_t followed = count(worker());
  ASSERT_GT(followed, 50U);
  for (std::uint64_t number = 0; number < followed; ++number) {
    EXPECT_NE(slot(worker(), number).answered_ns, 0) << number;
  }
}

}  // namespace
}  // namespace deja
