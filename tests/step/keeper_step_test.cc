// A keeper killed behind every single instruction of its start, its drain, its journal, its dead
// letters and its writes to Redis; the one that comes next in the living segment, and the one that
// comes next when the power went as well. Against a real redis-server.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <random>
#include <unordered_set>

#include "shm/base/crash_point.h"
#include "shm/columns/finish.h"
#include "tests/step/keeper_story.h"
#include "tests/step/memory_picture.h"
#include "tests/step/step_report.h"
#include "tests/support/redis_server.h"
#include "tests/support/scratch.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

constexpr std::uint32_t kShards = 2;
constexpr std::uint64_t kSegmentBytes = 1U << 14U;
constexpr std::uint64_t kStepsMax = 5'000'000;

/// Folders that outlive what stands in them.
struct Scratch {
  Scratch() {
    for (const char* name : {"/disk", "/after"}) {
      std::filesystem::create_directories(path + name + "/journal");
    }
  }
  ~Scratch() { std::filesystem::remove_all(path); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string path = make_scratch_directory("deja-step");
};

class SteppedKeeper {
 public:
  SteppedKeeper(const std::string& redis_url)
      : appliance_(plan(redis_url, "/disk")), redis_url_(redis_url), redis_(redis_url) {
    first_life();
    for (const char* name : {"keeper", "durable", "return-0", "bell-keeper", "log-0"}) {
      files_.push_back(std::make_unique<MappedFile>(
          std::move(*appliance_.segment().map(name, MappedFile::Mode::kReadWrite))));
    }
    const auto span = [&](int at) {
      return std::span<std::uint8_t>(files_[at]->data(), files_[at]->bytes());
    };
    memory_.emplace(std::vector{span(0), span(1), span(2)}, std::vector{span(3)});
    second_life();
    take(start_);
  }

  void step_through() {
    SteppedProcess process([this] { be_the_keeper(); });
    Picture now;
    take(now);
    try_recovery(now, false);
    while (!done() && report_.steps < kStepsMax && !testing::Test::HasFailure()) {
      ASSERT_TRUE(process.step());
      ++report_.steps;
      if (!changed(process, now)) continue;
      take(now);
      ++report_.changes;
      if (seen_.insert(hash(now)).second) {
        ++report_.pictures;
        try_recovery(now, report_.changes % second_level_every() == 0);
      }
      send_more(now);
    }
    EXPECT_TRUE(done());
    EXPECT_EQ(sent_more_, 2) << "events came while the keeper was at work";
  }
  void kill_at_random(std::uint64_t count) {
    std::mt19937_64 random(test_seed());
    for (; report_.kills < count; ++report_.kills) {
      put_back(start_);
      disk_.reset();
      Picture now;
      {
        SteppedProcess process([this] { be_the_keeper(); });
        take(now);
        for (std::uint64_t left = random() % report_.steps; left > 0 && !done(); --left) {
          ASSERT_TRUE(process.step());
          static_cast<void>(changed(process, now));
        }
      }
      take(now);
      try_recovery(now, false);
    }
  }
  void report() const {
    report_.print(memory_->bytes());
    EXPECT_GT(report_.pictures, 25U);
  }

 private:
  using Complaints = KeeperStory::Complaints;
  struct Picture {
    SharedMemory::Picture memory;
    DiskFiles files;
    DiskFiles synced;
    std::string digest;
    RedisPictures::Picture redis;
  };

  TestPlan plan(const std::string& redis_url, const char* disk) const {
    TestPlan plan;
    plan.redis_url = redis_url;
    plan.where = scratch_.path;
    plan.durability_directory = scratch_.path + disk;
    plan.shard_count = kShards;
    plan.worker_count = 1;
    return plan;
  }
  static KeeperOptions options() {
    KeeperOptions options;
    options.journal_segment_bytes = kSegmentBytes;
    options.redis.silence_ms = 600'000;  // it stands still while recoveries are tried
    return options;
  }

  // --- what is there
  // ------------------------------------------------------------------------------

