#include "tools/serve/listening_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace deja {
namespace {

constexpr int kBacklog = 4096;  // the kernel cuts it to somaxconn

// Who was killed a moment ago may seem to listen still: the kernel takes a dead process's ring
// apart behind its back, and the ring holds its sockets.
constexpr int kAttemptsMax = 100;
constexpr unsigned kPauseUs = 20'000;

/// 0, or errno.
int bind_and_listen(int descriptor, const sockaddr* name, socklen_t name_bytes) {
  bool bound = false;
  for (int attempt = 1;; ++attempt) {
    bound = bound || bind(descriptor, name, name_bytes) == 0;
    if (bound && listen(descriptor, kBacklog) == 0) return 0;
    if (errno != EADDRINUSE || attempt == kAttemptsMax) return errno;
    usleep(kPauseUs);
  }
}

bool somebody_listens(const sockaddr_un& name) {
  const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connect(probe.number(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0) {
    return true;
  }
  return errno == EAGAIN || errno == EINPROGRESS;  // a full backlog is a listener's too
}

bool goes_on_listening(const sockaddr_un& name) {
  for (int attempt = 1; somebody_listens(name); ++attempt) {
    if (attempt == kAttemptsMax) return true;
    usleep(kPauseUs);
  }
  return false;
}

}  // namespace

void ListeningSocket::remove_dead(const ListenAddress& address) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  struct stat status {};
  if (address.kind != AddressKind::kUnix || address.host.size() >= sizeof name.sun_path ||
      lstat(address.host.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) {
    return;
  }
  std::memcpy(name.sun_path, address.host.data(), address.host.size());
  if (!goes_on_listening(name)) unlink(address.host.c_str());
}

ListeningSocket::~ListeningSocket() {
  if (descriptor_.open() && !unix_path_.empty()) unlink(unix_path_.c_str());
}

void ListeningSocket::take_address(const sockaddr_storage& name) {
  char host[INET6_ADDRSTRLEN] = {};
  if (name.ss_family == AF_UNIX) {
    const auto& un = reinterpret_cast<const sockaddr_un&>(name);
    unix_path_.assign(un.sun_path, strnlen(un.sun_path, sizeof un.sun_path));
    address_ = "unix:" + unix_path_;
  } else if (name.ss_family == AF_INET6) {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(name);
    inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof host);
    address_ = "[" + std::string(host) + "]:" + std::to_string(ntohs(in6.sin6_port));
  } else {
    const auto& in4 = reinterpret_cast<const sockaddr_in&>(name);
    inet_ntop(AF_INET, &in4.sin_addr, host, sizeof host);
    address_ = std::string(host) + ":" + std::to_string(ntohs(in4.sin_port));
  }
}

std::optional<ListeningSocket> ListeningSocket::inherited(int descriptor) {
  int listens = 0;
  socklen_t bytes = sizeof listens;
  sockaddr_storage name{};
  socklen_t name_bytes = sizeof name;
  if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) != 0 || listens != 1 ||
      getsockname(descriptor, reinterpret_cast<sockaddr*>(&name), &name_bytes) != 0) {
    return std::nullopt;
  }
  fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  ListeningSocket made;
  made.descriptor_ = Descriptor(descriptor);
  made.take_address(name);
  return made;
}

Result<ListeningSocket> ListeningSocket::open(const ListenAddress& address) {
  return address.kind == AddressKind::kUnix ? open_unix(address) : open_tcp(address);
}

Result<ListeningSocket> ListeningSocket::open_tcp(const ListenAddress& address) {
  const bool six = address.kind == AddressKind::kTcp6;
  sockaddr_storage name{};
  socklen_t name_bytes = 0;
  if (six) {
    auto* in6 = reinterpret_cast<sockaddr_in6*>(&name);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(address.port);
    inet_pton(AF_INET6, address.host.c_str(), &in6->sin6_addr);
    name_bytes = sizeof *in6;
  } else {
    auto* in4 = reinterpret_cast<sockaddr_in*>(&name);
    in4->sin_family = AF_INET;
    in4->sin_port = htons(address.port);
    inet_pton(AF_INET, address.host.c_str(), &in4->sin_addr);
    name_bytes = sizeof *in4;
  }
  ListeningSocket made;
  made.descriptor_ = Descriptor(socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int descriptor = made.descriptor();
  const int on = 1;
  if (descriptor < 0) return system_error("make a socket for " + address.text);
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (six) setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  errno = bind_and_listen(descriptor, reinterpret_cast<const sockaddr*>(&name), name_bytes);
  if (errno != 0) {
    const char* remedy = "Correct the address in [listen]";
    if (errno == EADDRINUSE) {
      remedy =
          "Another program listens there (see: ss -ltnp); stop it, or choose another port in "
          "[listen]";
    } else if (errno == EACCES) {
      remedy = "Ports below 1024 need CAP_NET_BIND_SERVICE; choose another port in [listen]";
    } else if (errno == EADDRNOTAVAIL) {
      remedy = "This host does not have that address; choose one of its own in [listen]";
    }
    return system_error("listen on " + address.text, remedy);
  }
  name_bytes = sizeof name;
  getsockname(descriptor, reinterpret_cast<sockaddr*>(&name), &name_bytes);
  made.take_address(name);
  return made;
}

Result<ListeningSocket> ListeningSocket::open_unix(const ListenAddress& address) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (address.host.size() >= sizeof name.sun_path) {
    return Error{"listen on " + address.text + ": the path is longer than a socket's may be (107)",
                 0, "Choose a shorter path in [listen]"};
  }
  std::memcpy(name.sun_path, address.host.data(), address.host.size());
  struct stat status {};
  if (lstat(address.host.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) {
      return Error{"listen on " + address.text + ": there is a file that is not a socket", 0,
                   "Remove it, or choose another path in [listen]"};
    }
    if (goes_on_listening(name)) {
      return Error{"listen on " + address.text, EADDRINUSE,
                   "Another program listens there; stop it, or choose another path in [listen]"};
    }
    unlink(address.host.c_str());  // of a server that was killed
  }
  ListeningSocket made;
  made.descriptor_ = Descriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!made.descriptor_.open()) return system_error("make a socket for " + address.text);
  if (bind(made.descriptor(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
    return system_error("listen on " + address.text,
                        "The socket's directory must exist and be writable for this user");
  }
  made.unix_path_ = address.host;
  chmod(address.host.c_str(), 0660);  // who may connect: the service's user and group
  if (listen(made.descriptor(), kBacklog) != 0) return system_error("listen on " + address.text);
  made.address_ = "unix:" + address.host;
  return made;
}

}  // namespace deja
