// Profiles that go and come back, at random, with features of every kind: what is read in the end
// is what a worker reads that never let anybody go. And the same with a worker that is killed on
// the way.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "shm/value_json.h"
#include "tests/support/seed.h"
#include "tests/support/test_store.h"
#include "tests/support/worker_process.h"
#include "tests/support/worker_world.h"
#include "tests/workers/features/catalog_builder.h"
#include "tests/workers/features/random_events.h"

namespace deja {
namespace {

constexpr std::int64_t kMiddleUs = 1'700'000'000'000'000;
constexpr std::int64_t kSpreadUs = 1000;

/// One kind of event with one field, and features of every type. A session is exact only while
/// events come about in order.
TestAppliance all_features(std::uint64_t profiles_max, bool with_session) {
  TestAppliance appliance;
  appliance.events = {{"any", "*", {{"x", "properties.x"}}}};
  const auto add = [&](FeatureType type, std::int64_t window_us) {
    const bool takes_value = type != FeatureType::kCount && type != FeatureType::kSession;
    const std::string name = "f" + std::to_string(appliance.features.size());
    appliance.features.push_back(
        {name, features::ordinary(type, window_us), {0}, takes_value ? "x" : "", ""});
  };
  for (const FeatureType type :
       {FeatureType::kCount, FeatureType::kSum, FeatureType::kMin, FeatureType::kMax,
        FeatureType::kMean, FeatureType::kTop, FeatureType::kDistinct}) {
    add(type, 0);
    add(type, 600);
  }
  for (const FeatureType type :
       {FeatureType::kLast, FeatureType::kFirst, FeatureType::kRecent, FeatureType::kTrait}) {
    add(type, 0);
  }
  if (with_session) add(FeatureType::kSession, 0);
  appliance.profiles_max = profiles_max;
  appliance.shard_count = 2;
  return appliance;
}

class Churn {
 public:
  Churn(std::uint64_t seed, bool in_order, std::uint32_t shard_flags = 0)
      : world(all_features(30, in_order)),
        store(world),
        random_(seed),
        in_order_(in_order),
        reference_(all_features(1000, in_order)) {
    for (const std::uint32_t shard : {0U, 1U}) {
      CHECK(world.keeper.give_shard(shard, 0, shard_flags));
    }
    CHECK(world.keeper.give_end());
    reference_.start_fresh();
  }

  /// Some events of some of 150 users; one in eight is sent again.
  void send(int count) {
    features::Draw draw{kMiddleUs, kSpreadUs, 1, 5, false};
    if (random_() % 2 == 0) draw.step = 100;
    for (; count > 0; --count) {
      const features::reference::Sent sent = features::random_event(values_, draw);
      TestEvent event{"user-" + std::to_string(random_() % 150)};
      event.id_low = ++id_;
      event.time_us =
          in_order_ ? (now_us_ += static_cast<std::int64_t>(random_() % 40)) : sent.time;
      event.received_us = kMiddleUs + static_cast<std::int64_t>(id_);
      event.values = values_of(sent);
      if (!commit(event)) CHECK(false);
      if (random_() % 8 == 0) static_cast<void>(commit(event));
      CHECK(reference_.ingest.send(event) != 0);
      reference_.run_dry();
      static_cast<void>(reference_.keeper.drain());
    }
    world.ingest.publish();
  }

  void keep() {
    const std::uint32_t shard = random_() % 2;
    if (random_() % 2 == 0) store.flush(shard);
    if (random_() % 2 == 0) store.answer(shard, 1 + static_cast<int>(random_() % 2));
    static_cast<void>(world.keeper.drain());
    send_again();
  }

  /// Sends again what found no room.
  void send_again() {
    for (const VerdictLayout& verdict : world.ingest.take_verdicts()) {
      ++refused_count;
      static_cast<void>(commit(sent_.at(verdict.ring_end)));
    }
    world.ingest.publish();
  }

  /// Till nothing is partial and nothing waits.
  void settle() {
    std::uint64_t left = 1;
    while (left != 0) {
      const std::uint64_t refused = refused_count;
      static_cast<void>(world.keeper.drain());
      send_again();
      world.run_dry();
      left = store.answer(0) + store.answer(1) + refused_count - refused;
      world.run_dry();
      store.flush(0);
      store.flush(1);
    }
    ASSERT_EQ(world.ingest.consumed_position(), world.ingest.published_position());
    ASSERT_EQ(world.counter("deja_profiles_partial"), 0U);
  }

  void expect_as_if_nobody_had_left() {
    EXPECT_EQ(world.counter(kTableFullCounter), refused_count);
    EXPECT_EQ(world.counter(kAppliedCounter), id_);
    EXPECT_EQ(reference_.counter(kAppliedCounter), id_);
    EXPECT_EQ(world.counter("deja_return_faults_total"), 0U);
    std::size_t here = 0;
    for (int number = 0; number < 150; ++number) {
      const std::string user = "user-" + std::to_string(number);
      std::vector<std::uint64_t> expected = reference_.profile(user).block;
      std::vector<std::uint64_t> seen = world.profile(user).block;
      here += seen.empty() ? 0 : 1;
      if (seen.empty()) seen = store.stored()[user];
      ASSERT_EQ(seen.empty(), expected.empty()) << user;
      if (seen.empty()) continue;
      for (const std::int64_t at : {kMiddleUs, now_us_, now_us_ + 300, kMiddleUs + kSpreadUs}) {
        for (std::size_t feature = 0; feature < world.features.specs().size(); ++feature) {
          EXPECT_EQ(json(seen, feature, at), json(expected, feature, at))
              << user << " feature " << feature << " at " << at - kMiddleUs;
        }
      }
      // It is the last applied event's, so it depends on what had to be sent again.
      if (refused_count != 0) continue;
      EXPECT_EQ(header(seen).updated_us, header(expected).updated_us) << user;
    }
    EXPECT_EQ(world.counter("deja_profiles"), here);
  }

