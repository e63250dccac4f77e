// The peer: a nats-server of the benchmark's own on loopback, with JetStream's store where asked,
// and a client that speaks its text protocol (docs.nats.io, "Client Protocol"): publishes with a
// bounded number of acks outstanding. One thread.
#pragma once

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "bench/support/client_socket.h"
#include "bench/support/servers.h"

namespace deja::bench {

class NatsPeer {
 public:
  /// The store lies under `where`, on a disk.
  explicit NatsPeer(const std::string& where)
      : server_(where,
                {"nats-server", "-js", "-sd", "@/store", "-a", "127.0.0.1", "-p", "-1",
                 "--ports_file_dir", "@", "-P", "@/nats.pid"},
                "nats.pid", -1) {
    for (int attempt = 0; port_ == 0 && attempt < 500; ++attempt) {
      find_port();
      if (port_ == 0) usleep(10'000);
    }
    if (port_ == 0) give_up("nats-server listens nowhere");
  }

  /// From now on every write into the store is on the disk before it returns. Debian's nats-server
  /// knows no "sync before the ack", so the file system is told: by the attribute that new files
  /// have from their directory (chattr +S). False: this file system can't.
  [[nodiscard]] bool write_through() const {
    std::filesystem::create_directories(server_.directory() + "/store");
    bool all = marked(server_.directory() + "/store");
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(server_.directory() + "/store")) {
      if (entry.is_directory() || entry.is_regular_file()) all = marked(entry.path()) && all;
    }
    return all;
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const PeerServer& server() const { return server_; }

 private:
  static bool marked(const std::string& path) {
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return false;
    int flags = 0;
    bool done = ioctl(descriptor, FS_IOC_GETFLAGS, &flags) == 0;
    flags |= FS_SYNC_FL;
    done = done && ioctl(descriptor, FS_IOC_SETFLAGS, &flags) == 0;
    close(descriptor);
    return done;
  }
  void find_port() {
    for (const auto& entry : std::filesystem::directory_iterator(server_.directory())) {
      if (entry.path().extension() != ".ports") continue;
      std::ifstream file(entry.path());
      const std::string text(std::istreambuf_iterator<char>(file), {});
      static constexpr std::string_view kStart = "nats://127.0.0.1:";
      const std::size_t at = text.find(kStart);
      if (at == std::string::npos) continue;
      std::from_chars(text.data() + at + kStart.size(), text.data() + text.size(), port_);
    }
  }

  PeerServer server_;
  std::uint16_t port_ = 0;
};

class NatsClient {
 public:
  explicit NatsClient(const NatsPeer& peer) : socket_(peer.port()) {
    say("CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n");
    while (!ponged_) read_some();
  }
  void say(std::string_view text) const { socket_.send(text); }
  /// All that was sent before has been read.
  void ping() {
    ponged_ = false;
    say("PING\r\n");
    while (!ponged_) read_some();
  }
  void subscribe(const std::string& subject) { say("SUB " + subject + " 1\r\n"); }
  /// A stream that keeps `subject` in a file.
  void make_stream(const std::string& subject) {
    const std::string body =
        R"({"name":")" + subject + R"(","subjects":[")" + subject +
        R"("],"storage":"file","retention":"limits","num_replicas":1,"duplicate_window":0})";
    subscribe("_INBOX.bench.*");
    const std::uint64_t before = messages_;
    say("PUB $JS.API.STREAM.CREATE." + subject + " _INBOX.bench.1 " + std::to_string(body.size()) +
        "\r\n" + body + "\r\n");
    while (messages_ == before) read_some();
  }
  /// Publishes so often, at most `in_flight` of them not acked, and waits for the last ack.
  void publish_acked(const std::string& subject, const std::string& payload, std::uint64_t count,
                     std::uint64_t in_flight) {
    const std::string publication = "PUB " + subject + " _INBOX.bench.2 " +
                                    std::to_string(payload.size()) + "\r\n" + payload + "\r\n";
    const std::uint64_t chunk = std::min<std::uint64_t>(64, in_flight);
    std::string chunk_text;
    for (std::uint64_t at = 0; at < chunk; ++at) chunk_text += publication;
    const std::uint64_t before = messages_;
    for (std::uint64_t sent = 0; sent < count;) {
      while (sent + chunk - (messages_ - before) > in_flight) read_some();
      const std::uint64_t now = std::min(chunk, count - sent);
      say(std::string_view(chunk_text).substr(0, now * publication.size()));
      sent += now;
    }
    while (messages_ - before < count) read_some();
  }
  /// Publishes so often, and no more is heard of it than that all was read.
  void publish(const std::string& subject, const std::string& payload, std::uint64_t count) {
    std::string chunk;
    for (int at = 0; at < 256; ++at) {
      chunk += "PUB " + subject + " " + std::to_string(payload.size()) + "\r\n" + payload + "\r\n";
    }
    for (std::uint64_t sent = 0; sent < count; sent += 256) say(chunk);
    ping();
  }
  /// Until so many messages came in all.
  void read_until(std::uint64_t messages) {
    while (messages_ < messages) read_some();
  }
  [[nodiscard]] std::uint64_t messages() const { return messages_; }

 private:
  void read_some() {
    held_ += socket_.receive(received_ + held_, sizeof received_ - held_);
    std::string_view rest(received_, held_);
    while (take_one(rest)) {
    }
    std::memmove(received_, rest.data(), rest.size());
    held_ = rest.size();
  }
  /// False: there is no whole one.
  bool take_one(std::string_view& rest) {
    const std::size_t end = rest.find("\r\n");
    if (end == rest.npos) return false;
    const std::string_view line = rest.substr(0, end);
    std::size_t used = end + 2;
    if (line.starts_with("MSG ")) {
      std::size_t payload = 0;
      const std::string_view digits = line.substr(line.rfind(' ') + 1);
      std::from_chars(digits.data(), digits.data() + digits.size(), payload);
      if (rest.size() < used + payload + 2) return false;
      ++messages_;
      const std::string_view message = rest.substr(used, payload);
      if (message.find("\"error\"") != message.npos) give_up(std::string(message).c_str());
      used += payload + 2;
    } else if (line.starts_with("PING")) {
      say("PONG\r\n");
    } else if (line.starts_with("PONG")) {
      ponged_ = true;
    } else if (line.starts_with("-ERR")) {
      give_up(std::string(line).c_str());
    }
    rest.remove_prefix(used);
    return true;
  }

  ClientSocket socket_;
  char received_[256 * 1024];
  std::size_t held_ = 0;
  std::uint64_t messages_ = 0;
  bool ponged_ = false;
};

}  // namespace deja::bench
