// One worker and everything around it, for tests: a segment with its neighbours' stand-ins, and a
// look at profiles as a renderer has it. Test code; header only; one thread but where a test runs
// the worker in one of its own.
#pragma once

#include <memory>
#include <string>

#include "shm/columns/finish.h"
#include "tests/support/worker_peers.h"
#include "workers/features/feature_set.h"
#include "workers/worker.h"

namespace deja {

/// A view of "item-<id>" by `user` (TestAppliance::small()); id 0: it has none.
[[nodiscard]] inline TestEvent view_of(const std::string& user, std::uint64_t id = 0) {
  TestEvent event{user};
  event.kinds = 1;
  event.id_low = id;
  event.values = {{0, 0, ValueKind::kText, 0, "item-" + std::to_string(id)}};
  return event;
}
/// An order worth `value`.
[[nodiscard]] inline TestEvent order_of(const std::string& user, double value,
                                        std::uint64_t id = 0) {
  TestEvent event{user};
  event.kinds = 2;
  event.id_low = id;
  event.values = {{3, 0, ValueKind::kNumber, value}};
  return event;
}

/// What a renderer finds of one of its users.
struct SeenProfile {
  bool found = false;
  std::uint64_t sequence = 0;
  std::int64_t updated_us = 0;
  double views = 0;
  double spend = 0;
  bool partial = false;
  std::uint32_t late = 0;
  std::vector<std::uint64_t> block;  ///< the whole copy
};

struct WorkerWorld {
  explicit WorkerWorld(const TestAppliance& appliance = TestAppliance::small())
      : fixture(appliance),
        ingest(fixture),
        keeper(fixture),
        features(std::move(*FeatureSet::compile(fixture.segment().catalog()))) {}

  /// A worker that takes the place over; the one before is gone first, without a word.
  Worker& start(std::uint32_t index = 0) {
    worker.reset();
    Result<std::unique_ptr<Worker>> attached = Worker::attach(fixture.segment(), index);
    if (!attached.ok()) std::fprintf(stderr, "%s\n", attached.error().message().c_str());
    CHECK(attached.ok());
    worker = std::move(*attached);
    return *worker;
  }
  /// The same, with nothing to be recovered.
  Worker& start_fresh(std::uint32_t index = 0) {
    CHECK(keeper.give_end());
    Worker& started = start(index);
    while (!started.recovered()) started.duty_cycle();
    return started;
  }
  /// Passes until a pass finds nothing.
  void run_dry() const {
    while (worker->duty_cycle() != 0) {
    }
  }

  [[nodiscard]] SeenProfile profile(const std::string& user) {
    SeenProfile seen;
    seen.block = fixture.profile(
        {KeyNamespace::kUser, user.data(), static_cast<std::uint32_t>(user.size())});
    if (seen.block.empty()) return seen;
    const ProfileCopy copy(seen.block.data(), fixture.segment().geometry());
    const auto* frame = reinterpret_cast<const std::uint8_t*>(copy.frame());
    seen.found = true;
    seen.sequence = copy.sequence();
    seen.updated_us = copy.header().updated_us;
    seen.partial = copy.partial();
    seen.late = copy.header().late;
    const auto number = [&](std::uint32_t feature) {
      const FeatureSpec& spec = features.specs()[feature];
      return finish_number(spec, frame + spec.offset, 0).number;
    };
    seen.views = number(0);
    seen.spend = number(1);
    return seen;
  }
  [[nodiscard]] std::uint64_t counter(std::string_view name) const {
    return fixture.counter("worker-0", name);
  }
  [[nodiscard]] std::uint32_t shard(const std::string& user) const {
    return shard_of({KeyNamespace::kUser, user.data(), static_cast<std::uint32_t>(user.size())},
                    fixture.plan().shard_count);
  }

  SegmentFixture fixture;
  TestIngest ingest;
  TestKeeper keeper;
  FeatureSet features;
  std::unique_ptr<Worker> worker;
};

inline constexpr const char* kAppliedCounter = "deja_events_applied_total";
inline constexpr const char* kDuplicateCounter = "deja_events_duplicate_total";
inline constexpr const char* kTableFullCounter = "deja_events_rejected_total{code=\"table_full\"}";
inline constexpr const char* kDeadCounter = "deja_events_dead_total";

}  // namespace deja
