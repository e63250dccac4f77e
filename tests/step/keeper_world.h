// A keeper that is stepped, and all that it writes to: its files in the segment, the folder of its
// journal and dead letters, a Redis. One picture has all three. Test code; header only; one thread,
// but for the keepers that recover.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/step/keeper_story.h"
#include "tests/step/memory_picture.h"
#include "tests/support/scratch.h"

namespace deja {

/// Folders that outlive what stands in them.
struct StepFolders {
  StepFolders() {
    for (const char* name : {"/disk", "/after"}) {
      std::filesystem::create_directories(path + name + "/journal");
    }
  }
  ~StepFolders() { std::filesystem::remove_all(path); }
  StepFolders(const StepFolders&) = delete;
  StepFolders& operator=(const StepFolders&) = delete;
  const std::string path = make_scratch_directory("deja-step");
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

class KeeperWorld {
 public:
  static constexpr std::uint32_t kShards = 2;

  struct Picture {
    SharedMemory::Picture memory;
    DiskFiles files;
    DiskFiles synced;
    std::string digest;
    RedisPictures::Picture redis;
  };

  explicit KeeperWorld(const std::string& url)
      : appliance(plan(url, "/disk")), redis_url(url), redis(url) {
    first_life();
    for (const char* name : {"keeper", "durable", "return-0", "bell-keeper", "log-0"}) {
      files_.push_back(std::make_unique<MappedFile>(
          std::move(*appliance.segment().map(name, MappedFile::Mode::kReadWrite))));
    }
    const auto span = [&](std::size_t at) {
      return std::span<std::uint8_t>(files_[at]->data(), files_[at]->bytes());
    };
    memory.emplace(std::vector{span(0), span(1), span(2)}, std::vector{span(3)});
    second_life();
  }

  [[nodiscard]] TestPlan plan(const std::string& url, const char* folder) const {
    TestPlan plan;
    plan.redis_url = url;
    plan.where = folders_.path;
    plan.durability_directory = folders_.path + folder;
    plan.shard_count = kShards;
    plan.worker_count = 1;
    // So long that a step's records still wait when it comes to settling; a write to Redis, which
    // needs them on the disk, does not wait.
    plan.group_commit_us = 5'000'000;
    return plan;
  }
  static KeeperOptions options() {
    KeeperOptions options;
    options.journal_segment_bytes = kSegmentBytes;
    options.write_behind.batch_count_max = 1;  // each write to Redis is a kill's place
    options.redis.silence_ms = 600'000;        // it stands still while recoveries are tried
    return options;
  }

  /// Events that come while the keeper is at work: once what was there before is durable, and once
  /// Redis has something of it.
  void send_more() {
    if (sent_more == 0 && appliance.durable_position(0) == appliance.last_ring_end()) {
      appliance.view("ann");
      appliance.view("dan");
      ++sent_more;
    } else if (sent_more == 1 && redis.number("deja:{0}:watermark", "sequence") > 1) {
      appliance.view("bob");
      appliance.view("dan");
      ++sent_more;
    }
  }
  [[nodiscard]] bool done() const {
    return appliance.all_written() && appliance.log_is_given_back(0) &&
           appliance.durable_position(0) == appliance.last_ring_end();
  }
  [[nodiscard]] KeeperStory story() const { return {*files_[4], kShards}; }

  void be_the_keeper() {
    auto keeper = Keeper::open(appliance.segment_directory(), options());
    CHECK(keeper.ok());
    SteppedProcess::stop_here();
    const std::atomic<bool> stop{false};
    static_cast<void>((*keeper)->run(stop));
  }

  /// Whether the last step has changed something that a kill leaves. Files and Redis change by
  /// system calls alone.
  [[nodiscard]] bool changed(const SteppedProcess& process, const Picture& before) {
    const auto call = process.system_call();
    const bool files = call && disk.after(process, *call);
    if (memory->differs(before.memory)) return true;
    if (!call) return false;
    if (files && (disk.files() != before.files || disk.synced() != before.synced)) return true;
    const bool sends = call->number == SYS_sendto || call->number == SYS_sendmsg ||
                       call->number == SYS_write || call->number == SYS_writev;
    return sends && redis.digest() != before.digest;
  }
  void take(Picture& picture) {
    memory->take(picture.memory);
    picture.files = disk.files();
    picture.synced = disk.synced();
    picture.digest = redis.digest();
    picture.redis = redis.take();
  }
  void put_back(const Picture& picture) {
    memory->put_back(picture.memory);
    DiskWatch::put_back(folders_.path + "/disk", picture.files);
    redis.put_back(picture.redis);
  }
  static std::size_t hash(const Picture& picture) {
    std::string all(picture.memory.begin(), picture.memory.end());
    for (const auto* files : {&picture.files, &picture.synced}) {
      for (const auto& [path, bytes] : *files) all += path + bytes;
    }
    return std::hash<std::string>{}(all + picture.digest);
  }

  [[nodiscard]] std::string after_folder() const { return folders_.path + "/after"; }
  [[nodiscard]] std::uint64_t drained_position() const {
    return keeper_logs(files_[0]->data())[0].drained_position.value.load();
  }
  [[nodiscard]] const std::atomic<std::uint64_t>* watermarks() const {
    return keeper_watermarks(files_[0]->data(), 1);
  }

 private:
  static constexpr std::uint64_t kSegmentBytes = 3 * kJournalBlockBytes;  // of one group

  /// A keeper that ended well: profiles in Redis, a journal behind them.
  void first_life() {
    appliance.start_keeper(options());
    ASSERT_TRUE(appliance.recover());
    for (const char* user : {"ann", "bob", "mallory"}) appliance.view(user);
    ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
    ASSERT_EQ(appliance.stop_keeper(), "");
    disk.reset();
  }
  /// What the workers have logged since: events, a duplicate, dead letters of both kinds.
  void second_life() {
    appliance.view("ann");
    appliance.view("cas");
    appliance.append_log(0, 0, "", LogKind::kDuplicate);
    appliance.append_log(0, 0, "no event any more", LogKind::kDead, 0, RefusalReason::kRejected);
    appliance.append_log(0, 0, "no event at all", LogKind::kDead);
    const std::uint32_t shard = appliance.shard_of_user("mallory");
    const std::uint64_t sequence = appliance.log("mallory");
    appliance.append_log(shard, sequence, KeeperAppliance::event_words("mallory", shard, 99),
                         LogKind::kDead);
    appliance.count("mallory", sequence);
    appliance.view("bob");
  }

  StepFolders folders_;

 public:
  KeeperAppliance appliance;
  std::string redis_url;
  RedisPictures redis;
  DiskWatch disk{folders_.path + "/disk"};
  std::optional<SharedMemory> memory;
  int sent_more = 0;

 private:
  std::vector<std::unique_ptr<MappedFile>> files_;
};

}  // namespace deja