  WorkerWorld world;
  TestStore store;
  std::uint64_t refused_count = 0;

 private:
  bool commit(const TestEvent& event) {
    const std::uint64_t end = world.ingest.commit(event);
    if (end != 0) sent_[end] = event;
    return end != 0;
  }
  static std::vector<TestEvent::TestValue> values_of(const features::reference::Sent& sent) {
    if (sent.kind == '-') return {};
    TestEvent::TestValue value{0, 0, ValueKind::kNull, sent.number, sent.text};
    if (sent.kind == 'n') value.kind = ValueKind::kNumber;
    if (sent.kind == 'b') value.kind = ValueKind::kBool;
    if (sent.kind == 't') value.kind = ValueKind::kText;
    return {value};
  }
  BlockHeaderLayout header(std::vector<std::uint64_t>& block) {
    return ProfileCopy(block.data(), world.fixture.segment().geometry()).header();
  }
  std::string json(std::vector<std::uint64_t>& block, std::size_t feature, std::int64_t at) {
    const ProfileCopy copy(block.data(), world.fixture.segment().geometry());
    const FeatureSpec& spec = world.features.specs()[feature];
    std::string out;
    append_feature_json(out, spec,
                        reinterpret_cast<const std::uint8_t*>(copy.frame()) + spec.offset, at);
    return out;
  }

  std::mt19937_64 random_;
  features::Random values_;
  bool in_order_;
  WorkerWorld reference_;
  std::map<std::uint64_t, TestEvent> sent_;  // by end in the ring
  std::uint64_t id_ = 0;
  std::int64_t now_us_ = kMiddleUs;
};

void churn_alive(std::uint64_t seed, bool in_order) {
  std::mt19937_64 random(seed);
  Churn churn(seed, in_order);
  Worker& worker = churn.world.start();
  while (!worker.recovered()) worker.duty_cycle();
  for (int round = 0; round < 600; ++round) {
    churn.send(static_cast<int>(random() % 10));
    if (random() % 2 == 0) churn.world.worker->duty_cycle();
    churn.keep();
    if (random() % 50 == 0) churn.world.start();
    churn.world.run_dry();
    // An event that is refused and sent again comes late, and a session wants its events in order.
    if (!in_order) continue;
    churn.settle();
    ASSERT_EQ(churn.refused_count, 0U);
  }
  churn.settle();
  churn.expect_as_if_nobody_had_left();
  EXPECT_GT(churn.world.counter("deja_evicted_total"), 500U);
  EXPECT_GT(churn.world.counter("deja_profiles_merged_total"), 500U);
  EXPECT_GT(churn.world.counter("deja_merges_dropped_total"), 0U);
}

TEST(WorkerChurn, WhoeverLeftAndCameBackIsAsIfHeHadNeverLeft) {
  churn_alive(test_seed(), false);
}

TEST(WorkerChurn, SessionsToo) {
  churn_alive(test_seed(), true);
}

const std::vector<std::string>& crash_points() {
  static const std::vector<std::string> points = {
      "worker.before_absent",        "worker.before_evict",         "worker.after_evict",
      "worker.after_merge_log",      "worker.before_merge_publish", "worker.after_merge_publish",
      "worker.after_merge_sequence", "worker.after_merge_release",  "worker.after_log",
      "worker.before_publish",       "worker.after_publish",        "worker.after_sequence",
      "worker.after_tally",          "table.before_publish"};
  return points;
}

TEST(WorkerChurn, KilledWhereverItEvictsOrMergesNothingIsLostAndNothingIsDoubled) {
  const std::uint64_t seed = test_seed();
  std::mt19937_64 random(seed);
  Churn churn(seed, false);
  std::map<std::string, int> died;
  for (int life = 0; life < 250; ++life) {
    churn.send(static_cast<int>(random() % 20));
    const std::string& point =
        crash_points()[static_cast<std::size_t>(life) % crash_points().size()];
    const WorkerProcess process{churn.world.fixture.segment_directory(), point, random() % 4};
    const int signal = process.run();
    ASSERT_TRUE(signal == 0 || signal == SIGKILL) << point;
    died[point] += signal == SIGKILL ? 1 : 0;
    for (int turn = 0; turn < 3; ++turn) churn.keep();
  }
  churn.world.start();
  churn.settle();
  churn.expect_as_if_nobody_had_left();
  for (const std::string& point : crash_points()) EXPECT_GT(died[point], 0) << point;
}

TEST(WorkerChurn, DyingInTheRedoOfAMergeIsLikeDyingThere) {
  Churn churn(test_seed(), false, kReturnShardHasAbsent);
  const std::string& directory = churn.world.fixture.segment_directory();
  churn.send(40);
  ASSERT_EQ((WorkerProcess{directory, ""}.run()), 0);
  ASSERT_GT(churn.store.answer(0) + churn.store.answer(1), 5U);
  EXPECT_EQ((WorkerProcess{directory, "worker.after_merge_log", 3}.run()), SIGKILL);
  for (const char* point : {"worker.before_merge_publish", "table.before_publish", "worker.in_redo",
                            "worker.after_merge_release"}) {
    EXPECT_EQ((WorkerProcess{directory, point}.run()), SIGKILL) << point;
  }
  churn.world.start();
  churn.settle();
  churn.expect_as_if_nobody_had_left();
}

}  // namespace
}  // namespace deja
