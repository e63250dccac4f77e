// What it costs to bring changed profiles to Redis, and what it costs the worker beside it. The
// keeper's write-behind (touched keys → copies of their profiles → images and readable fields →
// guarded writes → every reply judged → watermarks) against the very commands that it sends:
//
//   raw      as bytes, two batches in flight, the replies only counted: what Redis can take
//   hiredis  redisAppendCommandArgv and redisGetReply: what one would write instead
//   sending  our connection alone, given these commands
//
// The last three are given commands that are made already; the write-behind makes them.
// All three find Redis in the same state: every profile there in the version before. 20 features.
// Neither journal nor the draining of logs is in it.
#include <time.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/support/recorder.h"
#include "bench/support/redis_peer.h"
#include "bench/support/report.h"
#include "bench/support/samples.h"
#include "bench/support/worker_rig.h"
#include "bench/support/write_behind_rig.h"
#include "shm/base/affinity.h"

namespace deja::bench {
namespace {

struct Command {
  std::size_t begin = 0;  // in the bytes
  std::size_t end = 0;
  std::vector<const char*> arguments;
  std::vector<std::size_t> sizes;
  [[nodiscard]] bool is(std::string_view name) const {
    return std::string_view(arguments[0], sizes[0]) == name;
  }
};

/// What a program has sent to Redis, taken apart.
class Commands {
 public:
  /// `batch_count`: commands of one batch, the ECHO at its end included.
  Commands(std::string bytes, std::size_t batch_count)
      : bytes_(std::move(bytes)), batch_count_(batch_count) {
    for (std::size_t at = 0; at < bytes_.size();) {
      Command command;
      command.begin = at;
      for (std::size_t left = number(at, '*'); left > 0; --left) {
        const std::size_t size = number(at, '$');
        command.arguments.push_back(bytes_.data() + at);
        command.sizes.push_back(size);
        at += size + 2;
      }
      command.end = at;
      commands_.push_back(std::move(command));
    }
  }
  [[nodiscard]] const std::vector<Command>& all() const { return commands_; }
  [[nodiscard]] std::string_view batch(std::size_t first) const {
    const std::size_t last = std::min(first + batch_count_, commands_.size()) - 1;
    return std::string_view(bytes_).substr(commands_[first].begin,
                                           commands_[last].end - commands_[first].begin);
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_.size(); }
  [[nodiscard]] std::size_t batch_count() const { return batch_count_; }

 private:
  std::size_t number(std::size_t& at, char kind) const {
    std::size_t value = 0;
    if (bytes_[at] != kind) give_up("what was recorded is not Redis' protocol");
    const auto [end, problem] =
        std::from_chars(bytes_.data() + at + 1, bytes_.data() + bytes_.size(), value);
    if (problem != std::errc{}) give_up("what was recorded is not Redis' protocol");
    at = static_cast<std::size_t>(end - bytes_.data()) + 2;
    return value;
  }
  std::string bytes_;
  std::size_t batch_count_;
  std::vector<Command> commands_;
};

/// The bytes as they are, two batches on their way, each reply two lines and no error.
class Raw {
 public:
  explicit Raw(const RedisPeer& redis) : fd_(connect_to_unix(redis.socket())) {}
  ~Raw() { close(fd_); }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;

  void write(const Commands& commands) {
    const std::size_t count = commands.all().size();
    const std::size_t batch_count = commands.batch_count();
    std::size_t sent = 0;
    std::size_t awaited = 0;  // lines that have come, beyond the last whole batch
    for (std::size_t answered = 0; answered < count;) {
      while (sent < count && sent < answered + 2 * batch_count) {
        const std::string_view batch = commands.batch(sent);
        send_all(fd_, batch.data(), batch.size());
        sent = std::min(sent + batch_count, count);
      }
      const std::size_t wanted = 2 * (std::min(answered + batch_count, count) - answered);
      while (awaited < wanted) awaited += receive();
      awaited -= wanted;
      answered += wanted / 2;
    }
  }

