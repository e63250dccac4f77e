// Everybody who watches an appliance at once, as on a host that is looked after: a scraper that
// takes /metrics each second, `deja top` in a terminal of 80 × 24, and `deja trace` of one event in
// a hundred. They run from construction to destruction. Made and ended by one thread.
#pragma once

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "bench/support/client_socket.h"
#include "bench/support/process_cpu.h"
#include "bench/support/server.h"
#include "ring/trace_layout.h"
#include "shm/segment.h"

namespace deja::bench {

enum class Output : std::uint8_t { kTerminal, kPipe };

/// A verb of `deja` whose output is read by a thread that counts its lines.
class WatchingVerb {
 public:
  WatchingVerb(const Server& server, Output output, std::vector<std::string> arguments) {
    const std::string deja = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "deja";
    arguments.insert(arguments.begin(), deja);
    arguments.insert(arguments.end(), {"--name", "bench", "--directory", server.directory()});
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    pid_ = output == Output::kTerminal ? fork_on_terminal() : fork_on_pipe();
    if (pid_ < 0) give_up("can't start who watches");
    if (pid_ == 0) {
      setenv("TERM", "xterm", 1);
      execv(deja.c_str(), pointers.data());
      _exit(127);
    }
    reader_ = std::thread([this] {
      char bytes[64 * 1024];
      for (ssize_t count = 0; (count = read(output_, bytes, sizeof bytes)) > 0;) {
        shown_lines_ += static_cast<std::uint64_t>(std::count(bytes, bytes + count, '\n'));
      }
    });
  }
  ~WatchingVerb() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    reader_.join();  // its output has ended
    close(output_);
  }
  WatchingVerb(const WatchingVerb&) = delete;
  WatchingVerb& operator=(const WatchingVerb&) = delete;
  [[nodiscard]] std::uint64_t shown_lines() const { return shown_lines_; }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t fork_on_terminal() {
    winsize size{24, 80, 0, 0};
    return forkpty(&output_, nullptr, nullptr, &size);
  }
  pid_t fork_on_pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    const pid_t pid = fork();
    if (pid == 0) dup2(ends[1], STDOUT_FILENO);
    close(ends[1]);
    output_ = ends[0];
    return pid;
  }

  pid_t pid_ = -1;
  int output_ = -1;
  std::atomic<std::uint64_t> shown_lines_ = 0;
  std::thread reader_;
};

/// GET /metrics now and then each second, each over a connection of its own.
class Scraper {
 public:
  explicit Scraper(std::uint16_t port) : thread_([this, port] { run(port); }) {}
  ~Scraper() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  Scraper(const Scraper&) = delete;
  Scraper& operator=(const Scraper&) = delete;
  [[nodiscard]] std::uint64_t scraped() const { return scraped_; }

 private:
  void run(std::uint16_t port) {
    std::unique_lock lock(mutex_);
    while (!ending_) {
      const ClientSocket socket(port);
      socket.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
      std::string answer;
      char bytes[16 * 1024];
      for (ssize_t count = 0; (count = recv(socket.descriptor(), bytes, sizeof bytes, 0)) > 0;) {
        answer.append(bytes, static_cast<std::size_t>(count));
      }
      if (!answer.starts_with("HTTP/1.1 200 ")) give_up("the console gave no metrics");
      ++scraped_;
      wake_.wait_for(lock, std::chrono::seconds(1), [this] { return ending_; });
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  std::atomic<std::uint64_t> scraped_ = 0;
  std::thread thread_;
};

class Observers {
 public:
  explicit Observers(const Server& server)
      : console_(server.holder("console")),
        scraper_(server.console_port()),
        top_(server, Output::kTerminal, {"top"}),
        trace_(server, Output::kPipe, {"trace", "--sample", "0.01", "--json", "--wait", kTold}) {
    const auto segment = Segment::open(server.segment());
    if (!segment.ok()) give_up("the appliance has no segment");
    const auto control = segment->map(kTraceControlFile, MappedFile::Mode::kReadOnly);
    if (!control.ok()) give_up("nothing to trace by");
    const auto& until_ns = control->at<const TraceControlLayout>()->until_ns;
    while (scraper_.scraped() == 0 || top_.shown_lines() == 0 || until_ns == 0) usleep(10'000);
  }
  /// Events whose story `deja trace` has told, once all of them must be.
  [[nodiscard]] std::uint64_t traced() const {
    usleep(500'000);
    return trace_.shown_lines();
  }
  /// What each has had of the cores so far.
  [[nodiscard]] std::map<std::string, std::uint64_t> cpu_ns() const {
    return {{"/metrics", cpu_ns_of_process(console_)},
            {"deja top", cpu_ns_of_process(top_.pid())},
            {"deja trace", cpu_ns_of_process(trace_.pid())}};
  }

 private:
  // After how long a story is told that is not at its end: nothing is flushed here. Longer, and a
  // ring's 1,024 slots are too few for a hundredth of what comes.
  static constexpr const char* kTold = "50ms";

  pid_t console_;
  Scraper scraper_;
  WatchingVerb top_;
  WatchingVerb trace_;
};

}  // namespace deja::bench
