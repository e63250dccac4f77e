// A worker killed behind every single instruction of its step, and whoever recovers from that
// killed again (tests/step/README.md).
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <set>
#include <unordered_set>

#include "shm/base/crash_point.h"
#include "tests/step/memory_picture.h"
#include "tests/step/stepped_process.h"
#include "tests/step/worker_scenes.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

constexpr int kPassesMax = 8;

/// DEJA_STEP_KILLS: so many real kills in each scene, at instructions drawn at random.
std::uint64_t real_kills() {
  const char* text = std::getenv("DEJA_STEP_KILLS");
  return text == nullptr ? 3 : std::strtoull(text, nullptr, 10);
}
/// DEJA_STEP_SECOND: at every n-th picture the recovery is killed too.
std::uint64_t second_level_every() {
  const char* text = std::getenv("DEJA_STEP_SECOND");
  return text == nullptr ? 20 : std::strtoull(text, nullptr, 10);
}

std::set<std::string>& met_points() {
  static std::set<std::string> points;
  return points;
}

class SteppedWorker {
 public:
  explicit SteppedWorker(const Scene& scene)
      : scene_(scene),
        step_(scene.appliance),
        memory_(step_.world.fixture,
                {"profiles-0", "ids-0", "worker-0", "consumed-0", "log-0", "verdict-0-0"},
                {"ring-0-0", "return-0", "keeper", "ingest-0", "bell-worker-0", "bell-ingest-0",
                 "bell-keeper"}) {
    scene.prepare(step_);
    step_.world.worker.reset();
    for (const Scene::Death& death : scene.deaths) die_in_recovery_at(death, 0);
    memory_.take(start_);
  }

  /// Steps through the scene; behind each instruction that changed shared memory, tries a recovery.
  void step_through() {
    SteppedProcess process([this] { be_the_worker(); });
    SharedMemory::Picture now;
    memory_.take(now);
    try_recovery(now, false);
    while (process.step()) {
      ++step_count_;
      if (!memory_.differs(now)) continue;
      memory_.take(now);
      ++change_count_;
      if (!seen_.insert(SharedMemory::hash(now)).second) continue;
      try_recovery(now, change_count_ % second_level_every() == 0);
    }
  }

  /// Really kills the worker at `count` instructions, drawn from those that step_through() took.
  void kill_at_random(std::uint64_t count) {
    std::mt19937_64 random(test_seed());
    for (std::uint64_t kill = 0; kill < count; ++kill) {
      memory_.put_back(start_);
      SteppedProcess process([this] { be_the_worker(); });
      for (std::uint64_t left = random() % step_count_; left > 0 && process.step(); --left) {
      }
      process.kill_it();
      SharedMemory::Picture now;
      memory_.take(now);
      try_recovery(now, false);
      ++kill_count_;
    }
  }

  void report() const {
    std::printf(
        "%s: %llu instructions, %llu changed shared memory (%llu bytes), %zu pictures, "
        "%llu recoveries, %llu of them after a kill inside of one, %llu real kills; "
        "%llu lost, %llu doubled, %llu torn, %llu otherwise wrong\n",
        scene_.name.c_str(), as(step_count_), as(change_count_), as(memory_.bytes()), seen_.size(),
        as(recovery_count_), as(second_count_), as(kill_count_), as(lost_), as(doubled_), as(torn_),
        as(wrong_));
    EXPECT_GT(change_count_, 50U);
    EXPECT_EQ(lost_ + doubled_ + torn_ + wrong_, 0U);
  }

 private:
  static unsigned long long as(std::uint64_t count) { return count; }

  void be_the_worker() {
    if (!scene_.deaths.empty()) SteppedProcess::stop_here();
    auto worker = Worker::attach(step_.world.fixture.segment(), 0);
    CHECK(worker.ok());
    if (scene_.deaths.empty()) SteppedProcess::stop_here();
    for (int pass = 0; pass < kPassesMax && (*worker)->duty_cycle() != 0; ++pass) {
    }
    SteppedProcess::stop_here();
  }

  /// False where the worker refuses to go on from what it finds.
  bool recover() {
    step_.world.worker.reset();
    auto worker = Worker::attach(step_.world.fixture.segment(), 0);
    if (!worker.ok()) {
      complain({"lost: " + worker.error().message()});
      return false;
    }
    step_.world.worker = std::move(*worker);
    step_.world.run_dry();
    return true;
  }

