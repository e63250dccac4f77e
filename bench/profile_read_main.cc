// What a renderer's read of one profile costs, against everything that one could pick instead: the
// same bytes out of a hash map in the same process (Abseil), out of LMDB, Redis and memcached; and
// what it costs beside a writer at full speed. Frames of 256 bytes, a million users.
#include <absl/container/flat_hash_map.h>
#include <absl/strings/string_view.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/support/filled_table.h"
#include "bench/support/lmdb_peer.h"
#include "bench/support/memcached_peer.h"
#include "bench/support/redis_peer.h"
#include "bench/support/report.h"
#include "bench/support/samples.h"
#include "bench/support/ticks.h"
#include "bench/support/users.h"

namespace deja::bench {
namespace {

constexpr std::uint32_t kFrameBytes = 256;
constexpr std::uint32_t kValueBytes = 304;  // a block: header, key slot, frame
constexpr std::size_t kNameBytes = 12;

struct Value {
  char bytes[kValueBytes];
};
struct Name {
  char bytes[kNameBytes];
  [[nodiscard]] std::string_view view() const { return {bytes, kNameBytes}; }
  [[nodiscard]] std::string text() const { return std::string(view()); }
  [[nodiscard]] deja_key key() const { return deja_user(bytes, kNameBytes); }
};

std::vector<Name> names_of(Visitors& visitors, std::size_t count) {
  std::vector<Name> names(count);
  for (Name& name : names) {
    std::memcpy(name.bytes, user_name(visitors.next()).data(), kNameBytes);
  }
  return names;
}

/// Ours, as a renderer does it.
class Ours {
 public:
  explicit Ours(const deja_appliance* shop)
      : shop_(shop), memory_(deja_profile_bytes(shop) / 8 * kPage) {}
  /// A bit of what was read, always 0, which the compiler can't know.
  std::size_t read(const Name& name) {
    if (deja_get(shop_, name.key(), profile()) != DEJA_OK) give_up("a user is missing");
    return static_cast<std::size_t>(deja_sequence(profile()) >> 62U);
  }
  void read_page(const Name* names) {
    deja_key keys[kPage];
    deja_status statuses[kPage];
    for (std::size_t at = 0; at < kPage; ++at) keys[at] = names[at].key();
    if (deja_get_many(shop_, keys, kPage, profile(), statuses) != DEJA_OK) give_up("no page");
    for (const deja_status status : statuses) {
      if (status != DEJA_OK) give_up("a user is missing");
    }
  }
  /// The same page one by one, each into its own memory.
  void read_singly(const Name* names) {
    for (std::size_t at = 0; at < kPage; ++at) {
      if (deja_get(shop_, names[at].key(), deja_profile_at(shop_, profile(), at)) != DEJA_OK) {
        give_up("a user is missing");
      }
    }
  }
  static constexpr std::size_t kPage = 64;

 private:
  deja_profile* profile() { return reinterpret_cast<deja_profile*>(memory_.data()); }
  const deja_appliance* shop_;
  std::vector<std::uint64_t> memory_;
};

class Abseil {
 public:
  explicit Abseil(std::uint64_t users) {
    map_.reserve(users);
    for (std::uint64_t number = 0; number < users; ++number) map_[user_name(number)] = Value{};
  }
  std::size_t read(const Name& name) {
    const auto found = map_.find(absl::string_view(name.bytes, kNameBytes));
    if (found == map_.end()) give_up("a user is missing");
    std::memcpy(copy_.bytes, found->second.bytes, kValueBytes);
    asm volatile("" : : "r"(&copy_) : "memory");
    return static_cast<std::size_t>(copy_.bytes[0]);
  }

 private:
  absl::flat_hash_map<std::string, Value> map_;
  Value copy_{};
};

class Lmdb {
 public:
  Lmdb(std::uint64_t users, bool fresh) : peer_(users * 1024 + (64U << 20U)), fresh_(fresh) {
    peer_.fill(users, std::string(kValueBytes, '\0'), user_name);
  }
  std::size_t read(const Name& name) {
    if (fresh_) peer_.renew();
    MDB_val bytes;
    if (!peer_.get(name.bytes, kNameBytes, bytes)) give_up("a user is missing");
    std::memcpy(copy_.bytes, bytes.mv_data, kValueBytes);
    asm volatile("" : : "r"(&copy_) : "memory");
    return static_cast<std::size_t>(copy_.bytes[0]);
  }
  void read_fresh(bool fresh) { fresh_ = fresh; }

