#include "tools/serve/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "shm/base/descriptor.h"

namespace deja {

void notify_service_manager(const std::string& state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const std::size_t bytes = path == nullptr ? 0 : std::strlen(path);
  if (bytes < 2 || bytes >= sizeof name.sun_path) return;
  std::memcpy(name.sun_path, path, bytes);
  if (path[0] == '@') name.sun_path[0] = '\0';  // an abstract one
  const Descriptor socket_descriptor(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto name_bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + bytes);
  sendto(socket_descriptor.number(), state.data(), state.size(), MSG_NOSIGNAL,
         reinterpret_cast<const sockaddr*>(&name), name_bytes);
}

}  // namespace deja
