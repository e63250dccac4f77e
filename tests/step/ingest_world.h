// What an ingest process that is stepped stands in: two workers with a ring each, a producer who
// sends again whatever he got no answer to, and the script of what he sends. Test code; header
// only; one thread in each process.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "ingest/event_sink.h"
#include "ring/event_record.capnp.h"
#include "tests/step/worker_scenes.h"

namespace deja {

/// One event of the script. Each event of a user is worth another power of two.
struct ScriptEvent {
  std::string user;
  std::string id;
  double value = 0;
  int stage = 0;             ///< is sent in this pass of ingest
  bool is_twice = false;     ///< the producer sent it before: no effect of its own
  bool is_for_full = false;  ///< of a new user for whom there is no room
};

enum class Told : std::uint8_t { kNothing = 0, kTaken = 1, kRefused = 2 };

class IngestWorld {
 public:
  static constexpr std::uint32_t kWorkers = 2;
  static constexpr int kStages = 3;

  IngestWorld()
      : fixture(appliance()),
        features_(std::move(*FeatureSet::compile(fixture.segment().catalog()))) {
    void* page =
        mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    told_ = static_cast<std::uint8_t*>(page);
    for (std::uint32_t worker = 0; worker < kWorkers; ++worker) {
      keepers_.push_back(std::make_unique<TestKeeper>(fixture, worker));
      CHECK(keepers_[worker]->give_end());
    }
    run_workers();
    prepare();
  }
  ~IngestWorld() { munmap(told_, kPageBytes); }
  IngestWorld(const IngestWorld&) = delete;
  IngestWorld& operator=(const IngestWorld&) = delete;

  /// What the producer was told of each event of the script; shared with the stepped process.
  [[nodiscard]] std::span<std::uint8_t> told_page() { return {told_, script.size()}; }
  [[nodiscard]] Told told(std::size_t event) const { return static_cast<Told>(told_[event]); }

  /// A life of ingest: `stages` passes of its loop, with `between` before the first and after each.
  /// Every pass answers what can be answered, and sends what no pass before has sent.
  template <typename Between>
  void live(int first_stage, int stages, Between&& between) {
    ProcessFile process(
        std::move(*fixture.segment().map("process-ingest", MappedFile::Mode::kReadWrite)),
        "ingest");
    auto opened = EventSink::open(fixture.segment(), 0, process);
    CHECK(opened.ok());
    EventSink& sink = **opened;
    std::vector<Placed> placed(script.size());
    between();
    for (int stage = first_stage; stage < first_stage + stages; ++stage) {
      answer_all(sink, placed);
      for (std::size_t at = 0; at < script.size(); ++at) {
        const bool due = script[at].stage <= stage && told(at) == Told::kNothing;
        if (due && placed[at].end_position == 0)
          static_cast<void>(send(sink, script[at], placed[at]));
      }
      sink.publish();
      answer_all(sink, placed);  // nobody has consumed any of it yet
      between();
    }
  }
  /// The next life, after a kill: until everything is answered, also what is not yet due.
  [[nodiscard]] bool recover() {
    live(kStages, 6, [&] { run_workers(); });
    for (std::size_t at = 0; at < script.size(); ++at) {
      if (told(at) == Told::kNothing) return false;
    }
    return true;
  }

  /// New lives of the workers, until their rings are empty; the keeper takes what they say.
  void run_workers() {
    for (std::uint32_t number = 0; number < kWorkers; ++number) {
      auto worker = Worker::attach(fixture.segment(), number);
      CHECK(worker.ok());
      while ((*worker)->duty_cycle() != 0) static_cast<void>(keepers_[number]->drain());
    }
  }

  [[nodiscard]] StepProfile profile(const std::string& user) {
    std::vector<std::uint64_t> block = fixture.profile(
        {KeyNamespace::kUser, user.data(), static_cast<std::uint32_t>(user.size())});
    if (block.empty()) return {};
    const ProfileCopy copy(block.data(), fixture.segment().geometry());
    const auto* frame = reinterpret_cast<const std::uint8_t*>(copy.frame());
    const auto number = [&](std::size_t feature) {
      const FeatureSpec& spec = features_.specs()[feature];
      return static_cast<std::uint64_t>(finish_number(spec, frame + spec.offset, 0).number);
    };
    return {copy.sequence(), number(1), number(0), number(2), copy.partial()};
  }