  /// Recovers from `picture`, which lies in the segment, and judges; then likewise with the
  /// recovery killed at each crash point that it met.
  void try_recovery(const SharedMemory::Picture& picture, bool second_level) {
    const SegmentLook cut = step_.looker.look();
    std::map<std::string, long> points;
    observed_ = second_level ? &points : nullptr;
    if (second_level) CrashPoints::observe([](const char* name) { ++(*observed_)[name]; });
    const bool recovered = recover();
    CrashPoints::observe(nullptr);
    if (recovered) judge(cut);
    for (const auto& [point, times] : points) {
      memory_.put_back(picture);
      die_in_recovery_at({point},
                         static_cast<long>(change_count_ / 7 % static_cast<std::uint64_t>(times)));
      met_points().insert(point);
      ++second_count_;
      if (recover()) judge(cut);
    }
    step_.world.worker.reset();
    memory_.put_back(picture);
  }

  void judge(const SegmentLook& cut) {
    ++recovery_count_;
    const SegmentLook end = step_.looker.look();
    complain(step_.story.judge_end(end, step_.looker, step_.world));
    complain(step_.story.judge_cut(cut, end, step_.looker));
    // The producer resends what it saw no answer to, and goes on; and so does the next life.
    StepStory after = step_.story;
    TestIngest ingest(step_.world.fixture);
    after.resend(ingest);
    after.send(ingest, after.event_of(scene_.after));
    step_.world.run_dry();
    if (!recover()) return;
    complain(after.judge_end(step_.looker.look(), step_.looker, step_.world));
  }

  void die_in_recovery_at(const Scene::Death& death, long passes) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      const rlimit no_core{0, 0};
      setrlimit(RLIMIT_CORE, &no_core);
      install_fault_handler();
      CrashPoints::arm(death.point.c_str(), passes, death.signal, death.key);
      auto worker = Worker::attach(step_.world.fixture.segment(), 0);
      while (worker.ok() && (*worker)->duty_cycle() != 0) {
      }
      _exit(1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == death.signal)
        << death.point << " " << passes;
  }

  void complain(const StepStory::Complaints& complaints) {
    for (const std::string& complaint : complaints) {
      std::uint64_t& count = complaint.starts_with("lost")      ? lost_
                             : complaint.starts_with("doubled") ? doubled_
                             : complaint.starts_with("torn")    ? torn_
                                                                : wrong_;
      ++count;
      if (++told_ <= 8) {
        ADD_FAILURE() << scene_.name << ", instruction " << step_count_ << ": " << complaint;
      }
    }
  }

  inline static std::map<std::string, long>* observed_ = nullptr;

  const Scene scene_;
  StepWorld step_;
  SharedMemory memory_;
  SharedMemory::Picture start_;
  std::unordered_set<std::size_t> seen_;
  std::uint64_t step_count_ = 0, change_count_ = 0, recovery_count_ = 0, second_count_ = 0;
  std::uint64_t kill_count_ = 0, lost_ = 0, doubled_ = 0, torn_ = 0, wrong_ = 0, told_ = 0;
};

void play(const Scene& scene) {
  SteppedWorker stepped(scene);
  stepped.step_through();
  stepped.kill_at_random(real_kills());
  stepped.report();
}

TEST(WorkerStep, ABatchSurvivesAKillBehindEveryInstruction) {
  play(batch_scene());
}
TEST(WorkerStep, ARedoSurvivesAKillBehindEveryInstruction) {
  play(redo_scene());
}
TEST(WorkerStep, ARefusalSurvivesAKillBehindEveryInstruction) {
  play(full_scene());
}
TEST(WorkerStep, AnOverflowBucketSurvivesAKillBehindEveryInstruction) {
  play(overflow_scene());
}
TEST(WorkerStep, AnEvictionSurvivesAKillBehindEveryInstruction) {
  play(evict_scene());
}
TEST(WorkerStep, ADeadLetterOfItsReaderSurvivesAKillBehindEveryInstruction) {
  play(poison_read_scene());
}
TEST(WorkerStep, ADeadLetterOfTheLogSurvivesAKillBehindEveryInstruction) {
  play(poison_applied_scene());
}
TEST(WorkerStep, AMergeSurvivesAKillBehindEveryInstruction) {
  play(merge_scene());
}

}  // namespace
}  // namespace deja
