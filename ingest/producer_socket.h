// The client's side of a socket: addresses, connecting without blocking. Any thread.
#pragma once

#include <string>

#include "shm/base/result.h"

namespace deja {

/// "host:port", "[::1]:port" or "unix:/path", taken apart.
struct ProducerAddress {
  bool is_unix = false;
  std::string host;  ///< or the path
  std::string port;

  [[nodiscard]] static Result<ProducerAddress> parse(const std::string& text);
};

/// A non-blocking socket that is connected or about to be: writable once it is decided. Looking up
/// a host's name may block; a number does not.
[[nodiscard]] Result<int> start_connecting(const ProducerAddress& address);

/// Whether a socket that has become writable is connected: 0 or errno.
[[nodiscard]] int connect_error(int socket);

/// Makes a socket non-blocking and, for TCP, sends what is written at once.
void prepare_socket(int socket);

}  // namespace deja
