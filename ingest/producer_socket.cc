#include "ingest/producer_socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace deja {
namespace {

Result<int> connect_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return system_error("make a socket");
  prepare_socket(descriptor);
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
      errno != EINPROGRESS) {
    Error error = system_error("connect to unix:" + path, "Is the appliance running?");
    close(descriptor);
    return error;
  }
  return descriptor;
}

Result<int> connect_tcp(const ProducerAddress& address) {
  const std::string name = address.host + ":" + address.port;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int outcome = getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found);
  if (outcome != 0) return Error{"look up " + name + ": " + gai_strerror(outcome), 0, ""};
  // The first that can be tried: that one may still turn out not to answer.
  Error error{"connect to " + name, 0, ""};
  int descriptor = -1;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    descriptor = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
    if (descriptor < 0) {
      error = system_error("make a socket");
      continue;
    }
    prepare_socket(descriptor);
    if (connect(descriptor, at->ai_addr, at->ai_addrlen) == 0 || errno == EINPROGRESS) break;
    error = system_error("connect to " + name, "Is the appliance running?");
    close(descriptor);
    descriptor = -1;
  }
  freeaddrinfo(found);
  if (descriptor < 0) return error;
  return descriptor;
}

}  // namespace

Result<ProducerAddress> ProducerAddress::parse(const std::string& text) {
  const Error error{"read the address '" + text + "'", 0,
                    "It is \"host:port\", \"[::1]:port\" or \"unix:/path\""};
  ProducerAddress address;
  if (text.starts_with("unix:")) {
    address.is_unix = true;
    address.host = text.substr(5);
    if (address.host.empty() || address.host.size() >= sizeof(sockaddr_un::sun_path)) return error;
    return address;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) return error;
  address.host = text.substr(0, colon);
  address.port = text.substr(colon + 1);
  if (address.port.find_first_not_of("0123456789") != std::string::npos) return error;
  if (address.port.size() > 5 || std::stoul(address.port) > 65535) return error;
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  } else if (address.host.find(':') != std::string::npos) {
    return error;
  }
  return address;
}

Result<int> start_connecting(const ProducerAddress& address) {
  return address.is_unix ? connect_unix(address.host) : connect_tcp(address);
}

int connect_error(int socket) {
  int error = 0;
  socklen_t bytes = sizeof error;
  if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) return errno;
  return error;
}

void prepare_socket(int socket) {
  const int flags = fcntl(socket, F_GETFL);
  (void)fcntl(socket, F_SETFL, flags | O_NONBLOCK);
  const int on = 1;
  (void)setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // refused by unix sockets
}

}  // namespace deja
