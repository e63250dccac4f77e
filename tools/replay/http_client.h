// A keep-alive connection to an HTTP server, blocking, with the request and the answer apart: so
// that several connections can have one request each under way. Only what Deja's own server
// answers is understood (Content-Length). One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "shm/base/descriptor.h"
#include "shm/base/result.h"

namespace deja {

struct HttpReply {
  int status = 0;
  std::string ack;        ///< Deja-Ack
  std::string token;      ///< Deja-Token
  int retry_after_s = 0;  ///< Retry-After, 0: none
  bool closes = false;
  std::string body;
};

class HttpClient {
 public:
  /// "127.0.0.1:8080", "[::1]:8080", "shop.example:8080" or "unix:/path". `patience_s`: for each
  /// connecting, and each piece sent or received.
  HttpClient(std::string address, const std::string& write_key, int patience_s = 60);

  /// A line of every request from now on, without its end.
  void add_header(const std::string& line) { headers_ += line + "\r\n"; }

  /// Connects where it is not, and sends a whole POST.
  Status send(std::string_view route, std::string_view body);
  /// Reads the answer of the one before.
  [[nodiscard]] Result<HttpReply> receive();
  void disconnect() {
    socket_.reset();
    unread_.clear();
  }

 private:
  Status connect();
  std::string address_;
  int patience_s_;
  std::string headers_;  ///< lines of every request, with their ends
  Descriptor socket_;
  std::string unread_;
};

}  // namespace deja
