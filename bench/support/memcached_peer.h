// The peer: a memcached of the benchmark's own on a unix socket, and a connection that speaks its
// text protocol with a system call each way and no library in between, so at its best. One thread.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "bench/support/servers.h"

namespace deja::bench {

class MemcachedPeer {
 public:
  MemcachedPeer()
      : server_({"memcached", "-u", "root", "-s", "@/memcached.sock", "-m", "1024", "-t", "1"},
                "memcached.sock") {
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, server_.socket().c_str(), sizeof address.sun_path - 1);
    // The socket's file is there before it listens.
    for (int attempt = 0; attempt < 100; ++attempt) {
      if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return;
      usleep(10'000);
    }
    give_up("can't connect to memcached");
  }
  ~MemcachedPeer() { close(fd_); }
  MemcachedPeer(const MemcachedPeer&) = delete;
  MemcachedPeer& operator=(const MemcachedPeer&) = delete;

  [[nodiscard]] const PeerServer& server() const { return server_; }

  void set(const std::string& key, const std::string& value) {
    send("set " + key + " 0 0 " + std::to_string(value.size()) + " noreply\r\n" + value + "\r\n");
  }
  /// False: not there. The value's bytes follow the first line in answer().
  bool get(const std::string& key) {
    send("get " + key + "\r\n");
    receive();
    return answer_.size() > 5;
  }
  [[nodiscard]] const std::string& answer() const { return answer_; }

  /// A number of `stats`, or of `stats slabs`; 0 when it does not say it.
  [[nodiscard]] double stat(const std::string& of, const std::string& name) {
    send("stats" + (of.empty() ? "" : " " + of) + "\r\n");
    receive();
    const std::string line = "STAT " + name + " ";
    const std::size_t at = answer_.find(line);
    return at == std::string::npos ? 0 : std::strtod(answer_.c_str() + at + line.size(), nullptr);
  }

 private:
  void receive() {
    answer_.clear();
    while (answer_.size() < 5 || answer_.compare(answer_.size() - 5, 5, "END\r\n") != 0) {
      char bytes[4096];
      const ssize_t got = read(fd_, bytes, sizeof bytes);
      if (got <= 0) give_up("memcached hung up");
      answer_.append(bytes, static_cast<std::size_t>(got));
    }
  }
  void send(const std::string& bytes) const {
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t sent = ::write(fd_, bytes.data() + at, bytes.size() - at);
      if (sent <= 0) give_up("memcached hung up");
      at += static_cast<std::size_t>(sent);
    }
  }

  PeerServer server_;
  int fd_ = -1;
  std::string answer_;
};

}  // namespace deja::bench
