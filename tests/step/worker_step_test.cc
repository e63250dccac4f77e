// A worker killed behind every single instruction of its step, and whoever recovers from that
// killed again (tests/step/README.md).
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <map>
#include <unordered_set>

#include "shm/base/crash_point.h"
#include "tests/step/memory_picture.h"
#include "tests/step/step_report.h"
#include "tests/step/stepped_process.h"
#include "tests/step/worker_scenes.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

constexpr int kPassesMax = 8;

class SteppedWorker {
 public:
  explicit SteppedWorker(const Scene& scene)
      : scene_(scene),
        step_(scene.appliance),
        memory_(step_.world.fixture,
                {"profiles-0", "ids-0", "worker-0", "consumed-0", "log-0", "verdict-0-0"},
                {"ring-0-0", "return-0", "keeper", "ingest-0", "bell-worker-0", "bell-ingest-0",
                 "bell-keeper"}),
        report_(scene.name) {
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
      ++report_.steps;
      if (!memory_.differs(now)) continue;
      memory_.take(now);
      ++report_.changes;
      if (!seen_.insert(SharedMemory::hash(now)).second) continue;
      report_.pictures = seen_.size();
      try_recovery(now, report_.changes % second_level_every() == 0);
    }
  }

  /// Really kills the worker at `count` instructions, drawn from those that step_through() took.
  void kill_at_random(std::uint64_t count) {
    std::mt19937_64 random(test_seed());
    for (std::uint64_t kill = 0; kill < count; ++kill) {
      memory_.put_back(start_);
      SteppedProcess process([this] { be_the_worker(); });
      for (std::uint64_t left = random() % report_.steps; left > 0 && process.step(); --left) {
      }
      process.kill_it();
      SharedMemory::Picture now;
      memory_.take(now);
      try_recovery(now, false);
      ++report_.kills;
    }
  }

  void report() const {
    report_.print(memory_.bytes());
    EXPECT_GT(report_.changes, 50U);
  }

 private:
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
      report_.complain({"lost: " + worker.error().message()});
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
      die_in_recovery_at(
          {point}, static_cast<long>(report_.changes / 7 % static_cast<std::uint64_t>(times)));
      ++report_.second;
      if (recover()) judge(cut);
    }
    step_.world.worker.reset();
    memory_.put_back(picture);
  }

  void judge(const SegmentLook& cut) {
    ++report_.recoveries;
    const SegmentLook end = step_.looker.look();
    report_.complain(step_.story.judge_end(end, step_.looker, step_.world));
    report_.complain(step_.story.judge_cut(cut, end, step_.looker));
    // The producer resends what it saw no answer to, and goes on; and so does the next life.
    StepStory after = step_.story;
    TestIngest ingest(step_.world.fixture);
    after.resend(ingest);
    after.send(ingest, after.event_of(scene_.after));
    step_.world.run_dry();
    if (!recover()) return;
    report_.complain(after.judge_end(step_.looker.look(), step_.looker, step_.world));
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

  inline static std::map<std::string, long>* observed_ = nullptr;

  const Scene scene_;
  StepWorld step_;
  SharedMemory memory_;
  SharedMemory::Picture start_;
  std::unordered_set<std::size_t> seen_;
  StepReport report_;
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
TEST(WorkerStep, ADeadMergeSurvivesAKillBehindEveryInstruction) {
  play(poison_merge_scene());
}
TEST(WorkerStep, AReturnForARendererSurvivesAKillBehindEveryInstruction) {
  play(put_back_scene());
}
TEST(WorkerStep, AMergeSurvivesAKillBehindEveryInstruction) {
  play(merge_scene());
}

}  // namespace
}  // namespace deja
