// A real `deja serve` from the folder of the benchmark's program, on a scratch directory, with one
// stream on a unix socket, and where asked HTTP on loopback; stopped by its signal at the end. One
// thread.
#pragma once

#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "bench/support/servers.h"
#include "shm/place_lock.h"

namespace deja::bench {

struct ServerOptions {
  /// What follows the appliance's name and directory in the config, and all further tables but
  /// [listen] and [durability].
  std::string appliance;
  bool http = false;
  /// Where a scratch directory for the journal is made, and one for a private Redis beside it;
  /// empty: on tmpfs, with the rest.
  std::string journal_under;
};

class Server {
 public:
  explicit Server(const std::string& appliance) : Server(ServerOptions{appliance, false, ""}) {}
  explicit Server(const ServerOptions& options) {
    directory_ = scratch("/dev/shm");
    if (options.http) http_port_ = free_port();
    durable_ = options.journal_under.empty() ? directory_ : scratch(options.journal_under);
    std::ofstream(directory_ + "/bench.toml")
        << "[listen]\nhttp = \"" << (options.http ? "127.0.0.1:" + std::to_string(http_port_) : "")
        << "\"\nconsole = \"\"\nstream = [\"unix:" << socket()
        << "\"]\n[durability]\nack = \"applied\"\ndirectory = \"" << durable_
        << "/durable\"\n[appliance]\nname = \"bench\"\ndirectory = \"" << directory_ << "\"\n"
        << options.appliance;
    int ready[2];
    if (pipe(ready) != 0) give_up("no pipe");
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGTERM);
      close(ready[0]);
      const std::string deja =
          std::filesystem::read_symlink("/proc/self/exe").parent_path() / "deja";
      const std::string log = directory_ + "/log";
      if (freopen(log.c_str(), "w", stderr) == nullptr) _exit(126);
      if (freopen("/dev/null", "w", stdout) == nullptr) _exit(126);
      execl(deja.c_str(), "deja", "serve", "-c", (directory_ + "/bench.toml").c_str(), "--ready-fd",
            std::to_string(ready[1]).c_str(), nullptr);
      _exit(127);
    }
    close(ready[1]);
    char byte = 0;
    const bool is_ready = read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    if (!is_ready) {
      std::ifstream log(directory_ + "/log");
      std::fprintf(stderr, "%s\n", std::string(std::istreambuf_iterator<char>(log), {}).c_str());
      give_up("deja serve did not get ready");
    }
  }
  ~Server() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    std::filesystem::remove_all(directory_);
    std::filesystem::remove_all(durable_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] std::string socket() const { return directory_ + "/stream.sock"; }
  /// On 127.0.0.1.
  [[nodiscard]] std::uint16_t http_port() const { return http_port_; }
  /// The supervisor's; all others are its children.
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] std::string segment() const { return directory_ + "/deja-bench"; }
  /// The process that has a place now, "worker-0"; 0: nobody.
  [[nodiscard]] pid_t holder(const std::string& process) const {
    return PlaceLock::holder(segment() + "/" + place_file(process));
  }
  /// Ends all of it at once, where a stop would take long to flush what nobody wants.
  void kill_all() const {
    kill(pid_, SIGKILL);
    for (const char* process : {"ingest", "worker-0", "keeper"}) {
      if (const pid_t pid = holder(process); pid > 0) kill(pid, SIGKILL);
    }
  }

 private:
  static std::string scratch(const std::string& under) {
    std::string path = under + "/deja-bench-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) give_up("no scratch directory");
    return path;
  }
  static std::uint16_t free_port() {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (bind(descriptor, any, size) != 0 || getsockname(descriptor, any, &size) != 0) {
      give_up("no free port");
    }
    close(descriptor);
    return ntohs(address.sin_port);
  }

  std::uint16_t http_port_ = 0;
  std::string directory_;
  std::string durable_;
  pid_t pid_ = -1;
};

}  // namespace deja::bench
