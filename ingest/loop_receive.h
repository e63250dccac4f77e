// One receive that does not wait, told as a ring tells it (ingest/loop_ring.h). Any thread, one at
// a time for each socket.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <span>

#include "ingest/loop_ring.h"

namespace deja {

/// Whether a call that failed so has nothing to do now, and no fault.
[[nodiscard]] inline bool is_for_later(int error_number) {
  return error_number == EAGAIN || error_number == EWOULDBLOCK || error_number == EINTR;
}

/// False: there is nothing. Else `completion` is all but its user_data; its bytes lie in `buffer`.
[[nodiscard]] inline bool receive_now(int socket, std::span<std::uint8_t> buffer,
                                      LoopCompletion& completion) {
  const ssize_t received = recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (received < 0 && is_for_later(errno)) return false;
  completion.result = received >= 0 ? static_cast<std::int32_t>(received) : -errno;
  completion.more = received > 0;
  completion.bytes = buffer.first(received > 0 ? static_cast<std::size_t>(received) : 0);
  return true;
}

}  // namespace deja
