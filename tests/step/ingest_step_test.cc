// An ingest process killed behind every single instruction of its commits and its answers, and the
// one that comes next: what a producer was told is there, and what he sends again is there once.
#include <sys/wait.h>

#include <map>
#include <random>
#include <unordered_set>

#include "shm/base/crash_point.h"
#include "tests/step/ingest_world.h"
#include "tests/step/memory_picture.h"
#include "tests/step/step_report.h"
#include "tests/step/stepped_process.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

class SteppedIngest {
 public:
  SteppedIngest()
      : memory_(
            world_.fixture, {"ring-0-0", "ring-0-1", "ingest-0"},
            {"profiles-0", "profiles-1", "ids-0", "ids-1", "worker-0", "worker-1", "consumed-0",
             "consumed-1", "log-0", "log-1", "verdict-0-0", "verdict-1-0", "return-0", "return-1",
             "keeper", "bell-worker-0", "bell-worker-1", "bell-ingest-0", "bell-keeper"},
            world_.told_page()) {
    memory_.take(start_);
  }

  /// Steps through the passes; behind each instruction that changed shared memory, tries a
  /// recovery. The workers run while ingest stands between two passes.
  void step_through() {
    SteppedProcess process([this] { be_ingest(); });
    SharedMemory::Picture now;
    memory_.take(now);
    try_recovery(now, false);
    for (int stage = 0; stage < IngestWorld::kStages; ++stage) {
      while (process.step()) {
        ++report_.steps;
        if (!memory_.differs(now)) continue;
        memory_.take(now);
        ++report_.changes;
        if (!seen_.insert(SharedMemory::hash(now)).second) continue;
        ++report_.pictures;
        try_recovery(now, report_.changes % second_level_every() == 0);
      }
      world_.run_workers();
      memory_.take(now);
      try_recovery(now, true);
    }
    for (std::size_t at = 0; at < world_.script.size(); ++at) {
      EXPECT_NE(world_.told(at), Told::kNothing) << "nobody killed it: event " << at;
    }
    const auto* ring = world_.fixture.file("ring-0-0").at<RingHeaderLayout>();
    EXPECT_GT(ring->producer_position.load(), ring->capacity_bytes) << "the ring came around";
  }

  void kill_at_random(std::uint64_t count) {
    std::mt19937_64 random(test_seed());
    for (; report_.kills < count; ++report_.kills) {
      memory_.put_back(start_);
      SteppedProcess process([this] { be_ingest(); });
      int stage = 0;
      for (std::uint64_t left = random() % report_.steps; left > 0; --left) {
        if (process.step()) continue;
        if (++stage == IngestWorld::kStages) break;
        world_.run_workers();
      }
      process.kill_it();
      SharedMemory::Picture now;
      memory_.take(now);
      try_recovery(now, false);
    }
  }
  void report() const {
    report_.print(memory_.bytes());
    EXPECT_GT(report_.changes, 50U);
  }

 private:
  using Complaints = std::vector<std::string>;

  void be_ingest() {
    world_.live(0, IngestWorld::kStages, [] { SteppedProcess::stop_here(); });
  }

  void try_recovery(const SharedMemory::Picture& picture, bool second_level) {
    report_.complain(judge_cut());
    std::map<std::string, long> points;
    observed_ = second_level ? &points : nullptr;
    if (second_level) CrashPoints::observe([](const char* name) { ++(*observed_)[name]; });
    const bool answered = world_.recover();
    CrashPoints::observe(nullptr);
    judge_end(answered);
    for (const auto& [point, times] : points) {
      memory_.put_back(picture);
      die_in_recovery_at(point, static_cast<long>(report_.changes / 7) % times);
      ++report_.second;
      judge_end(world_.recover());
    }
    memory_.put_back(picture);
  }

  /// Ingest has no named points of its own: there is no step of its recovery that a kill would
  /// leave half done. Those met are the workers'.
  void die_in_recovery_at(const std::string& point, long passes) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      CrashPoints::arm(point.c_str(), passes);
      static_cast<void>(world_.recover());
      _exit(1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << point << " " << passes;
  }

  [[nodiscard]] std::uint64_t worth_of(const std::string& user, bool told_only) const {
    std::uint64_t worth = 0;
    for (std::size_t at = 0; at < world_.script.size(); ++at) {
      const ScriptEvent& event = world_.script[at];
      if (event.user != user || event.is_twice || event.is_for_full) continue;
      if (!told_only || world_.told(at) == Told::kTaken) {
        worth += static_cast<std::uint64_t>(event.value);
      }
    }
    return worth;
  }

