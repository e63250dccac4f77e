#include "tools/serve/private_redis.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cstring>
#include <deque>
#include <fstream>

#include "shm/base/clock.h"

namespace deja {
namespace {

constexpr std::size_t kSocketPathBytesMax = sizeof(sockaddr_un::sun_path) - 1;

}  // namespace

PrivateRedis::PrivateRedis(std::string durability_directory, const std::string& fallback_directory)
    : directory_(std::move(durability_directory)), socket_path_(directory_ + "/redis.sock") {
  if (socket_path_.size() > kSocketPathBytesMax) socket_path_ = fallback_directory + "/redis.sock";
}

ChildCommand PrivateRedis::command() const {
  ChildCommand command;
  command.program = "redis-server";
  command.arguments = {"--port",
                       "0",
                       "--unixsocket",
                       socket_path_,
                       "--unixsocketperm",
                       "700",
                       "--dir",
                       directory_,
                       "--appendonly",
                       "yes",
                       "--save",
                       "",
                       "--daemonize",
                       "no",
                       "--maxmemory-policy",
                       "noeviction",
                       "--loglevel",
                       "warning",
                       "--pidfile",
                       directory_ + "/redis.pid",
                       "--logfile",
                       directory_ + "/redis.log"};
  command.death_signal = SIGTERM;  // it syncs its file and ends
  return command;
}

std::string PrivateRedis::ask(const char* command) const {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (socket_path_.size() > kSocketPathBytesMax) return {};
  std::memcpy(name.sun_path, socket_path_.data(), socket_path_.size());
  const Descriptor descriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{1, 0};
  setsockopt(descriptor.number(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(descriptor.number(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (connect(descriptor.number(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
    return {};
  }
  const std::string line = std::string(command) + "\r\n";
  if (send(descriptor.number(), line.data(), line.size(), MSG_NOSIGNAL) < 0) return {};
  char answer[256];
  const ssize_t bytes = recv(descriptor.number(), answer, sizeof answer, 0);
  return bytes > 0 ? std::string(answer, static_cast<std::size_t>(bytes)) : std::string("-silent");
}

bool PrivateRedis::answers() const {
  return ask("PING").starts_with("+PONG");
}

Status PrivateRedis::wait_until_gone() const {
  const std::int64_t deadline_ns = steady_ns() + 30'000'000'000;
  while (!ask("PING").empty()) {
    if (steady_ns() > deadline_ns) {
      return Error{"a redis-server from before still answers on " + socket_path_, 0,
                   "Stop it: redis-cli -s " + socket_path_ + " shutdown"};
    }
    usleep(20'000);
  }
  return Done{};
}

std::string PrivateRedis::last_words() const {
  std::ifstream log(directory_ + "/redis.log");
  std::deque<std::string> lines;
  for (std::string line; std::getline(log, line);) {
    if (line.empty()) continue;
    lines.push_back(line);
    if (lines.size() > 3) lines.pop_front();
  }
  std::string text;
  for (const std::string& line : lines) text.append("\n    ").append(line);
  return text;
}

void PrivateRedis::remove_files() const {
  unlink(socket_path_.c_str());
  unlink((directory_ + "/redis.pid").c_str());
}

}  // namespace deja
