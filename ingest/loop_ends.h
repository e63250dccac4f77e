// Ends of peers that a ring may not tell of. io_uring's multishot receive can miss the shutdown of
// a unix socket that comes right behind bytes: two wake-ups become one look, which takes the bytes,
// hears from the socket that there are no more, and waits for a third (github.com/axboe/liburing,
// issue 1549; seen on Linux 6.18). A peer that waits for our end then waits for ever. So the loop
// looks itself, once behind the last bytes of each such connection. Private to ingest/loop.cc; its
// thread only; allocates in reserve() alone.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace deja {

/// Connections of which bytes came and no look has been since, by number; each at most once.
class UnseenEnds {
 public:
  void reserve(std::size_t connections_max) { numbers_.reserve(connections_max); }
  void note(std::uint32_t number) { numbers_.push_back(number); }

  /// Calls `look(number)` for all noted, which are noted no more.
  template <typename Look>
  void take(Look&& look) {
    for (const std::uint32_t number : numbers_) look(number);
    numbers_.clear();
  }

  /// Whether the peer has ended and all its bytes were taken.
  [[nodiscard]] static bool has_ended(int socket) {
    char byte = 0;
    return recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
  }

 private:
  std::vector<std::uint32_t> numbers_;
};

}  // namespace deja
