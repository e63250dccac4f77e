// The peer: a redis-server of the benchmark's own on a unix socket, without persistence so that it
// is at its best, and hiredis connections to it. Stops it by its pid at the end. One thread.
#pragma once

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

namespace deja::bench {

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};
struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Connection = std::unique_ptr<redisContext, FreeContext>;
using Reply = std::unique_ptr<redisReply, FreeReply>;

[[noreturn]] inline void give_up(const char* what) {
  std::fprintf(stderr, "bench: %s\n", what);
  std::exit(1);
}

class RedisPeer {
 public:
  RedisPeer() {
    char path[] = "/tmp/deja-bench-XXXXXX";
    if (mkdtemp(path) == nullptr) give_up("no temporary directory");
    directory_ = path;
    socket_ = directory_ + "/redis.sock";
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const int null = open("/dev/null", O_RDWR);
      dup2(null, STDOUT_FILENO);
      execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_.c_str(),
             "--dir", directory_.c_str(), "--save", "", "--appendonly", "no", "--maxmemory-policy",
             "noeviction", nullptr);
      _exit(127);
    }
    for (int attempt = 0; attempt < 200 && !std::filesystem::exists(socket_); ++attempt) {
      usleep(10'000);
    }
    if (!std::filesystem::exists(socket_)) give_up("redis-server did not start; is it installed?");
  }
  ~RedisPeer() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    std::filesystem::remove_all(directory_);
  }
  RedisPeer(const RedisPeer&) = delete;
  RedisPeer& operator=(const RedisPeer&) = delete;

  [[nodiscard]] const std::string& socket() const { return socket_; }
  [[nodiscard]] Connection connect() const {
    Connection connection(redisConnectUnix(socket_.c_str()));
    if (!connection || connection->err != 0) give_up("can't connect to redis-server");
    return connection;
  }

 private:
  std::string directory_;
  std::string socket_;
  pid_t pid_ = -1;
};

/// One command and its reply; ends the benchmark when Redis refuses it.
template <typename... Arguments>
Reply command(const Connection& connection, const char* format, Arguments... arguments) {
  Reply reply(static_cast<redisReply*>(redisCommand(connection.get(), format, arguments...)));
  if (!reply || reply->type == REDIS_REPLY_ERROR) {
    give_up(reply ? reply->str : "redis-server hung up");
  }
  return reply;
}

}  // namespace deja::bench
