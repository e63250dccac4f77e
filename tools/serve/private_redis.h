// The redis-server that an appliance has to itself where [redis] url = "local": on a unix socket
// alone, with its append-only file in the durability directory. The supervisor starts it before the
// keeper and stops it last. One thread.
#pragma once

#include <string>

#include "shm/base/result.h"
#include "tools/serve/child.h"

namespace deja {

class PrivateRedis {
 public:
  /// `durability_directory` exists and is ours. Its path may be too long for a socket: then the
  /// socket lies in `fallback_directory`.
  PrivateRedis(std::string durability_directory, const std::string& fallback_directory);

  [[nodiscard]] std::string url() const { return "unix://" + socket_path_; }
  [[nodiscard]] const std::string& socket_path() const { return socket_path_; }

  /// Waits for the one of a killed supervisor to end.
  Status wait_until_gone() const;
  [[nodiscard]] ChildCommand command() const;
  /// Whether it answers PING (not while it still loads).
  [[nodiscard]] bool answers() const;
  /// The last lines it logged, for a sentence about its death.
  [[nodiscard]] std::string last_words() const;
  /// Its socket and pid file, once it has ended.
  void remove_files() const;

 private:
  [[nodiscard]] std::string ask(const char* command) const;
  std::string directory_;
  std::string socket_path_;
};

}  // namespace deja
