// The scenes in which a worker is stepped: what was there before, and what lies in its rings when
// the steps begin. Test code; header only; one thread.
#pragma once

#include <signal.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/step/story.h"

namespace deja {

/// Small, so that a look at all of it is cheap: some 24 users a shard and two shards.
[[nodiscard]] inline TestAppliance step_appliance(std::uint64_t profiles_max = 12) {
  TestAppliance appliance = TestAppliance::small();
  FeatureSpec highest;
  highest.type = FeatureType::kMax;
  appliance.features.pop_back();
  appliance.features.push_back({"highest", highest, {1}, "value", ""});
  appliance.profiles_max = profiles_max;
  appliance.shard_count = 2;
  appliance.key_bytes = 24;
  appliance.ring_bytes = 4096;
  appliance.log_bytes = 8192;
  appliance.return_bytes = 4096;
  appliance.dedup_window = 8;
  return appliance;
}

struct StepWorld {
  explicit StepWorld(const TestAppliance& appliance) : world(appliance), looker(world.fixture) {}

  void send(const std::string& user, std::uint64_t id = 0, LogKind kind = LogKind::kApplied) {
    story.send(world.ingest, story.event_of(user, id), kind);
  }
  void resend(const TestEvent& event) { story.send(world.ingest, event, LogKind::kDuplicate); }

  /// The worker does what was sent so far; the keeper and ingest take what it said.
  void settle() {
    world.run_dry();
    story.settle(looker.look());
    static_cast<void>(world.keeper.drain());
    static_cast<void>(world.ingest.take_verdicts());
  }
  /// New users until the shard takes no more. How many there are.
  int fill(std::uint32_t shard) {
    int count = 0;
    for (int number = 0; world.counter(kTableFullCounter) == 0; ++number) {
      const std::string user = "fill-" + std::to_string(number);
      if (StepStory::shard(user) != shard) continue;
      send(user);
      settle();
      ++count;
    }
    return count - 1;
  }
  /// The number-th user of that name whom the shard owns.
  [[nodiscard]] static std::string user_in(std::uint32_t shard, const std::string& name,
                                           int number = 0) {
    for (int tail = 0;; ++tail) {
      const std::string user = name + "-" + std::to_string(tail);
      if (StepStory::shard(user) == shard && number-- == 0) return user;
    }
  }

