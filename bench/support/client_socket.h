// Connected stream sockets of a benchmark's client, blocking; a server that takes and gives nothing
// for a minute ends the benchmark. One thread.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "bench/support/servers.h"

namespace deja::bench {

class ClientSocket {
 public:
  explicit ClientSocket(const std::string& path) : descriptor_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), std::min(path.size(), sizeof address.sun_path - 1));
    connect_to(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  /// On loopback.
  explicit ClientSocket(std::uint16_t port) : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connect_to(reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int on = 1;
    (void)setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ~ClientSocket() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  ClientSocket(ClientSocket&& other) noexcept : descriptor_(other.descriptor_) {
    other.descriptor_ = -1;
  }
  ClientSocket(const ClientSocket&) = delete;
  ClientSocket& operator=(const ClientSocket&) = delete;

  /// All of it.
  void send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t count = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) give_up(kLost);
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  /// What is there, one byte at least.
  [[nodiscard]] std::size_t receive(char* into, std::size_t bytes) const {
    const ssize_t count = recv(descriptor_, into, bytes, 0);
    if (count <= 0) give_up(kLost);
    return static_cast<std::size_t>(count);
  }
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  static constexpr const char* kLost = "a server hung up, or did nothing for a minute";

  void connect_to(const sockaddr* address, socklen_t size) const {
    const timeval minute{60, 0};
    for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
      (void)setsockopt(descriptor_, SOL_SOCKET, option, &minute, sizeof minute);
    }
    if (connect(descriptor_, address, size) != 0) give_up("can't connect to a server");
  }
  int descriptor_;
};

}  // namespace deja::bench