 private:
  LmdbPeer peer_;
  bool fresh_;
  Value copy_{};
};

/// The least there is: the user's number is known, and where its bytes lie.
class Array {
 public:
  explicit Array(std::uint64_t users) : values_(users) {}
  std::size_t read(const Name& name) {
    std::uint64_t number = 0;
    for (std::size_t at = 5; at < kNameBytes; ++at) {
      number = number * 10 + static_cast<std::uint64_t>(name.bytes[at] - '0');
    }
    std::memcpy(copy_.bytes, values_[number].bytes, kValueBytes);
    asm volatile("" : : "r"(&copy_) : "memory");
    return static_cast<std::size_t>(copy_.bytes[0]);
  }

 private:
  std::vector<Value> values_;
  Value copy_{};
};

class Clock {
 public:
  template <typename Way>
  double mean_ns(Way& way, const std::vector<Name>& names, bool serialised) const {
    std::size_t next = 0;
    const std::uint64_t begin = ticks();
    for (std::size_t at = 0; at < names.size(); ++at) {
      // Serialised: which user comes next is known only once this one was read.
      const std::size_t bit = way.read(names[at + next]);
      if (serialised) next = bit;
    }
    return ns(ticks() - begin) / static_cast<double>(names.size());
  }
  template <typename Way>
  void each_ns(Way& way, const std::vector<Name>& names, Samples& samples) const {
    for (const Name& name : names) {
      const std::uint64_t begin = ticks();
      way.read(name);
      samples.add(ns(ticks() - begin));
    }
  }
  [[nodiscard]] double ns(std::uint64_t count) const {
    return static_cast<double>(count) * tick_ns_;
  }