  WorkerWorld world;
  SegmentLooker looker;
  StepStory story;
};

struct Scene {
  std::string name;
  TestAppliance appliance = step_appliance();
  std::function<void(StepWorld&)> prepare;  ///< the user who gets one more event in the end: after
  std::string after;
  /// A death of a worker before the steps, which are those of its successor then.
  struct Death {
    std::string point;
    int signal = SIGKILL;
    const char* key = nullptr;  ///< of the user at whose event it dies
  };
  std::vector<Death> deaths = {};
};

inline Scene batch_scene() {
  return {"a batch", step_appliance(),
          [](StepWorld& step) {
            step.world.start_fresh();
            // So many ids that those of the batch push some out.
            for (std::uint64_t id = 1; id <= 16; ++id) step.send("bob", id);
            const TestEvent known = step.story.event_of("bob", 17);
            step.story.send(step.world.ingest, known);
            step.settle();
            step.send("ann", 101);
            step.send("bob", 102);
            const TestEvent twice = step.story.event_of("bob", 103);
            step.story.send(step.world.ingest, twice);
            step.resend(twice);
            step.resend(known);
            step.send("ann", 104);
            step.story.send_rejected(step.world.ingest);
            step.story.send_broken(step.world.ingest);
            step.send("cas");
            step.send("cas", 105);
          },
          "bob"};
}

/// Whoever takes over from a worker that died with a whole batch in its log and nothing of it done.
inline Scene redo_scene() {
  Scene scene = batch_scene();
  scene.name = "a redo";
  scene.deaths = {{"worker.after_log"}};
  return scene;
}

/// An event that three workers died of, at `point`; the steps are those of the one that decides.
inline Scene poison_scene(const std::string& name, const std::string& point, bool is_logged) {
  Scene scene{name, step_appliance(),
              [is_logged](StepWorld& step) {
                step.world.start_fresh();
                step.send("mallory", 601);
                step.send("ann", 602);
                step.settle();
                step.send("ann", 603);
                const TestEvent culprit = step.story.event_of("mallory", 604);
                if (is_logged) {
                  step.story.send_struck(step.world.ingest, culprit);
                } else {
                  step.story.send(step.world.ingest, culprit, LogKind::kDead);
                }
                step.send("mallory", 605);
                step.send("bob", 606);
                step.story.send_broken(step.world.ingest);
              },
              "mallory"};
  scene.deaths.assign(3, {point, SIGSEGV, "mallory"});
  return scene;
}
inline Scene poison_read_scene() {
  return poison_scene("a dead letter that kills who reads it", "worker.poison_decode", false);
}
inline Scene poison_applied_scene() {
  return poison_scene("a dead letter that kills who applies it", "worker.poison_apply", true);
}

inline Scene full_scene() {
  return {"the table is full", step_appliance(),
          [](StepWorld& step) {
            step.world.start_fresh();
            static_cast<void>(step.fill(0));
            const std::string known = step.user_in(0, "fill");
            step.send(known, 201);
            step.send(step.user_in(0, "late"), 202, LogKind::kRefused);
            step.send(step.user_in(1, "late"), 203);
            step.send(known, 204);
            step.send(step.user_in(0, "late", 1), 205, LogKind::kRefused);
            step.story.send_broken(step.world.ingest);
          },
          StepWorld::user_in(0, "fill")};
}

/// The ninth of a bucket.
inline Scene overflow_scene() {
  return {
      "an overflow bucket", step_appliance(40),
      [](StepWorld& step) {
        step.world.start_fresh();
        const TableGeometry& geometry = step.world.fixture.segment().geometry();
        const auto& superblock = step.world.fixture.segment().superblock();
        const HashSecret secret{{superblock.hash_secret[0], superblock.hash_secret[1]}};
        std::vector<std::string> users;
        for (int number = 0; users.size() < 10; ++number) {
          const std::string user = StepWorld::user_in(0, "user", number);
          const Key key{KeyNamespace::kUser, user.data(), static_cast<std::uint32_t>(user.size())};
          if (main_bucket_of(keyed_hash(secret, key), geometry.main_buckets) == 0) {
            users.push_back(user);
          }
        }
        for (std::size_t number = 0; number < 8; ++number) step.send(users[number]);
        step.send("known");
        step.settle();
        step.send(users[8], 301);
        step.send(users[8], 302);
        step.send(users[9], 303);
        step.send("known", 304);
      },
      "known"};
}

inline Scene evict_scene() {
  return {"an eviction", step_appliance(),
          [](StepWorld& step) {
            step.world.start_fresh();
            static_cast<void>(step.fill(0));
            const std::string known = step.user_in(0, "fill");
            step.world.keeper.confirm(0, step.world.fixture.reader(0).sequence());
            step.send(known, 401);
            step.send(step.user_in(0, "late"), 402);
            step.send(step.user_in(0, "late"), 403);
            step.send(step.user_in(0, "late", 1), 404);
            step.send(known, 405);
          },
          StepWorld::user_in(0, "late")};
}

inline Scene merge_scene() {
  return {
      "a return by merge", step_appliance(),
      [](StepWorld& step) {
        for (const std::uint32_t shard : {0U, 1U}) {
          CHECK(step.world.keeper.give_shard(shard, 100, kReturnShardHasAbsent));
          step.story.first_sequences[shard] = 100;
        }
        step.world.start_fresh();
        step.send("ann", 501);
        step.send("bob", 502);
        step.settle();
        CHECK(step.world.profile("ann").partial);
        // The store has of ann what memory has not: two events of an earlier life.
        StepWorld earlier(step_appliance());
        earlier.world.start_fresh();
        for (const unsigned bit : {40U, 41U}) {
          TestEvent event = step.story.event_of("ann");
          event.values[0].number = static_cast<double>(std::uint64_t{1} << bit);
          earlier.story.send(earlier.world.ingest, event);
        }
        earlier.world.run_dry();
        std::vector<std::uint64_t> block = earlier.world.profile("ann").block;
        const ProfileCopy copy(block.data(), step.world.fixture.segment().geometry());
        CHECK(step.world.keeper.give_stored(StepStory::shard("ann"), copy));
        step.story.answers.push_back(
            {"ann", {.mask = std::uint64_t{3} << 40U}, step.looker.look().return_ring_position});
        const std::string bob = "bob";
        CHECK(step.world.keeper.give_nothing({KeyNamespace::kUser, bob.data(), 3}));
        step.story.answers.push_back({"bob", {}, step.looker.look().return_ring_position});
        const std::string cas = "cas";  // nobody waits for that one
        CHECK(step.world.keeper.give_nothing({KeyNamespace::kUser, cas.data(), 3}));
        step.send("ann", 503);
        step.send("cas", 504);
        step.send("bob", 505);
      },
      "ann"};
}

/// Whom renderers miss: two who are absent, one who came back by an event before the answer, and
/// one who is there.
inline Scene put_back_scene() {
  return {"a return for a renderer", step_appliance(),
          [](StepWorld& step) {
            for (const std::uint32_t shard : {0U, 1U}) {
              CHECK(step.world.keeper.give_shard(shard, 100, kReturnShardHasAbsent));
              step.story.first_sequences[shard] = 100;
            }
            step.world.start_fresh();
            step.send("bob", 511);
            step.settle();
            StepWorld earlier(step_appliance());
            earlier.world.start_fresh();
            unsigned bit = 40;
            for (const char* user : {"ann", "bob", "dan", "ann"}) {
              TestEvent event = step.story.event_of(user);
              event.values[0].number = static_cast<double>(std::uint64_t{1} << bit++);
              earlier.story.send(earlier.world.ingest, event);
            }
            earlier.world.run_dry();
            const auto give = [&](const std::string& user) {
              std::vector<std::uint64_t> block = earlier.world.profile(user).block;
              const ProfileCopy copy(block.data(), step.world.fixture.segment().geometry());
              CHECK(step.world.keeper.give_asked(StepStory::shard(user), copy));
            };
            const auto as_stored = earlier.looker.look().profiles;
            for (const char* user : {"ann", "dan"}) {
              give(user);
              step.story.stored[user].push_back({as_stored.at(user)});
            }
            give("bob");
            step.story.answers.push_back(
                {"bob", as_stored.at("bob"), step.looker.look().return_ring_position});
            give("ann");  // she is there by then
            step.send("ann", 512);
            step.send("bob", 513);
            step.send("eve", 514);
          },
          "dan"};
}

/// A return by merge where whoever merges ann's part dies of it.
inline Scene poison_merge_scene() {
  Scene scene = merge_scene();
  scene.name = "a dead merge";
  scene.prepare = [prepare = scene.prepare](StepWorld& step) {
    prepare(step);
    step.story.answers[0].struck = true;
  };
  scene.deaths.assign(3, {"worker.poison_merge", SIGSEGV, "ann"});
  return scene;
}

}  // namespace deja
