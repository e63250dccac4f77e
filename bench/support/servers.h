// A peer's daemon of the benchmark's own: started in a scratch directory, pinned where asked, ended
// by its pid. One thread.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "shm/base/affinity.h"
#include "shm/base/descriptor.h"

namespace deja::bench {

[[noreturn]] inline void give_up(const char* what) {
  std::fprintf(stderr, "bench: %s\n", what);
  std::exit(1);
}

/// "@" in an argument becomes the scratch directory.
class PeerServer {
 public:
  PeerServer(std::vector<std::string> arguments, const std::string& socket, int core = -1)
      : PeerServer("/tmp", std::move(arguments), socket, core) {}
  PeerServer(const std::string& where, std::vector<std::string> arguments,
             const std::string& socket, int core) {
    std::string path = where + "/deja-bench-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) give_up("no scratch directory");
    directory_ = path;
    socket_ = directory_ + "/" + socket;
    std::vector<char*> pointers;
    for (std::string& argument : arguments) {
      if (const std::size_t at = argument.find('@'); at != std::string::npos) {
        argument.replace(at, 1, directory_);
      }
      pointers.push_back(argument.data());
    }
    pointers.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (core >= 0 && pin_this_thread(core) != 0) _exit(126);
      const int log = open((directory_ + "/log").c_str(), O_CREAT | O_WRONLY, 0600);
      dup2(log, STDOUT_FILENO);
      dup2(log, STDERR_FILENO);
      execvp(pointers[0], pointers.data());
      _exit(127);
    }
    bool runs = false;
    for (int attempt = 0; attempt < 1000 && !runs; ++attempt) {
      if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
        pid_ = -1;
        break;
      }
      usleep(10'000);
      runs = is_up();
    }
    if (!runs) {
      std::fprintf(stderr, "bench: %s did not start; is it installed?\n", arguments[0].c_str());
      std::exit(1);
    }
  }
  ~PeerServer() {
    if (pid_ > 0) {
      kill(pid_, SIGTERM);
      waitpid(pid_, nullptr, 0);
    }
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  PeerServer(const PeerServer&) = delete;
  PeerServer& operator=(const PeerServer&) = delete;

  void move_to(int core) const {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(core), &set);
    // All its threads: memcached has several.
    for (const auto& task :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/task")) {
      const pid_t thread = std::atoi(task.path().filename().c_str());
      if (sched_setaffinity(thread, sizeof set, &set) != 0) give_up("can't pin a peer");
    }
  }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] const std::string& socket() const { return socket_; }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  /// Whether its file is there; a socket's is before it listens.
  [[nodiscard]] bool is_up() const {
    std::error_code ignored;
    if (!std::filesystem::is_socket(socket_, ignored)) return std::filesystem::exists(socket_);
    const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, socket_.c_str(),
                std::min(socket_.size(), sizeof address.sun_path - 1));
    return connect(probe.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
           0;
  }

  std::string directory_;
  std::string socket_;
  pid_t pid_ = -1;
};

}  // namespace deja::bench
