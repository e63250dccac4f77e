// A redis-server of a test's own: on a unix socket in a directory of its own, stopped by its pid
// when the test ends, whatever happened. One thread.
//
//   RedisServer redis;
//   if (!redis.installed()) { … GTEST_SKIP() … }        // SKIP_WITHOUT_REDIS() does it
//   redis.start();
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace deja {

class RedisServer {
 public:
  RedisServer() {
    char path[] = "/tmp/deja-redis-XXXXXX";
    if (mkdtemp(path) != nullptr) directory_ = path;
  }
  ~RedisServer() {
    stop();
    std::filesystem::remove_all(directory_);
  }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  [[nodiscard]] static bool installed() {
    return std::system("command -v redis-server redis-cli >/dev/null 2>&1") == 0;  // NOLINT
  }

  /// Starts it, with its append-only file in the directory, and waits until it takes connections.
  /// Started again it has what it had. `options`: {"--maxmemory", "3mb"}.
  [[nodiscard]] bool start(const std::vector<std::string>& options = {}) {
    std::vector<std::string> words = {"redis-server",
                                      "--port",
                                      "0",
                                      "--unixsocket",
                                      socket(),
                                      "--dir",
                                      directory_,
                                      "--appendonly",
                                      "yes",
                                      "--save",
                                      "",
                                      "--appendfsync",
                                      "no",
                                      "--logfile",
                                      directory_ + "/log",
                                      "--enable-debug-command",
                                      "local"};
    words.insert(words.end(), options.begin(), options.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      execvp(arguments[0], arguments.data());
      _exit(127);
    }
    for (int attempt = 0; attempt < 2000; ++attempt) {
      if (answers()) return true;
      usleep(5000);
    }
    return false;
  }

  /// SIGKILL: what is in its append-only file stays.
  void stop() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
    unlink(socket().c_str());
  }
  /// Copies what a stopped one has, and puts it back.
  void keep_data(const std::string& to) const { copy(directory_ + "/appendonlydir", to); }
  void bring_data(const std::string& from) const { copy(from, directory_ + "/appendonlydir"); }
  void pause() const { kill(pid_, SIGSTOP); }
  void resume() const { kill(pid_, SIGCONT); }

  [[nodiscard]] std::string socket() const { return directory_ + "/redis.sock"; }
  [[nodiscard]] std::string url() const { return "unix://" + socket(); }

  /// What redis-cli prints for the command; `command` is a shell's text.
  std::string cli(const std::string& command) const {
    std::string output;
    const std::string line = "redis-cli -s " + socket() + " " + command + " 2>&1";
    FILE* pipe = popen(line.c_str(), "r");
    if (pipe == nullptr) return "popen failed";
    char buffer[4096];
    for (std::size_t bytes = 0; (bytes = fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
      output.append(buffer, bytes);
    }
    pclose(pipe);
    if (output.ends_with('\n')) output.pop_back();
    return output;
  }

 private:
  static void copy(const std::string& from, const std::string& to) {
    std::filesystem::remove_all(to);
    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
  }
  [[nodiscard]] bool answers() const {
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket().copy(address.sun_path, sizeof address.sun_path - 1);
    bool ready = connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    char answer[8] = {};
    // "-LOADING" is an answer too, but not yet the one wanted; "-NOAUTH" will do.
    ready = ready && send(descriptor, "PING\r\n", 6, MSG_NOSIGNAL) == 6 &&
            recv(descriptor, answer, sizeof answer, 0) > 1 &&
            (answer[0] == '+' || answer[1] == 'N');
    close(descriptor);
    return ready;
  }

  std::string directory_;
  pid_t pid_ = -1;
};

}  // namespace deja

/// In a test's body. In CI a missing redis-server is a failure, not a reason to skip.
#define SKIP_WITHOUT_REDIS()                                             \
  if (!::deja::RedisServer::installed()) {                               \
    const char* ci = std::getenv("CI");                                  \
    if (ci != nullptr && std::string(ci) == "true") {                    \
      FAIL() << "redis-server and redis-cli are not installed";          \
    }                                                                    \
    GTEST_SKIP() << "skipped: redis-server or redis-cli is not on PATH"; \
  }                                                                      \
  static_assert(true)
