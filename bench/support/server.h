// A real `deja serve` from the folder of the benchmark's program, on a scratch directory, with one
// stream on a unix socket and, where asked, HTTP and the console on ports of loopback; stopped by
// its signal at the end. One thread.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
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
#include "bench/support/tmpfs.h"
#include "shm/place_lock.h"
#include "shm/segment.h"
#include "tools/serve/start_report.h"

namespace deja::bench {

struct ServerOptions {
  /// What follows the appliance's name and directory in the config, and all further tables but
  /// [listen] and [durability].
  std::string appliance;
  bool http = false;
  bool console = false;
  /// Where a scratch directory for the journal is made, and one for a private Redis beside it;
  /// empty: on tmpfs.
  std::string journal_under;
};

class Server {
 public:
  explicit Server(const std::string& appliance)
      : Server(ServerOptions{appliance, false, false, ""}) {}
  explicit Server(const ServerOptions& options) {
    directory_ = scratch(kSharedMemory);
    durable_ = scratch(options.journal_under.empty() ? file_memory() : options.journal_under);
    const auto port = [](bool wanted) { return wanted ? "127.0.0.1:0" : ""; };
    std::ofstream(directory_ + "/bench.toml")
        << "[listen]\nhttp = \"" << port(options.http) << "\"\nconsole = \""
        << port(options.console) << "\"\nstream = [\"unix:" << socket()
        << "\"]\n[durability]\nack = \"applied\"\ndirectory = \"" << durable_
        << "/durable\"\n[appliance]\nname = \"bench\"\ndirectory = \"" << directory_ << "\"\n"
        << options.appliance;
    start();
  }
  ~Server() {
    if (pid_ > 0) stop();
    end_private_redis();
    std::filesystem::remove_all(directory_);
    std::filesystem::remove_all(durable_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Once more, after stop() or kill_tree(); returns when it serves.
  void start() {
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

  /// As a person stops it: all is flushed, and nothing is served then.
  void stop() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  [[nodiscard]] std::string socket() const { return directory_ + "/stream.sock"; }
  /// On 127.0.0.1.
  [[nodiscard]] std::uint16_t http_port() const { return port_of(&StartReport::http); }
  [[nodiscard]] std::uint16_t console_port() const { return port_of(&StartReport::console); }
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
    for (const char* process : kProcesses) {
      if (const pid_t pid = holder(process); pid > 0) kill(pid, SIGKILL);
    }
  }
  /// Likewise, and all of it is gone when this returns: its segment is there still.
  void kill_tree() {
    kill_all();
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
    for (const char* process : kProcesses) {
      while (holder(process) > 0) usleep(100);
    }
  }

 private:
  static constexpr const char* kProcesses[] = {"ingest", "worker-0", "keeper", "console"};

  [[nodiscard]] std::uint16_t port_of(std::string StartReport::*listener) const {
    const auto segment_now = Segment::open(segment());
    if (!segment_now.ok()) give_up("the appliance has no segment");
    const auto report = StartReport::read(segment_now->path("report"));
    if (!report.ok()) give_up("the appliance did not say where it listens");
    const std::string& address = (*report).*listener;
    return static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
  }
  /// One whose supervisor was killed lives on, for a successor to take over.
  void end_private_redis() const {
    const std::string socket = durable_ + "/durable/redis.sock";
    for (const auto& process : std::filesystem::directory_iterator("/proc")) {
      std::ifstream file(process.path() / "cmdline");
      const std::string command(std::istreambuf_iterator<char>(file), {});
      if (command.find(socket) == std::string::npos) continue;
      if (const int pid = std::atoi(process.path().filename().c_str()); pid > 1) kill(pid, SIGKILL);
    }
  }
  static std::string scratch(const std::string& under) {
    std::string path = under + "/deja-bench-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) give_up("no scratch directory");
    return path;
  }

  std::string directory_;
  std::string durable_;
  pid_t pid_ = -1;
};

}  // namespace deja::bench