  /// A keeper that ended well: profiles in Redis, a journal behind them.
  void first_life() {
    appliance_.start_keeper(options());
    ASSERT_TRUE(appliance_.recover());
    for (const char* user : {"ann", "bob", "mallory"}) appliance_.view(user);
    ASSERT_TRUE(eventually([&] { return appliance_.all_written(); }));
    ASSERT_EQ(appliance_.stop_keeper(), "");
    disk_.reset();
  }
  /// What the workers have logged since: events, a duplicate, dead letters of both kinds.
  void second_life() {
    appliance_.view("ann");
    appliance_.view("cas");
    appliance_.append_log(0, 0, "", LogKind::kDuplicate);
    appliance_.append_log(0, 0, "no event at all", LogKind::kDead);
    const std::uint32_t shard = appliance_.shard_of_user("mallory");
    const std::uint64_t sequence = appliance_.log("mallory");
    appliance_.append_log(shard, sequence, KeeperAppliance::event_words("mallory", shard, 99),
                          LogKind::kDead);
    appliance_.count("mallory", sequence);
    appliance_.view("bob");
  }
  /// Events that come while the keeper is at work: once what was there before is durable, and once
  /// Redis has something of it.
  void send_more(const Picture& now) {
    if (sent_more_ == 0 && appliance_.durable_position(0) == appliance_.last_ring_end()) {
      appliance_.view("ann");
      appliance_.view("dan");
      ++sent_more_;
    } else if (sent_more_ == 1 && redis_.number("deja:{0}:watermark", "sequence") > 1) {
      appliance_.view("bob");
      appliance_.view("dan");
      ++sent_more_;
    }
    static_cast<void>(now);
  }
  [[nodiscard]] bool done() const {
    return appliance_.all_written() && appliance_.log_is_given_back(0) &&
           appliance_.durable_position(0) == appliance_.last_ring_end();
  }
  [[nodiscard]] KeeperStory story() const { return {*files_[4], kShards}; }

  // --- steps and pictures
  // -------------------------------------------------------------------------

  void be_the_keeper() {
    SteppedProcess::stop_here();
    auto keeper = Keeper::open(appliance_.segment_directory(), options());
    CHECK(keeper.ok());
    const std::atomic<bool> stop{false};
    static_cast<void>((*keeper)->run(stop));
  }

  /// Whether the last step has changed something that a kill leaves. Files and Redis change by
  /// system calls alone.
  bool changed(const SteppedProcess& process, const Picture& before) {
    if (memory_->differs(before.memory)) return true;
    const auto call = process.system_call();
    if (!call) return false;
    if (disk_.after(process, *call)) {
      if (disk_.files() != before.files || disk_.synced() != before.synced) return true;
    }
    const bool sends = call->number == SYS_sendto || call->number == SYS_sendmsg ||
                       call->number == SYS_write || call->number == SYS_writev;
    return sends && redis_.digest() != before.digest;
  }
  void take(Picture& picture) {
    memory_->take(picture.memory);
    picture.files = disk_.files();
    picture.synced = disk_.synced();
    picture.digest = redis_.digest();
    picture.redis = redis_.take();
  }
  void put_back(const Picture& picture) {
    memory_->put_back(picture.memory);
    DiskWatch::put_back(scratch_.path + "/disk", picture.files);
    redis_.put_back(picture.redis);
  }
  static std::size_t hash(const Picture& picture) {
    std::string all(picture.memory.begin(), picture.memory.end());
    for (const auto* files : {&picture.files, &picture.synced}) {
      for (const auto& [path, bytes] : *files) all += path + bytes;
    }
    return std::hash<std::string>{}(all + picture.digest);
  }

  // --- recoveries
  // ---------------------------------------------------------------------------------

  void try_recovery(const Picture& picture, bool second_level) {
    judge_cut(picture);
    std::map<std::string, long> points;
    observed_ = second_level ? &points : nullptr;
    if (second_level) CrashPoints::observe([](const char* name) { ++(*observed_)[name]; });
    take_over();
    CrashPoints::observe(nullptr);
    for (const auto& [point, ignored] : points) {
      put_back(picture);
      die_in_recovery_at(point);
      ++report_.second;
      take_over();
    }
    put_back(picture);
    after_power_loss(picture);
    put_back(picture);
  }

  void judge_cut(const Picture& picture) {
    Complaints complaints;
    const KeeperStory story = this->story();
    story.judge_disk(picture.synced, appliance_.durable_position(0), drained_position(),
                     complaints);
    story.judge_redis(redis_, picture.synced, watermarks(), complaints);
    report_.complain(complaints);
  }

  /// The next keeper in the segment that lives on.
  void take_over() {
    ++report_.recoveries;
    appliance_.start_keeper(options());
    const bool came_to_its_end = eventually([&] { return done(); });
    const std::string said = appliance_.stop_keeper();
    Complaints complaints;
    if (!came_to_its_end) complaints.push_back("lost: the next keeper has not come to its end");
    if (!said.empty()) complaints.push_back("lost: the next keeper says: " + said);
    judge_end(disk_.files(), complaints);
    report_.complain(complaints);
  }
  void judge_end(const DiskFiles& files, Complaints& complaints) {
    const KeeperStory story = this->story();
    story.judge_disk(files, appliance_.last_ring_end(), drained_position(), complaints);
    story.judge_redis(redis_, files, watermarks(), complaints);
    for (std::uint32_t shard = 0; shard < kShards; ++shard) {
      if (redis_.number(watermark_key(shard), "sequence") != story.last_sequence(shard)) {
        complaints.emplace_back("lost: Redis' watermark is not at the end");
      }
    }
    for (const auto& [user, shard] : story.users()) {
      const std::string key = profile_key(shard, KeeperAppliance::user_key(user));
      if (redis_.number(key, "views") != story.views(user, story.last_sequence(shard))) {
        complaints.push_back("lost: Redis has not all of " + user);
      }
    }
  }

