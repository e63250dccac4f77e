// A redis-server that is killed and started again with what it has saved: how long it is away. Its
// files lie in memory, so no disk slows it down. One thread.
#pragma once

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "bench/support/redis_peer.h"
#include "bench/support/servers.h"
#include "bench/support/tmpfs.h"
#include "shm/base/clock.h"

namespace deja::bench {

class RedisLife {
 public:
  /// `more`: further arguments, "--appendonly", "yes" for instance.
  explicit RedisLife(std::vector<std::string> more) : more_(std::move(more)) {
    directory_ = file_memory() + "/deja-bench-XXXXXX";
    if (mkdtemp(directory_.data()) == nullptr) give_up("no scratch directory");
    start_s();
  }
  ~RedisLife() {
    end(SIGKILL);
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  RedisLife(const RedisLife&) = delete;
  RedisLife& operator=(const RedisLife&) = delete;

  [[nodiscard]] std::string socket() const { return directory_ + "/redis.sock"; }
  [[nodiscard]] Connection connect() const {
    Connection connection(redisConnectUnix(socket().c_str()));
    if (!connection || connection->err != 0) give_up("can't connect to redis-server");
    return connection;
  }

  /// SIGKILL: with what was saved before. SIGTERM: it writes what is open.
  void end(int signal) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
    unlink(socket().c_str());
  }
  /// Seconds from exec until it answers, everything loaded.
  double start_s() {
    std::vector<std::string> arguments = {
        "redis-server", "--port", "0", "--unixsocket",       socket(),    "--dir",
        directory_,     "--save", "",  "--maxmemory-policy", "noeviction"};
    arguments.insert(arguments.end(), more_.begin(), more_.end());
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    const std::int64_t begin_ns = steady_ns();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const int log = open((directory_ + "/log").c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
      dup2(log, STDOUT_FILENO);
      dup2(log, STDERR_FILENO);
      execvp(pointers[0], pointers.data());
      _exit(127);
    }
    while (!answers()) {
      if (waitpid(pid_, nullptr, WNOHANG) == pid_) give_up("redis-server did not start");
      usleep(500);
    }
    return static_cast<double>(steady_ns() - begin_ns) / 1e9;
  }

 private:
  /// Not while it is loading: it says so then.
  [[nodiscard]] bool answers() const {
    const Connection connection(redisConnectUnix(socket().c_str()));
    if (!connection || connection->err != 0) return false;
    const Reply reply(static_cast<redisReply*>(redisCommand(connection.get(), "PING")));
    return reply && reply->type == REDIS_REPLY_STATUS && std::strcmp(reply->str, "PONG") == 0;
  }

  std::vector<std::string> more_;
  std::string directory_;
  pid_t pid_ = -1;
};

}  // namespace deja::bench
