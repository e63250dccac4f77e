// A socket that the supervisor listens on for its children. It outlives a child that dies: a
// connection made meanwhile waits in the backlog. Start-up code; one thread.
#pragma once

#include <sys/socket.h>

#include <optional>
#include <string>

#include "shm/base/descriptor.h"
#include "shm/base/result.h"
#include "tools/config/listen_address.h"

namespace deja {

class ListeningSocket {
 public:
  /// Binds and listens. Port 0 takes any that is free. A unix socket's file that nobody listens on
  /// any more is removed first; one in use is an error.
  [[nodiscard]] static Result<ListeningSocket> open(const ListenAddress& address);

  /// One that a program before this one in the same process listened on; nothing where the
  /// descriptor is no listening socket.
  [[nodiscard]] static std::optional<ListeningSocket> inherited(int descriptor);

  /// Removes the file of a unix socket that nobody listens on; anything else stays. Waits up to two
  /// seconds for one who ended a moment ago and seems to listen still.
  static void remove_dead(const ListenAddress& address);

  ListeningSocket(ListeningSocket&&) noexcept = default;
  ListeningSocket& operator=(ListeningSocket&&) noexcept = default;
  /// Removes a unix socket's file.
  ~ListeningSocket();

  [[nodiscard]] int descriptor() const { return descriptor_.number(); }
  /// "127.0.0.1:43125", "unix:/run/x.sock": what a client connects to.
  [[nodiscard]] const std::string& address() const { return address_; }

 private:
  ListeningSocket() = default;
  void take_address(const sockaddr_storage& name);
  [[nodiscard]] static Result<ListeningSocket> open_tcp(const ListenAddress& address);
  [[nodiscard]] static Result<ListeningSocket> open_unix(const ListenAddress& address);

  Descriptor descriptor_;
  std::string address_;
  std::string unix_path_;
};

}  // namespace deja