  /// A new segment, from Redis and from what of the journal was synced.
  void after_power_loss(const Picture& picture) {
    ++report_.recoveries;
    DiskWatch::put_back(scratch_.path + "/after", picture.synced);
    Complaints complaints;
    const KeeperStory story = this->story();
    const JournalSeen journal = journal_of(picture.synced, complaints);
    KeeperAppliance appliance(plan(redis_url_, "/after"));
    appliance.start_keeper(options());
    if (!appliance.recover()) {
      complaints.push_back("lost: no start after a power loss: " + appliance.stop_keeper());
      report_.complain(complaints);
      return;
    }
    for (std::uint32_t shard = 0; shard < kShards; ++shard) {
      if (appliance.sequence(shard) <
          story.durable_sequence(shard, appliance_.durable_position(0))) {
        complaints.emplace_back("lost: what was told durable, with the power");
      }
    }
    for (const auto& [user, shard] : story.users()) {
      std::uint64_t expected = story.views(user, appliance.sequence(shard), &journal);
      const auto profile = appliance.read(user);
      const std::uint64_t has = profile ? views_in(appliance, profile->frame) : 0;
      if (has == expected) continue;
      complaints.push_back((has > expected ? "doubled: " : "lost: ") + user + " has " +
                           std::to_string(has) + " views after a power loss, not " +
                           std::to_string(expected));
    }
    const std::string said = appliance.stop_keeper();
    if (!said.empty()) complaints.push_back("lost: after a power loss: " + said);
    report_.complain(complaints);
  }
  static std::uint64_t views_in(const KeeperAppliance& appliance, const std::string& frame) {
    const FeatureSpec& spec = appliance.features().specs()[0];
    std::vector<std::uint64_t> words((frame.size() + 7) / 8);
    std::memcpy(words.data(), frame.data(), frame.size());
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(words.data());
    return static_cast<std::uint64_t>(finish_number(spec, bytes + spec.offset, 0).number);
  }

  void die_in_recovery_at(const std::string& point) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      CrashPoints::arm(point.c_str(), 0);
      alarm(20);  // where it never comes by
      auto keeper = Keeper::open(appliance_.segment_directory(), options());
      const std::atomic<bool> stop{false};
      if (keeper.ok()) static_cast<void>((*keeper)->run(stop));
      _exit(1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << point;
  }

  [[nodiscard]] std::uint64_t drained_position() const {
    return keeper_logs(files_[0]->data())[0].drained_position.value.load();
  }
  [[nodiscard]] const std::atomic<std::uint64_t>* watermarks() const {
    return keeper_watermarks(files_[0]->data(), 1);
  }

  inline static std::map<std::string, long>* observed_ = nullptr;

  Scratch scratch_;
  KeeperAppliance appliance_;
  std::string redis_url_;
  RedisPictures redis_;
  DiskWatch disk_{scratch_.path + "/disk"};
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::optional<SharedMemory> memory_;
  Picture start_;
  std::unordered_set<std::size_t> seen_;
  int sent_more_ = 0;
  StepReport report_{"the keeper"};
};

/// Keepers say how they begin; here there are hundreds of them.
struct Silence {
  Silence() : kept(dup(2)) {
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(nowhere, 2);
    close(nowhere);
  }
  ~Silence() {
    dup2(kept, 2);
    close(kept);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;
  int kept;
};

TEST(KeeperStep, WhatItKeepsSurvivesAKillBehindEveryInstruction) {
  SKIP_WITHOUT_REDIS();
  RedisServer redis;
  ASSERT_TRUE(redis.start());
  // What io_uring does is done by the kernel, between two instructions of nobody.
  setenv("DEJA_IO", "epoll", 1);
  if (std::getenv("STEP_TALK") != nullptr) {
    SteppedKeeper stepped(redis.url());
    stepped.step_through();
    stepped.report();
    return;
  }
  const Silence silence;
  SteppedKeeper stepped(redis.url());
  stepped.step_through();
  stepped.kill_at_random(real_kills());
  stepped.report();
  unsetenv("DEJA_IO");
}

}  // namespace
}  // namespace deja