 private:
  double tick_ns_ = tick_ns();
};

void curve(Report& report, const char* name, Samples& samples) {
  for (const double part : {0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999}) {
    report.point("read_latency", name, samples.quantile(part), part * 100);
  }
}

class Bench {
 public:
  explicit Bench(Report& report)
      : report_(report),
        users_(report.count("users", 1'000'000, 2000)),
        rounds_(static_cast<int>(report.count("rounds", 15, 1))),
        reads_(report.count("reads", 200'000, 1000)),
        zipf_(users_, true),
        uniform_(users_, false),
        table_(std::make_unique<FilledTable>(users_, kFrameBytes)),
        ours_(table_->handle()) {
    if (table_->geometry().block_bytes() != kValueBytes) give_up("a block has another size");
  }

  void against_memory() {
    Abseil abseil(users_);
    Lmdb lmdb(users_, false);
    Array array(users_);
    for (const bool serialised : {false, true}) {
      const std::string how = serialised ? "zipf, serialised: " : "zipf, independent: ";
      Samples ours;
      Samples theirs;
      Samples held;
      Samples fresh;
      Samples least;
      Samples to_abseil;
      Samples to_lmdb;
      Samples least_to_lmdb;
      for (int round = 0; round < rounds_; ++round) {
        const std::vector<Name> names = names_of(zipf_, reads_);
        ours.add(clock_.mean_ns(ours_, names, serialised));
        theirs.add(clock_.mean_ns(abseil, names, serialised));
        least.add(clock_.mean_ns(array, names, serialised));
        lmdb.read_fresh(false);
        held.add(clock_.mean_ns(lmdb, names, serialised));
        lmdb.read_fresh(true);
        fresh.add(clock_.mean_ns(lmdb, names, serialised));
        // In one round, beside each other: what the host did to one it did to the other.
        to_abseil.add(clock_.mean_ns(ours_, names, serialised) /
                      clock_.mean_ns(abseil, names, serialised));
        to_lmdb.add(held.last() / ours.last());
        least_to_lmdb.add(held.last() / least.last());
      }
      report_.figure(how + "deja_get", "ns", ours);
      report_.figure(how + "Abseil find + copy", "ns", theirs);
      report_.figure(how + "array + memcpy, the limit", "ns", least);
      report_.figure(how + "LMDB, one old snapshot", "ns", held);
      report_.figure(how + "LMDB, a fresh snapshot each", "ns", fresh);
      report_.at_most(how + "deja_get / Abseil", to_abseil, 1.2);
      report_.at_least(how + "LMDB (old snapshot) / deja_get", to_lmdb, 10);
      report_.ratio(how + "LMDB (old snapshot) / array + memcpy", least_to_lmdb);
    }
    Samples each;
    clock_.each_ns(abseil, names_of(zipf_, reads_), each);
    curve(report_, "Abseil", each);
    Samples of_lmdb;
    lmdb.read_fresh(true);
    clock_.each_ns(lmdb, names_of(zipf_, reads_), of_lmdb);
    curve(report_, "LMDB", of_lmdb);
  }

  void against_servers() {
    RedisPeer redis;
    const Connection connection = redis.connect();
    MemcachedPeer memcached;
    const std::string value(kValueBytes, 'x');
    for (std::uint64_t number = 0; number < users_; ++number) {
      redisAppendCommand(connection.get(), "SET %s %b", user_name(number).c_str(), value.data(),
                         value.size());
      if (number % 1000 == 999) take_replies(connection, 1000);
      memcached.set(user_name(number), value);
    }
    const std::size_t few = report_.quick() ? 20 : 4000;
    Array array(users_);
    Samples ours, cold, least, ratios, least_ratios;
    Samples redis_by_cores[2];
    Samples memcached_by_cores[2];
    if (pin_this_thread(0) != 0) give_up("can't pin to core 0");
    for (int round = 0; round < rounds_; ++round) {
      // In a row, as the peers are asked; and the first few of it, behind all that the servers did.
      Samples first, mine, bare;
      clock_.each_ns(ours_, names_of(zipf_, few), first);
      clock_.each_ns(ours_, names_of(zipf_, reads_), mine);
      clock_.each_ns(array, names_of(zipf_, reads_), bare);
      double best = 1e18;
      for (const int cores : {1, 2}) {
        redis.server().move_to(cores - 1);
        memcached.server().move_to(cores - 1);
        Samples of_redis;
        Samples of_memcached;
        for (const Name& name : names_of(zipf_, few)) {
          const std::uint64_t begin = ticks();
          const Reply reply = command(connection, "GET %b", name.bytes, kNameBytes);
          const std::uint64_t middle = ticks();
          if (reply->len != kValueBytes) give_up("a value is missing");
          const std::string key = name.text();
          const std::uint64_t again = ticks();
          if (!memcached.get(key)) give_up("a value is missing");
          of_memcached.add(clock_.ns(ticks() - again));
          of_redis.add(clock_.ns(middle - begin));
        }
        redis_by_cores[cores - 1].add(of_redis.median());
        memcached_by_cores[cores - 1].add(of_memcached.median());
        best = std::min({best, of_redis.median(), of_memcached.median()});
        if (round == 0)
          curve(report_, cores == 1 ? "Redis, one core" : "Redis, two cores", of_redis);
      }
      ours.add(mine.median());
      cold.add(first.median());
      least.add(bare.median());
      ratios.add(best / mine.median());
      least_ratios.add(best / bare.median());
      if (round == 0) curve(report_, "deja_get", mine);
    }
    report_.figure("p50: deja_get, timed singly", "ns", ours);
    report_.figure("p50: deja_get, the first 4,000 after the servers' turn", "ns", cold);
    report_.figure("p50: array + memcpy, timed singly, the limit", "ns", least);
    report_.figure("p50: Redis GET, one core", "ns", redis_by_cores[0]);
    report_.figure("p50: Redis GET, two cores", "ns", redis_by_cores[1]);
    report_.figure("p50: memcached, one core", "ns", memcached_by_cores[0]);
    report_.figure("p50: memcached, two cores", "ns", memcached_by_cores[1]);
    report_.at_least("p50: the better of Redis and memcached / deja_get", ratios, 100);
    report_.ratio("p50: the better of Redis and memcached / array + memcpy", least_ratios);
    report_.plot("read_latency", "One profile read by a renderer", "ns", "% of reads below", "x");
  }

  void pages() {
    Samples page_ns;
    Samples singly_ns;
    Samples ratios;
    for (int round = 0; round < rounds_; ++round) {
      const std::vector<Name> names = names_of(uniform_, reads_ / Ours::kPage * Ours::kPage);
      const std::vector<Name> others = names_of(uniform_, names.size());
      const auto pass = [&](const std::vector<Name>& wanted, bool singly) {
        const std::uint64_t begin = ticks();
        for (std::size_t at = 0; at < wanted.size(); at += Ours::kPage) {
          singly ? ours_.read_singly(&wanted[at]) : ours_.read_page(&wanted[at]);
        }
        return clock_.ns(ticks() - begin) / static_cast<double>(wanted.size()) * Ours::kPage;
      };
      page_ns.add(pass(names, false));
      singly_ns.add(pass(others, true));
      ratios.add(page_ns.last() / singly_ns.last());
    }
    report_.figure("uniform: deja_get_many of 64", "ns", page_ns);
    report_.figure("uniform: 64 deja_get", "ns", singly_ns);
    report_.at_most("uniform: deja_get_many of 64 / 64 deja_get", ratios, 0.5);
  }

  /// A worker that publishes versions as fast as it can, on the other core.
  void beside_writer() {
    if (pin_this_thread(0) != 0) give_up("can't pin to core 0");
    std::atomic<int> wanted{0};
    std::atomic<std::uint64_t> written{0};
    std::thread writer([&] {
      if (pin_this_thread(1) != 0) give_up("can't pin to core 1");
      Visitors visitors(users_, true, 2);
      std::vector<std::string> names(report_.quick() ? 1000 : 100'000);
      for (std::string& name : names) name = user_name(visitors.next());
      for (std::uint64_t count = 0, sequence = users_; wanted.load() >= 0;) {
        if (wanted.load(std::memory_order_relaxed) == 0) {
          usleep(100);
          continue;
        }
        for (int burst = 0; burst < 100; ++burst)
          table_->write(names[count++ % names.size()], ++sequence);
        written.store(count, std::memory_order_relaxed);
      }
    });
    Samples ratios_mean;
    Samples ratios_tail;
    Samples without;
    Samples with;
    Samples rate;
    for (int round = 0; round < rounds_ * 2; ++round) {
      double mean[2];
      double tail[2];
      for (const int on : {0, 1}) {
        wanted.store(on);
        usleep(20'000);
        const std::uint64_t before = written.load();
        const std::uint64_t begin = ticks();
        const std::vector<Name> names = names_of(zipf_, reads_);
        mean[on] = clock_.mean_ns(ours_, names, false);
        Samples each;
        clock_.each_ns(ours_, names, each);
        tail[on] = each.quantile(0.999);
        if (on == 1)
          rate.add(static_cast<double>(written.load() - before) / clock_.ns(ticks() - begin) * 1e3);
      }
      without.add(mean[0]);
      with.add(mean[1]);
      ratios_mean.add(mean[1] / mean[0]);
      ratios_tail.add(tail[1] / tail[0]);
    }
    wanted.store(-1);
    writer.join();
    report_.figure("the writer beside", "M/s", rate);
    report_.figure("zipf: deja_get without a writer", "ns", without);
    report_.figure("zipf: deja_get beside a writer", "ns", with);
    report_.at_most("zipf: mean beside a writer / without", ratios_mean, 1.3);
    report_.at_most("zipf: p99.9 beside a writer / without", ratios_tail, 1.5);
  }

  void readers() {
    for (const int readers : {1, 2, 4}) {
      std::atomic<std::uint64_t> reads{0};
      std::atomic<bool> stop{false};
      std::vector<std::thread> threads;
      const std::vector<Name> names = names_of(zipf_, reads_);
      for (int number = 0; number < readers; ++number) {
        threads.emplace_back([&, number] {
          (void)pin_this_thread(number % static_cast<int>(std::thread::hardware_concurrency()));
          Ours ours(table_->handle());
          std::uint64_t done = 0;
          for (; !stop.load(std::memory_order_relaxed); ++done)
            ours.read(names[done % names.size()]);
          reads.fetch_add(done);
        });
      }
      const std::uint64_t begin = ticks();
      usleep(report_.quick() ? 5000 : 500'000);
      stop.store(true);
      for (std::thread& thread : threads) thread.join();
      report_.point("read_readers", "deja_get", readers,
                    static_cast<double>(reads.load()) / clock_.ns(ticks() - begin) * 1e3);
    }
    report_.plot("read_readers", "Readers beside each other", "reader threads", "M reads/s", "");
  }

  void sizes() {
    table_.reset();
    for (std::uint64_t users = 1000; users <= users_; users *= 10) {
      const FilledTable table(users, kFrameBytes);
      Abseil abseil(users);
      Ours ours(table.handle());
      Visitors visitors(users, true);
      Samples mine;
      Samples theirs;
      for (int round = 0; round < std::min(rounds_, 5); ++round) {
        const std::vector<Name> names = names_of(visitors, reads_);
        mine.add(clock_.mean_ns(ours, names, false));
        theirs.add(clock_.mean_ns(abseil, names, false));
      }
      report_.point("read_size", "deja_get", static_cast<double>(users), mine.median());
      report_.point("read_size", "Abseil", static_cast<double>(users), theirs.median());
    }
    report_.plot("read_size", "A read, over the size of the table (zipf)", "users", "ns", "x");
  }

 private:
  Report& report_;
  std::uint64_t users_;
  int rounds_;
  std::size_t reads_;
  Clock clock_;
  Visitors zipf_;
  Visitors uniform_;
  std::unique_ptr<FilledTable> table_;
  Ours ours_;
};

}  // namespace
}  // namespace deja::bench

int main(int argument_count, char** arguments) {
  deja::bench::Report report("profile_read", argument_count, arguments);
  deja::bench::Bench bench(report);
  bench.against_memory();
  bench.against_servers();
  bench.pages();
  bench.beside_writer();
  bench.readers();
  bench.sizes();
  return 0;
}
