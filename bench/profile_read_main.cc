// A renderer's get of one profile of 512 bytes against a Redis GET of as many bytes over a unix
// socket, interleaved in one run, each read timed alone: users by Zipf's law (0.99, as visitors
// come) and, the worst case for our caches, uniformly.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "bench/support/redis_peer.h"
#include "bench/support/samples.h"
#include "bench/support/ticks.h"
#include "shm/base/clock.h"
#include "shm/deja.h"
#include "shm/shard_writer.h"
#include "tests/support/segment_fixture.h"

namespace deja::bench {
namespace {

constexpr std::uint32_t kUsers = 100'000;
constexpr int kRounds = 50;
constexpr int kReadsPerRound = 10'000;
constexpr int kRedisPerRound = 400;

std::string user_name(std::uint32_t number) {
  return "user-" + std::to_string(number);
}

TestAppliance appliance() {
  TestAppliance appliance = TestAppliance::small();
  appliance.profiles_max = kUsers;
  appliance.shard_count = 64;
  FeatureSpec window;
  window.type = FeatureType::kCount;
  window.window_us = 3'600'000'000;
  window.panes = 12;
  for (int number = 0; number < 6; ++number) {
    appliance.features.push_back({"views_" + std::to_string(number), window, {0}, "", ""});
  }
  return appliance;
}

void fill(SegmentFixture& fixture) {
  const Segment& segment = fixture.segment();
  const auto& superblock = segment.superblock();
  const HashSecret secret{{superblock.hash_secret[0], superblock.hash_secret[1]}};
  const TableGeometry& geometry = segment.geometry();
  std::vector<ShardWriter> writers;
  for (std::uint32_t shard = 0; shard < geometry.shard_count; ++shard) {
    Result<ShardWriter> writer =
        ShardWriter::attach(fixture.file("profiles-0").data() + geometry.shard_offset(shard),
                            geometry, shard, secret, superblock.reuse_blocks);
    if (!writer.ok()) give_up(writer.error().message().c_str());
    writers.push_back(std::move(*writer));
  }
  for (std::uint32_t number = 0; number < kUsers; ++number) {
    const std::string name = user_name(number);
    const Key key{KeyNamespace::kUser, name.data(), static_cast<std::uint32_t>(name.size())};
    ShardWriter& writer = writers[shard_of(key, geometry.shard_count)];
    ShardWriter::Draft draft = writer.begin(key);
    if (draft.frame == nullptr) give_up("the table is full");
    draft.sequence = number + 1;
    writer.publish(draft);
  }
}

/// Users as they come: by Zipf's law with exponent 0.99, or uniformly.
class Visitors {
 public:
  explicit Visitors(bool zipf) {
    double sum = 0;
    for (std::uint32_t rank = 1; rank <= kUsers; ++rank) {
      sum += zipf ? std::pow(rank, -0.99) : 1;
      cumulative_.push_back(sum);
    }
  }
  [[nodiscard]] std::string next() {
    const double at = std::uniform_real_distribution<double>(0, cumulative_.back())(random_);
    const auto rank = std::upper_bound(cumulative_.begin(), cumulative_.end(), at);
    // The ranks are spread over the table: popular users are not neighbours.
    const auto number = static_cast<std::uint64_t>(rank - cumulative_.begin());
    return user_name(static_cast<std::uint32_t>(number * 7'919 % kUsers));
  }

 private:
  std::vector<double> cumulative_;
  std::mt19937_64 random_{1};
};

struct Bench {
  deja_appliance* shop = nullptr;
  deja_profile* profile = nullptr;
  Connection connection;
  std::size_t value_bytes = 0;
  double tick_ns = 1;
};

void measure(const char* what, bool zipf, const Bench& bench) {
  Visitors visitors(zipf);
  Samples ours;
  Samples theirs;
  Samples ratios;
  std::vector<std::string> names(kReadsPerRound);
  for (int round = 0; round < kRounds; ++round) {
    for (std::string& name : names) name = visitors.next();
    Samples round_ours;
    Samples round_theirs;
    for (const std::string& name : names) {
      const std::uint64_t begin = ticks();
      const deja_status status =
          deja_get(bench.shop, deja_user(name.data(), static_cast<std::uint32_t>(name.size())),
                   bench.profile);
      round_ours.add(static_cast<double>(ticks() - begin) * bench.tick_ns);
      if (status != DEJA_OK) give_up("a user is missing");
    }
    for (int at = 0; at < kRedisPerRound; ++at) {
      const std::string& name = names[static_cast<std::size_t>(at)];
      const std::int64_t begin = steady_ns();
      const Reply reply = command(bench.connection, "GET %s", name.c_str());
      round_theirs.add(static_cast<double>(steady_ns() - begin));
      if (reply->len != bench.value_bytes) give_up("a value is missing");
    }
    ours.add(round_ours.median());
    theirs.add(round_theirs.median());
    ratios.add(round_theirs.median() / round_ours.median());
  }
  std::printf("  %-8s deja_get                 %8.0f ns   (%.0f … %.0f)\n", what, ours.median(),
              ours.quantile(0.05), ours.quantile(0.95));
  std::printf("  %-8s Redis GET, unix socket   %8.0f ns   (%.0f … %.0f)\n", what, theirs.median(),
              theirs.quantile(0.05), theirs.quantile(0.95));
  std::printf("  %-8s ratio                    %8.0f      (%.0f … %.0f)\n", what, ratios.median(),
              ratios.quantile(0.05), ratios.quantile(0.95));
}

int run() {
  SegmentFixture fixture(appliance());
  fill(fixture);
  const std::string directory = std::filesystem::path(fixture.segment_directory()).parent_path();
  deja_appliance* shop = nullptr;
  if (deja_open("test", directory.c_str(), &shop) != DEJA_OK) give_up("can't open the appliance");
  const std::size_t profile_bytes = deja_profile_bytes(shop);
  std::vector<std::uint64_t> memory(profile_bytes / 8);
  auto* profile = reinterpret_cast<deja_profile*>(memory.data());

  const RedisPeer redis;
  Connection connection = redis.connect();
  const std::string value(fixture.segment().geometry().block_bytes(), 'x');
  for (std::uint32_t number = 0; number < kUsers; ++number) {
    redisAppendCommand(connection.get(), "SET %s %b", user_name(number).c_str(), value.data(),
                       value.size());
    if (number % 1000 == 999) {
      for (int reply = 0; reply < 1000; ++reply) {
        void* answer = nullptr;
        if (redisGetReply(connection.get(), &answer) != REDIS_OK) give_up("SET failed");
        freeReplyObject(answer);
      }
    }
  }

  std::printf("profile_read: %u users, %zu bytes a profile, %d interleaved rounds, medians\n",
              kUsers, value.size(), kRounds);
  const Bench bench = {shop, profile, std::move(connection), value.size(), tick_ns()};
  measure("zipf", true, bench);
  measure("uniform", false, bench);
  deja_close(shop);
  return 0;
}

}  // namespace
}  // namespace deja::bench

int main() {
  return deja::bench::run();
}
