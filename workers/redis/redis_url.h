// Where Redis is: "redis://[user[:password]@]host[:port][/db]" (a lone password as ":password@",
// and percent escapes in both) or "unix:///path[?db=N]" ("unix://[user[:password]@]/path"
// likewise). Plain data; start-up code.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "shm/base/result.h"

namespace deja {

struct RedisUrl {
  std::string socket_path;  ///< set: a unix socket; else host and port
  std::string host;
  std::uint16_t port = 6379;
  std::uint32_t database = 0;
  std::string user;
  std::string password;

  /// Refuses, with what would be right, anything but the two forms. Never repeats the password.
  [[nodiscard]] static Result<RedisUrl> parse(std::string_view text);

  /// For messages: without user and password.
  [[nodiscard]] std::string shown() const;
};

}  // namespace deja
