// Asking for users who are missed: a datagram to the keeper's socket. The one thing here that
// leaves the process, and nothing waits for it.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "shm/ask_layout.h"
#include "shm/libdeja/handle.h"

namespace deja::libdeja {
namespace {

deja_status status_of_send(int error_number) {
  switch (error_number) {
    case EACCES:
    case EPERM:
      return DEJA_DENIED;
    case ENOMEM:
    case ENFILE:
    case EMFILE:
      return DEJA_RESOURCES;
    default:
      return DEJA_BUSY;  // its queue is full, or the keeper is just being started again
  }
}

deja_status send_to(const sockaddr_un& address, int descriptor, AskWriter& ask) {
  const ssize_t sent = sendto(descriptor, ask.bytes(), ask.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                              reinterpret_cast<const sockaddr*>(&address), sizeof address);
  return sent < 0 ? status_of_send(errno) : DEJA_OK;
}

}  // namespace
}  // namespace deja::libdeja

using namespace deja::libdeja;

deja_status deja_ask(const deja_appliance* appliance, const deja_key* keys, size_t count) {
  if (appliance == nullptr || (keys == nullptr && count != 0)) return DEJA_MISUSE;
  const Attachment& attachment = appliance->attachment;
  if (attachment.ended()) return DEJA_STALE;
  const deja::SegmentPath segment = deja::segment_directory(appliance->directory, appliance->name);
  const deja::SegmentPath path =
      deja::segment_file(segment.text, deja::kAskedFile, attachment.incarnation);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t path_bytes = std::strlen(path.text);
  if (path_bytes == 0 || path_bytes >= sizeof address.sun_path) return DEJA_MISUSE;
  std::memcpy(address.sun_path, path.text, path_bytes);

  int descriptor = -1;
  deja_status status = DEJA_UNKNOWN;
  deja::AskWriter ask(attachment.incarnation);
  const auto send_what_there_is = [&] {
    if (descriptor < 0) descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    status = descriptor < 0 ? status_of_send(errno) : send_to(address, descriptor, ask);
    ask = deja::AskWriter(attachment.incarnation);
    return status == DEJA_OK;
  };
  bool good = true;
  for (size_t at = 0; at < count && good; ++at) {
    if (const deja_status wrong = check_key(attachment, keys[at]); wrong != DEJA_OK) {
      if (wrong == DEJA_UNKNOWN) continue;
      status = wrong;
      good = false;
      break;
    }
    const deja::Key key = key_from(keys[at]);
    if (!shard_for(attachment, key).has_absent()) continue;
    if (ask.add(key)) continue;
    good = send_what_there_is() && ask.add(key);
  }
  if (good && ask.count() != 0) send_what_there_is();
  if (descriptor >= 0) close(descriptor);
  return status;
}
