#include "workers/keeper/ask_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

namespace deja {

Result<AskSocket> AskSocket::open(const Segment& segment) {
  const std::string path = segment.path(kAskedFile);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Error{"ask through " + path + ": a socket's path has at most " +
                     std::to_string(sizeof address.sun_path - 1) + " bytes",
                 0, "Choose a shorter [appliance] directory"};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  Descriptor descriptor(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (descriptor.number() < 0) return system_error("make a socket");
  // A former keeper's, with what was asked there: askers ask again.
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return system_error("remove " + path);
  if (bind(descriptor.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return system_error("make the socket " + path);
  }
  // As the files that renderers read: the directory's group is theirs.
  struct stat directory {};
  const std::string parent = std::filesystem::path(path).parent_path().string();
  if (stat(parent.c_str(), &directory) != 0) return system_error("look at " + parent);
  if (lchown(path.c_str(), static_cast<uid_t>(-1), directory.st_gid) != 0 ||
      chmod(path.c_str(), 0660) != 0) {
    return system_error("give " + path + " to the readers' group");
  }
  return AskSocket(std::move(descriptor), segment);
}

std::int64_t AskSocket::take(std::uint8_t* into, std::size_t size) const {
  return recv(descriptor_.number(), into, size, MSG_DONTWAIT);
}

}  // namespace deja
