// What a profile costs in memory, a million users: the table's blocks, its index and their slack,
// and whatever else of the segment grows with the users, against what Redis and memcached use for
// the same 256 bytes under the same name. Twice: our block is 256 bytes in all (its header with
// sequence, time and key among them), and our frame alone is 256 bytes.
//
// Counted, not timed: the load of the machine does not matter.
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "bench/support/filled_table.h"
#include "bench/support/memcached_peer.h"
#include "bench/support/redis_peer.h"
#include "bench/support/report.h"
#include "bench/support/samples.h"

namespace deja::bench {
namespace {

constexpr std::uint32_t kKeyBytes = 16;
constexpr std::uint32_t kValueBytes = 256;

/// What the segment's files take: bytes that the system gave, not those that were asked for.
double segment_bytes(const FilledTable& table) {
  double bytes = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(table.fixture().segment_directory())) {
    struct stat facts {};
    if (stat(file.path().c_str(), &facts) != 0) give_up("can't look at a file of the segment");
    bytes += static_cast<double>(facts.st_blocks) * 512;
  }
  return bytes;
}

double redis_info(const Connection& connection, const char* name) {
  const Reply reply = command(connection, "INFO memory");
  const std::string all(reply->str, reply->len);
  const std::size_t at = all.find(std::string("\n") + name + ":");
  if (at == std::string::npos) give_up("Redis does not say what it uses");
  return std::strtod(all.c_str() + all.find(':', at) + 1, nullptr);
}

class Bench {
 public:
  explicit Bench(Report& report)
      : report_(report),
        users_(report.count("users", 1'000'000, 2'000)),
        value_(kValueBytes, 'v') {}

  void run() {
    redis();
    memcached();
    ours("a block of 256 B", kValueBytes - TableGeometry::kBlockHeaderBytes - kKeyBytes);
    ours("a frame of 256 B", kValueBytes);
  }

 private:
  void redis() {
    const RedisPeer peer;
    const Connection connection = peer.connect();
    const double before = redis_info(connection, "used_memory");
    const double resident_before = redis_info(connection, "used_memory_rss");
    constexpr std::uint64_t kAtOnce = 1'000;
    for (std::uint64_t number = 0; number < users_; ++number) {
      const std::string user = user_name(number);
      redisAppendCommand(connection.get(), "SET %b %b", user.data(), user.size(), value_.data(),
                         value_.size());
      if (number % kAtOnce == kAtOnce - 1) take_replies(connection, kAtOnce);
    }
    take_replies(connection, users_ % kAtOnce);
    // Its table grows in steps, in the background: only one is counted.
    usleep(report_.quick() ? 1'000 : 1'000'000);
    redis_ = per_user(redis_info(connection, "used_memory") - before);
    report_.figure("Redis: SET of 256 B, used_memory", "B", redis_);
    report_.figure("Redis: the same, resident", "B",
                   per_user(redis_info(connection, "used_memory_rss") - resident_before));
  }

  void memcached() {
    MemcachedPeer peer;
    const double before = peer.stat("", "hash_bytes");
    const double pages_before = peer.stat("slabs", "total_malloced");
    for (std::uint64_t number = 0; number < users_; ++number) peer.set(user_name(number), value_);
    const double items = peer.stat("", "bytes");
    if (peer.stat("", "curr_items") != static_cast<double>(users_)) {
      give_up("memcached has not taken everything");
    }
    usleep(report_.quick() ? 1'000 : 1'000'000);
    const double table = peer.stat("", "hash_bytes") - before;
    memcached_ = per_user(peer.stat("slabs", "total_malloced") - pages_before + table);
    report_.figure("memcached: items alone", "B", per_user(items));
    report_.figure("memcached: its slab pages and hash table", "B", memcached_);
  }

  void ours(const std::string& what, std::uint32_t frame_bytes) {
    double few = 0;
    {
      const FilledTable table(kFewUsers, frame_bytes);
      few = segment_bytes(table);
    }
    const FilledTable table(users_, frame_bytes);
    const TableGeometry& geometry = table.geometry();
    const double shards = geometry.shard_count;
    const double whole = (segment_bytes(table) - few) / static_cast<double>(users_ - kFewUsers);
    report_.figure(what + ": the block", "B", geometry.block_bytes());
    report_.figure(what + ": slack of blocks", "B",
                   per_user((shards * geometry.blocks_per_shard - static_cast<double>(users_)) *
                            geometry.block_bytes()));
    report_.figure(what + ": index and links", "B",
                   per_user(shards * geometry.bucket_count() * (kCacheLineBytes + 4)));
    report_.figure(what + ": the segment, per user it grows by", "B", whole);
    // The table as it is, with what does not grow with its users; on it what only grows.
    const double all = std::max(whole, per_user(static_cast<double>(geometry.table_bytes())));
    compare(what, "Redis", all, redis_, 0.85);
    compare(what, "memcached", all, memcached_, 1);
  }

  void compare(const std::string& what, const char* peer, double ours, double theirs,
               double target) {
    Samples ratio;
    ratio.add(ours / theirs);
    report_.at_most(what + ": ours / " + peer, ratio, target);
  }
  [[nodiscard]] double per_user(double bytes) const { return bytes / static_cast<double>(users_); }

  static constexpr std::uint64_t kFewUsers = 1'000;
  Report& report_;
  std::uint64_t users_;
  std::string value_;
  double redis_ = 0;
  double memcached_ = 0;
};

}  // namespace
}  // namespace deja::bench

int main(int argument_count, char** arguments) {
  deja::bench::Report report("memory", argument_count, arguments);
  deja::bench::Bench(report).run();
  return 0;
}