  /// What a kill left: what was told is there, and the rings have whole events of the script.
  [[nodiscard]] Complaints judge_cut() {
    Complaints complaints;
    for (const ScriptEvent& event : world_.script) {
      const std::uint64_t told = worth_of(event.user, true);
      if ((world_.profile(event.user).mask & told) != told) {
        complaints.push_back("lost: what was acknowledged of " + event.user);
      }
    }
    for (std::uint32_t worker = 0; worker < IngestWorld::kWorkers; ++worker) {
      look_at_ring(worker, complaints);
    }
    return complaints;
  }
  void look_at_ring(std::uint32_t worker, Complaints& complaints) {
    const std::string number = std::to_string(worker);
    MappedFile& file = world_.fixture.file("ring-0-" + number);
    std::atomic<std::uint64_t> position{
        consumed_ring(world_.fixture.file("consumed-" + number).at<ConsumedLayout>(), 0)
            ->position.load()};
    RingConsumer reader(file.data(), file.bytes(), &position);
    for (;;) {
      const RingRecord record = reader.next();
      if (record.outcome == RingRecord::Outcome::kEmpty) return;
      if (record.outcome == RingRecord::Outcome::kBroken || record.type != 1) {
        complaints.push_back("torn: ring " + number + " is broken");
        return;
      }
      if (!is_of_the_script(record)) complaints.push_back("torn: a record in ring " + number);
    }
  }
  [[nodiscard]] bool is_of_the_script(const RingRecord& record) const {
    std::vector<std::uint64_t> words(record.size_bytes / 8);
    std::memcpy(words.data(), record.payload, words.size() * 8);
    const kj::ArrayPtr<const capnp::word> segment(
        reinterpret_cast<const capnp::word*>(words.data()), words.size());
    capnp::SegmentArrayMessageReader message(kj::arrayPtr(&segment, 1));
    const auto event = message.getRoot<schema::EventRecord>();
    const auto bytes = event.getKey();
    const std::string user(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
    if (event.getValues().size() != 1 || event.getKinds() != 3) return false;
    if (event.getShard() != StepStory::shard(user)) return false;
    const bool has_id = (event.getIdLow() | event.getIdHigh()) != 0;
    const auto matches = [&](const ScriptEvent& sent) {
      return sent.user == user && sent.value == event.getValues()[0].getNumber() &&
             sent.id.empty() != has_id;
    };
    return std::any_of(world_.script.begin(), world_.script.end(), matches) ||
           std::any_of(world_.before.begin(), world_.before.end(), matches);
  }

  /// After the producer has sent again what he had no answer to: everything once.
  void judge_end(bool answered) {
    ++report_.recoveries;
    Complaints complaints;
    if (!answered) complaints.emplace_back("lost: an answer never came");
    std::map<std::string, std::uint64_t> worth;
    for (const ScriptEvent& event : world_.before) {
      worth[event.user] += static_cast<std::uint64_t>(event.value);
    }
    worth[world_.before[0].user] += 1;  // the first event of those who fill the table
    for (std::size_t at = 0; at < world_.script.size(); ++at) {
      const ScriptEvent& event = world_.script[at];
      if (event.is_for_full != (world_.told(at) == Told::kRefused)) {
        complaints.push_back("told: the wrong thing of event " + std::to_string(at));
      }
      if (!event.is_twice && !event.is_for_full) {
        worth[event.user] += static_cast<std::uint64_t>(event.value);
      }
    }
    for (const auto& [user, expected] : worth) {
      const StepProfile is = world_.profile(user);
      const auto count = static_cast<std::uint64_t>(std::popcount(expected));
      if (is.views != count || is.mask != expected || is.highest != std::bit_floor(expected)) {
        const char* what = is.views > count ? "doubled: " : is.views < count ? "lost: " : "torn: ";
        complaints.push_back(what + user + " has " + std::to_string(is.views) + " events worth " +
                             std::to_string(is.mask) + ", not " + std::to_string(expected));
      }
    }
    for (std::uint32_t worker = 0; worker < IngestWorld::kWorkers; ++worker) {
      look_at_ring(worker, complaints);
    }
    report_.complain(complaints);
  }

  inline static std::map<std::string, long>* observed_ = nullptr;

  IngestWorld world_;
  SharedMemory memory_;
  SharedMemory::Picture start_;
  std::unordered_set<std::size_t> seen_;
  StepReport report_{"ingest's commit"};
};

TEST(IngestStep, ACommitSurvivesAKillBehindEveryInstruction) {
  SteppedIngest stepped;
  stepped.step_through();
  stepped.kill_at_random(real_kills());
  stepped.report();
}

}  // namespace
}  // namespace deja