  SegmentFixture fixture;
  std::vector<ScriptEvent> script;
  std::vector<ScriptEvent> before;  ///< lies in the rings when the steps begin

 private:
  static constexpr std::size_t kPageBytes = 4096;

  static TestAppliance appliance() {
    TestAppliance appliance = step_appliance();
    appliance.worker_count = kWorkers;
    appliance.dedup_window = 16;
    appliance.events[0].match = appliance.events[1].match;  // an order is a view, too
    return appliance;
  }

  SinkOutcome send(EventSink& sink, const ScriptEvent& event, Placed& placed) {
    extraction_->clear();
    extraction_->call = CallType::kTrack;
    extraction_->name = "Order Completed";
    extraction_->user_id = event.user;
    extraction_->message_id = event.id;
    CHECK(extraction_->capture(3, 0, Value::of(event.value)));
    Refusal refusal;
    return sink.submit(*extraction_, 1'700'000'000'000'000, schema::AckLevel::APPLIED, refusal,
                       placed);
  }
  void answer_all(EventSink& sink, const std::vector<Placed>& placed) {
    sink.refresh();
    for (std::size_t at = 0; at < script.size(); ++at) {
      if (told(at) != Told::kNothing || placed[at].end_position == 0) continue;
      if (!sink.covers(placed[at], schema::AckLevel::APPLIED)) continue;
      Refusal refusal;
      const bool taken = sink.settle(placed[at], schema::AckLevel::APPLIED, nullptr, refusal);
      told_[at] = static_cast<std::uint8_t>(taken ? Told::kTaken : Told::kRefused);
    }
  }

  /// Fills shard 0's table with users, then its ring with events but for the room of one; then
  /// writes the script.
  void prepare() {
    ProcessFile process(
        std::move(*fixture.segment().map("process-ingest", MappedFile::Mode::kReadWrite)),
        "ingest");
    std::unique_ptr<EventSink> sink = std::move(*EventSink::open(fixture.segment(), 0, process));
    Placed placed;
    for (int number = 0; fixture.counter("worker-0", kTableFullCounter) == 0; ++number) {
      CHECK(send(*sink, {StepWorld::user_in(0, "fill", number), "", 1}, placed) ==
            SinkOutcome::kCommitted);
      sink->publish();
      run_workers();
      sink->refresh();
    }
    const std::string known = StepWorld::user_in(0, "fill");
    const std::string other = StepWorld::user_in(1, "other");
    // The ring's room is found out by what it takes, on a copy of it.
    MappedFile& ring = fixture.file("ring-0-0");
    const std::vector<std::uint8_t> empty(ring.data(), ring.data() + ring.bytes());
    double value = 2;
    std::size_t count = 0;
    for (; send(*sink, {known, "", value}, placed) == SinkOutcome::kCommitted; ++count) {
    }
    std::copy(empty.begin(), empty.end(), ring.data());
    sink = std::move(*EventSink::open(fixture.segment(), 0, process));
    for (std::size_t at = 0; at + 1 < count; ++at, value *= 2) {
      before.push_back({known, "", value});
      CHECK(send(*sink, before.back(), placed) == SinkOutcome::kCommitted);
    }
    sink->publish();
    const std::string late = StepWorld::user_in(0, "late");
    script = {{known, "m-0", value},
              {other, "m-1", 1},
              {known, "m-2", value * 2},  // meets a full ring: goes into it a pass later
              {late, "m-3", 1, 0, false, true},
              {other, "m-4", 2},
              {known, "m-0", value, 1, true},
              {other, "m-5", 4, 1},
              {known, "m-6", value * 4, 1}};
  }

  FeatureSet features_;
  std::vector<std::unique_ptr<TestKeeper>> keepers_;
  std::uint8_t* told_ = nullptr;
  std::unique_ptr<Extraction> extraction_ = std::make_unique<Extraction>();
};

}  // namespace deja