 private:
  std::size_t receive() {
    char bytes[65536];
    const ssize_t got = recv(fd_, bytes, sizeof bytes, 0);
    if (got <= 0) give_up("redis-server hung up");
    if (std::memchr(bytes, '-', static_cast<std::size_t>(got)) != nullptr) {
      give_up("Redis refused a write");
    }
    return static_cast<std::size_t>(std::count(bytes, bytes + got, '\n'));
  }
  int fd_;
};

/// Our way to send, of commands that somebody has made already.
class Sending {
 public:
  explicit Sending(const RedisPeer& redis)
      : connection_(connected(RedisConnection::connect(*RedisUrl::parse("unix://" + redis.socket()),
                                                       RedisLimits{}, {}))) {}
  void write(const Commands& commands) {
    const std::vector<Command>& all = commands.all();
    for (std::size_t first = 0; first < all.size(); first += commands.batch_count()) {
      const std::size_t last = std::min(first + commands.batch_count(), all.size());
      for (std::size_t at = first; at < last; ++at) {
        if (all[at].is("ECHO")) continue;  // the connection adds its own
        RespBuffer& command = connection_.append_command(all[at].arguments.size());
        for (std::size_t argument = 0; argument < all[at].arguments.size(); ++argument) {
          command.text({all[at].arguments[argument], all[at].sizes[argument]});
        }
      }
      if (!connection_.begin_exchange().ok()) give_up("redis-server hung up");
      if (connection_.under_way() == 2) finish();
    }
    while (connection_.under_way() != 0) finish();
  }

 private:
  static RedisConnection connected(Result<RedisConnection> connection) {
    if (!connection.ok()) give_up(connection.error().message().c_str());
    return std::move(*connection);
  }
  void finish() {
    const Status done = connection_.finish_exchange([](std::size_t, const ShortReply& reply) {
      if (RedisStore::outcome_of(reply) != WriteOutcome::kWritten) give_up("a write is refused");
    });
    if (!done.ok()) give_up(done.error().message().c_str());
  }
  RedisConnection connection_;
};

class Hiredis {
 public:
  explicit Hiredis(const RedisPeer& redis) : connection_(redis.connect()) {}
  void write(const Commands& commands) {
    const std::vector<Command>& all = commands.all();
    for (std::size_t first = 0; first < all.size(); first += commands.batch_count()) {
      const std::size_t last = std::min(first + commands.batch_count(), all.size());
      for (std::size_t at = first; at < last; ++at) {
        redisAppendCommandArgv(connection_.get(), static_cast<int>(all[at].arguments.size()),
                               const_cast<const char**>(all[at].arguments.data()),
                               all[at].sizes.data());
      }
      take_replies(connection_, last - first);
    }
  }

