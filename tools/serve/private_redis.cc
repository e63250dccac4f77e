#include "tools/serve/private_redis.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cstring>
#include <deque>
#include <fstream>

namespace deja {
namespace {

constexpr std::size_t kSocketPathBytesMax = sizeof(sockaddr_un::sun_path) - 1;

}  // namespace

PrivateRedis::PrivateRedis(std::string durability_directory, const std::string& fallback_directory)
    : directory_(std::move(durability_directory)), socket_path_(directory_ + "/redis.sock") {
  if (socket_path_.size() > kSocketPathBytesMax) socket_path_ = fallback_directory + "/redis.sock";
}

Result<ChildCommand> PrivateRedis::command() {
  if (!lock_.open()) {
    const std::string path = directory_ + "/redis.lock";
    Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.open()) return system_error("open the lock " + path);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    if (fcntl(file.number(), F_OFD_SETLK, &lock) != 0) {
      return system_error("lock " + path, "The redis-server that has it must end first");
    }
    lock_ = std::move(file);
  }
  ChildCommand command;
  command.inherited = {lock_.number()};
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
  return command;
}

Descriptor PrivateRedis::connect_to() const {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (socket_path_.size() > kSocketPathBytesMax) return {};
  std::memcpy(name.sun_path, socket_path_.data(), socket_path_.size());
  Descriptor descriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{1, 0};
  setsockopt(descriptor.number(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(descriptor.number(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (connect(descriptor.number(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
    descriptor.reset();
  }
  return descriptor;
}

std::string PrivateRedis::ask(const char* command) const {
  const Descriptor descriptor = connect_to();
  if (!descriptor.open()) return {};
  const std::string line = std::string(command) + "\r\n";
  if (send(descriptor.number(), line.data(), line.size(), MSG_NOSIGNAL) < 0) return {};
  char answer[256];
  const ssize_t bytes = recv(descriptor.number(), answer, sizeof answer, 0);
  return bytes > 0 ? std::string(answer, static_cast<std::size_t>(bytes)) : std::string("-silent");
}

pid_t PrivateRedis::serving_pid() const {
  const Descriptor descriptor = connect_to();
  ucred peer{};
  socklen_t bytes = sizeof peer;
  if (!descriptor.open() ||
      getsockopt(descriptor.number(), SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) {
    return 0;
  }
  return peer.uid == geteuid() ? peer.pid : 0;
}

bool PrivateRedis::answers() const {
  return ask("PING").starts_with("+PONG");
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
  unlink((directory_ + "/redis.lock").c_str());
}

}  // namespace deja
