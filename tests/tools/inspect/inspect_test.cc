#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "shm/json_text.h"
#include "tools/cli/terminal.h"
#include "tools/inspect/processes.h"
#include "tools/inspect/shown_profile.h"

namespace deja {
namespace {

TEST(ShownProfile, IsWrittenAsJsonInTheOneShape) {
  ShownProfile profile;
  profile.user = "anon:\"x\"";
  profile.sequence = 17;
  profile.updated_us = 1'000'000;
  profile.age_us = 12;
  profile.late = 2;
  profile.partial = true;
  deja_session_state session{};
  session.started_us = 0;
  session.duration_us = 61'000'000;
  session.events = 4;
  session.active = 1;
  session.count = 3;
  profile.features = {
      {"views", DEJA_COUNT, ShownNumber{5}, false},
      {"least", DEJA_MIN, {}, false},
      {"recent", DEJA_RECENT, ShownRecent{{{"p9", 0, 0}, {"p3", 0, 0}}}, false},
      {"taste", DEJA_TOP, ShownTop{{{"shoes", 3.25, 0}}}, true},
      {"session", DEJA_SESSION, session, false},
      {"plan", DEJA_TRAIT, ShownText{"pro"}, false},
      {"yes", DEJA_TRAIT, ShownBool{true}, false},
  };
  std::string json;
  append_shown_json(json, profile);
  EXPECT_EQ(json,
            "{\"user\":\"anon:\\\"x\\\"\",\"sequence\":17,\"updated\":\"1970-01-01T00:00:01.000Z\","
            "\"age_us\":12,\"features\":{\"views\":5,\"least\":null,\"recent\":[\"p9\",\"p3\"],"
            "\"taste\":[[\"shoes\",3.25]],\"session\":{\"events\":4,"
            "\"started\":\"1970-01-01T00:00:00.000Z\",\"duration_s\":61,\"active\":true,"
            "\"count\":3},\"plan\":\"pro\",\"yes\":true},\"estimates\":[\"taste\"],\"late\":2,"
            "\"partial\":true}");
  const std::string table = profile_table(profile, 2'000'000, Style{});
  EXPECT_NE(table.find("  taste    ≈ shoes 3.25\n"), std::string::npos) << table;
  EXPECT_EQ(table.find('\033'), std::string::npos);
}

TEST(ShownProfile, SaysOfAnInstantBeforeItsLastEventThatThisCameLater) {
  ShownProfile profile;
  profile.updated_us = 7'200'000'000;
  const auto head = [&](std::int64_t at_us) {
    const std::string table = profile_table(profile, at_us, Style{});
    return table.substr(0, table.find(" ("));
  };
  EXPECT_EQ(head(0), "  updated 2 h after that instant");
  EXPECT_EQ(head(profile.updated_us - 1'000), "  updated 0 s ago") << "clocks";
}

TEST(ShownProfile, KnowsUsersAndVisitorsByTheirText) {
  EXPECT_EQ(parse_user("ada")->name_space, 0U);
  EXPECT_EQ(parse_user("anon:x")->name_space, 1U);
  EXPECT_EQ(parse_user("anon:x")->size, 1U);
  EXPECT_FALSE(parse_user(""));
  EXPECT_FALSE(parse_user("anon:"));
  EXPECT_TRUE(parse_user(std::string(64, 'x')));
  EXPECT_FALSE(parse_user(std::string(65, 'x')));
}

TEST(Processes, FindLabelsByTheirWholeName) {
  const char* name = "deja_events_rejected_total{code=\"bad_json\",thread=\"0\"}";
  EXPECT_EQ(counter_family(name), "deja_events_rejected_total");
  EXPECT_EQ(label_of(name, "code"), "bad_json");
  EXPECT_EQ(label_of(name, "thread"), "0");
  EXPECT_EQ(label_of(name, "read"), "");
  EXPECT_EQ(label_of("plain", "code"), "");
}

TEST(Processes, SumEveryEventIntoExactlyOneCounter) {
  ProcessView ingest;
  ingest.counters = {{"deja_events_received_total{thread=\"0\"}", 10, false},
                     {"deja_events_received_total{thread=\"1\"}", 5, false},
                     {"deja_events_unmatched_total{thread=\"0\"}", 1, false},
                     {"deja_events_alias_total{thread=\"0\"}", 2, false},
                     {"deja_events_rejected_total{code=\"bad_json\",thread=\"0\"}", 3, false}};
  ProcessView worker;
  worker.counters = {{"deja_events_applied_total", 4, false},
                     {"deja_events_duplicate_total", 3, false},
                     {"deja_events_rejected_total{code=\"table_full\"}", 1, false},
                     {"deja_events_dead_total", 1, false}};
  const EventTotals totals = event_totals({ingest, worker});
  EXPECT_EQ(totals.received, 15U);
  EXPECT_EQ(totals.rejected, 4U);
  EXPECT_EQ(totals.accounted(), totals.received);
}

TEST(Processes, HealthTellsAHangingProcessFromOneThatIsGone) {
  constexpr std::int64_t kNowUs = 1'000'000'000;
  ProcessView process;
  process.pid = getpid();
  process.starts = 1;
  process.started_us = kNowUs - 1'000;
  process.heartbeat_us = kNowUs - kSilentUs;
  EXPECT_EQ(health_of(process, kNowUs), Health::kAlive);
  process.starts = 2;
  EXPECT_EQ(health_of(process, kNowUs), Health::kRestarted);
  process.started_us = kNowUs - kRestartedUs;
  EXPECT_EQ(health_of(process, kNowUs), Health::kAlive);
  process.heartbeat_us = kNowUs - kSilentUs - 1;
  EXPECT_EQ(health_of(process, kNowUs), Health::kSilent);
  // What is no process's number: none at all, a group's, one beyond any.
  for (const std::int64_t pid : {0LL, -1LL, 0x7fff'ffffLL, 0x1'0000'0001LL}) {
    process.pid = pid;
    EXPECT_EQ(health_of(process, kNowUs), Health::kGone) << pid;
  }
}

TEST(Terminal, SaysNumbersForPeople) {
  EXPECT_EQ(human_count(0), "0");
  EXPECT_EQ(human_count(999), "999");
  EXPECT_EQ(human_count(1'234'567), "1,234,567");
  EXPECT_EQ(human_bytes(1536), "1.50 KiB");
  EXPECT_EQ(human_ns(999), "999 ns");
  EXPECT_EQ(human_ns(12'300), "12.3 µs");
  EXPECT_EQ(human_age(90'000'000), "90 s");
  EXPECT_EQ(human_age(-3'600'000'000), "-60 min");
  EXPECT_EQ(padded("µs", 4), "µs  ");
}

}  // namespace
}  // namespace deja
