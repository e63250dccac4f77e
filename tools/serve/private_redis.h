// The redis-server that an appliance has to itself where [redis] url = "local": on a unix socket
// alone, with its append-only file in the durability directory. The supervisor starts it before the
// keeper, or adopts the one of a supervisor that was killed, and stops it last. One thread.
//
// Two of them on one append-only file would spoil it, and Redis takes no lock. So it inherits one:
// an OFD lock belongs to the open file, and lives as long as the redis-server that has it open.
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

  /// The process that listens on the socket, as the kernel names it: whoever called listen(). 0: no
  /// process of this user's does.
  [[nodiscard]] pid_t serving_pid() const;
  /// What starts one. It inherits the lock on the directory: EAGAIN where a redis-server has it
  /// that does not answer yet, or does no longer.
  [[nodiscard]] Result<ChildCommand> command();
  /// Whether it answers PING (not while it still loads).
  [[nodiscard]] bool answers() const;
  /// The last lines it logged, for a sentence about its death.
  [[nodiscard]] std::string last_words() const;
  /// Its socket, pid file and lock, once it has ended.
  void remove_files() const;

 private:
  [[nodiscard]] Descriptor connect_to() const;
  [[nodiscard]] std::string ask(const char* command) const;
  std::string directory_;
  std::string socket_path_;
  Descriptor lock_;
};

}  // namespace deja
