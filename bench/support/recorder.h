// A line that repeats what passes through it: a unix socket in front of a server's, each byte
// handed on as it comes, and what the client sends is kept. So a benchmark has the very bytes that
// a program under test sends. One connection at a time; a thread of its own.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <utility>

#include "bench/support/servers.h"

namespace deja::bench {

[[nodiscard]] inline sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) give_up("a socket's path is too long");
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

[[nodiscard]] inline int connect_to_unix(const std::string& path) {
  const sockaddr_un address = unix_address(path);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    give_up("can't connect to a peer");
  }
  return fd;
}

inline void send_all(int fd, const char* bytes, std::size_t size) {
  for (std::size_t sent = 0; sent < size;) {
    const ssize_t some = ::send(fd, bytes + sent, size - sent, MSG_NOSIGNAL);
    if (some <= 0) give_up("a peer hung up");
    sent += static_cast<std::size_t>(some);
  }
}

class Recorder {
 public:
  explicit Recorder(const std::string& server) : server_(server), path_(server + ".line") {
    const sockaddr_un address = unix_address(path_);
    listening_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listening_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(listening_, 1) != 0) {
      give_up("can't listen");
    }
    thread_ = std::thread([this] { hand_on(); });
  }
  ~Recorder() {
    shutdown(listening_, SHUT_RDWR);
    thread_.join();
    close(listening_);
    unlink(path_.c_str());
  }
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  [[nodiscard]] const std::string& socket() const { return path_; }
  /// What the client has sent since the last call. To be asked when every answer has been read.
  [[nodiscard]] std::string take() { return std::exchange(sent_, {}); }

 private:
  void hand_on() {
    for (;;) {
      const int client = accept(listening_, nullptr, nullptr);
      if (client < 0) return;
      const int server = connect_to_unix(server_);
      for (;;) {
        pollfd both[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
        if (poll(both, 2, -1) < 0) break;
        if (both[1].revents != 0 && !pass(server, client, nullptr)) break;
        if (both[0].revents != 0 && !pass(client, server, &sent_)) break;
      }
      close(client);
      close(server);
    }
  }
  /// False: somebody hung up.
  static bool pass(int from, int to, std::string* keep) {
    char bytes[65536];
    const ssize_t got = recv(from, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    if (keep != nullptr) keep->append(bytes, static_cast<std::size_t>(got));
    send_all(to, bytes, static_cast<std::size_t>(got));
    return true;
  }

  std::string server_;
  std::string path_;
  int listening_ = -1;
  std::string sent_;
  std::thread thread_;
};

}  // namespace deja::bench