 private:
  Connection connection_;
};

/// What one turn took, for each profile.
struct Cost {
  double wall_ns = 0;
  double cpu_ns = 0;
};

double thread_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

class Bench {
 public:
  explicit Bench(Report& report)
      : report_(report),
        users_(report.count("users", 100'000, 400)),
        written_(report.count("written", 20'000, 100)),
        rounds_(static_cast<int>(report.count("rounds", 15, 1))),
        redis_(report.count("cores", 2, 1) > 1 ? 1 : -1),
        worker_(users_, kBenchFeatures),
        visitors_(users_, true) {
    static_cast<void>(pin_this_thread(0));
    for (std::uint64_t user = 0; user < users_; ++user) feed(user);
    // A life as visitors have it: a few events each.
    for (std::uint64_t more = 0; more < users_ * 4; ++more) feed(visitors_.next());
    apply();
  }

  void rates() {
    WriteBehindLimits limits;
    limits.batch_count_max = report_.count("batch", limits.batch_count_max, 32);
    const std::vector<std::uint64_t> nothing(64, 0);
    // The version before, then the version that is measured.
    Commands before = recorded(nothing, limits);
    const std::vector<std::uint64_t> watermarks = marks_;
    for (std::uint64_t at = 0; at < written_; ++at) feed(user_at(at));
    apply();
    Commands after = recorded(watermarks, limits);
    report_.figure("a profile's block", "B", worker_.fixture().segment().geometry().block_bytes());
    report_.figure("what goes to Redis for a profile", "B",
                   static_cast<double>(after.bytes()) / static_cast<double>(written_));

    WriteBehindRig ours(worker_.fixture(), redis_.socket(), limits);
    Sending sending(redis_);
    Raw raw(redis_);
    Hiredis hiredis(redis_);
    constexpr int kWays = 4;
    Samples rate[kWays], cpu[kWays], of_raw, of_hiredis, cpu_ratio, cpu_sending, cpu_making;
    for (int round = 0; round < rounds_ + 1; ++round) {
      Cost costs[kWays];
      for (int who = 0; who < kWays; ++who) {
        const int turn = (who + round) % kWays;
        restore(before);
        if (turn == 0) {
          ours.set_watermarks(watermarks);
          for (std::uint64_t at = 0; at < written_; ++at) ours.touch(user_at(at));
          costs[0] = timed([&] { ours.write(); });
        } else if (turn == 1) {
          costs[1] = timed([&] { sending.write(after); });
        } else if (turn == 2) {
          costs[2] = timed([&] { raw.write(after); });
        } else {
          costs[3] = timed([&] { hiredis.write(after); });
        }
        check();
      }
      if (round == 0 && !report_.quick()) continue;  // warm
      for (int who = 0; who < kWays; ++who) {
        rate[who].add(1e6 / costs[who].wall_ns);
        cpu[who].add(costs[who].cpu_ns / 1e3);
      }
      of_raw.add(costs[2].wall_ns / costs[0].wall_ns);
      of_hiredis.add(costs[3].wall_ns / costs[0].wall_ns);
      cpu_ratio.add(costs[0].cpu_ns / costs[3].cpu_ns);
      cpu_sending.add(costs[1].cpu_ns / costs[3].cpu_ns);
      const double making_ns = costs[0].cpu_ns - costs[1].cpu_ns;
      cpu_making.add(costs[0].cpu_ns / (costs[3].cpu_ns + making_ns));
    }
    const char* names[kWays] = {"write-behind", "its sending alone, commands ready-made",
                                "raw, two batches in flight", "hiredis, pipelined"};
    for (int who = 0; who < kWays; ++who) {
      report_.figure(names[who], "k/s", rate[who]);
      report_.figure(std::string(names[who]) + ": CPU for a profile", "µs", cpu[who]);
    }
    report_.at_least("write-behind: rate / raw", of_raw, 0.9);
    report_.ratio("write-behind: rate / hiredis", of_hiredis);
    // Like with like: hiredis is given the commands, too.
    report_.at_most("sending alone: CPU / hiredis'", cpu_sending, 0.6);
    report_.ratio("write-behind: CPU / hiredis' with the same making", cpu_making);
    report_.ratio("write-behind, commands made too: CPU / hiredis'", cpu_ratio);
  }

  /// The worker on one core; write-behind and Redis on the other.
  void beside() {
    std::atomic<bool> go{false};
    std::atomic<bool> stop{false};
    std::atomic<bool> idle{true};
    std::atomic<std::uint64_t> written{0};
    std::thread writing([&] {
      static_cast<void>(pin_this_thread(1));
      WriteBehindRig ours(worker_.fixture(), redis_.socket());
      for (std::uint64_t next = 0; !stop.load();) {
        if (!go.load()) {
          idle.store(true);
          usleep(200);
          continue;
        }
        idle.store(false);
        for (int at = 0; at < 2'000; ++at) ours.touch(next++ * 7'919 % users_);
        ours.tick();
        written.store(ours.written());
      }
    });
    Samples alone, besides, falls, cpu_grows, together_k_s;
    Cost before = event_cost();
    for (int round = 0; round < rounds_; ++round) {
      const std::uint64_t written_before = written.load();
      const std::int64_t begin_ns = steady_ns();
      go.store(true);
      const Cost with = event_cost();
      go.store(false);
      while (!idle.load()) usleep(200);
      together_k_s.add(static_cast<double>(written.load() - written_before) * 1e6 /
                       static_cast<double>(steady_ns() - begin_ns));
      const Cost after = event_cost();
      alone.add(2e3 / (before.wall_ns + after.wall_ns));
      besides.add(1e3 / with.wall_ns);
      falls.add(100 * (1 - (before.wall_ns + after.wall_ns) / 2 / with.wall_ns));
      cpu_grows.add(100 * (with.cpu_ns / ((before.cpu_ns + after.cpu_ns) / 2) - 1));
      before = after;
    }
    stop.store(true);
    writing.join();
    report_.figure("worker alone", "M/s", alone);
    report_.figure("worker beside the write-behind", "M/s", besides);
    report_.figure("profiles written meanwhile, on the other core with Redis", "k/s", together_k_s);
    report_.at_most("the worker's rate falls by", falls, 10, "%");
    report_.figure("the worker's CPU for an event grows by", "%", cpu_grows);
  }

 private:
  void feed(std::uint64_t user) {
    const std::vector<std::uint8_t> bytes = worker_.record(number_++, user);
    if (worker_.put(bytes)) return;
    apply();
    if (!worker_.put(bytes)) give_up("a ring is full");
  }
  void apply() {
    worker_.publish();
    const double cpu_ns = thread_cpu_ns();
    spent_.wall_ns += worker_.run(false);
    spent_.cpu_ns += thread_cpu_ns() - cpu_ns;
  }
  /// Of the worker, for an event.
  Cost event_cost() {
    const std::uint64_t count = report_.count("events", 200'000, 300);
    const Cost before = spent_;
    for (std::uint64_t at = 0; at < count; ++at) feed(visitors_.next());
    apply();
    const auto events = static_cast<double>(count);
    return {(spent_.wall_ns - before.wall_ns) / events, (spent_.cpu_ns - before.cpu_ns) / events};
  }
  /// The users that are written: spread over the table.
  [[nodiscard]] std::uint64_t user_at(std::uint64_t at) const { return at * 7'919 % users_; }

  /// What ours sends for them; the watermarks it leaves are in marks_.
  Commands recorded(const std::vector<std::uint64_t>& watermarks, const WriteBehindLimits& limits) {
    Recorder line(redis_.socket());
    WriteBehindRig ours(worker_.fixture(), line.socket(), limits);
    ours.set_watermarks(watermarks);
    static_cast<void>(line.take());  // its greeting
    for (std::uint64_t at = 0; at < written_; ++at) ours.touch(user_at(at));
    ours.write();
    marks_ = ours.watermarks();
    return {line.take(), limits.batch_count_max + 1};
  }
  void restore(const Commands& before) {
    const Connection connection = redis_.connect();
    command(connection, "FLUSHALL SYNC");
    Raw(redis_).write(before);
  }
  /// Everything arrived, whoever wrote it.
  void check() {
    const Connection connection = redis_.connect();
    const Reply shards = command(connection, "DBSIZE");
    if (static_cast<std::uint64_t>(shards->integer) < written_) give_up("profiles are missing");
  }
  template <typename Work>
  Cost timed(Work&& work) {
    const double cpu_ns = thread_cpu_ns();
    const std::int64_t begin_ns = steady_ns();
    work();
    const auto count = static_cast<double>(written_);
    return {static_cast<double>(steady_ns() - begin_ns) / count,
            (thread_cpu_ns() - cpu_ns) / count};
  }

  Report& report_;
  std::uint64_t users_;
  std::uint64_t written_;
  int rounds_;
  RedisPeer redis_;
  WorkerRig worker_;
  Visitors visitors_;
  std::vector<std::uint64_t> marks_;
  std::uint64_t number_ = 0;
  Cost spent_;  // by the worker
};

}  // namespace
}  // namespace deja::bench

int main(int argument_count, char** arguments) {
  deja::bench::Report report("write_behind", argument_count, arguments);
  deja::bench::Bench bench(report);
  bench.rates();
  if (report.count("beside", 1, 1) != 0) bench.beside();
  return 0;
}
