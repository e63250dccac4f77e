#include "tools/replay/http_client.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <charconv>
#include <cstring>

#include "ingest/http_request.h"

namespace deja {
namespace {

constexpr std::size_t kHeadBytesMax = 64 * 1024;
constexpr std::size_t kBodyBytesMax = 64 * 1024 * 1024;

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t group = 0;
    for (std::size_t byte = 0; byte < 3; ++byte) {
      group = group << 8U;
      if (at + byte < bytes.size()) group |= static_cast<unsigned char>(bytes[at + byte]);
    }
    for (std::size_t digit = 0; digit < 4; ++digit) {
      const bool there = at + digit <= bytes.size();
      text.push_back(there ? kDigits[(group >> (18 - 6 * digit)) & 63U] : '=');
    }
  }
  return text;
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

template <typename Number>
Number number_of(std::string_view text, Number otherwise) {
  Number number{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  return result.ec == std::errc{} ? number : otherwise;
}

void set_patience(const Descriptor& socket, int seconds) {
  const timeval patience{seconds, 0};
  setsockopt(socket.number(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(socket.number(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

Result<Descriptor> connect_unix(const std::string& path, int patience_s) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.size() >= sizeof name.sun_path) {
    return Error{"connect to unix:" + path + ": the path is too long", 0, "Give a shorter one"};
  }
  std::memcpy(name.sun_path, path.data(), path.size());
  Descriptor made(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  set_patience(made, patience_s);
  if (::connect(made.number(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
    return system_error("connect to unix:" + path, "Is the appliance serving? See deja stat");
  }
  return made;
}

Result<Descriptor> connect_tcp(const std::string& address, int patience_s) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) {
    return Error{"\"" + address + "\" is no address", 0, "Write HOST:PORT or unix:PATH"};
  }
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(host.c_str(), address.c_str() + colon + 1, &wanted, &found);
  if (code != 0) {
    return Error{"look up " + address + ": " + gai_strerror(code), 0, "Correct the address"};
  }
  Descriptor made;
  int reason = 0;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    made = Descriptor(socket(entry->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    set_patience(made, patience_s);
    if (::connect(made.number(), entry->ai_addr, entry->ai_addrlen) == 0) break;
    reason = errno;
    made.reset();
  }
  freeaddrinfo(found);
  if (!made.open()) {
    return Error{"connect to " + address, reason, "Is the appliance serving? See deja stat"};
  }
  const int on = 1;
  setsockopt(made.number(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return made;
}

}  // namespace

HttpClient::HttpClient(std::string address, const std::string& write_key, int patience_s)
    : address_(std::move(address)), patience_s_(patience_s) {
  if (!write_key.empty()) add_header("Authorization: Basic " + base64(write_key + ":"));
}

Status HttpClient::connect() {
  unread_.clear();
  auto made = address_.starts_with("unix:") ? connect_unix(address_.substr(5), patience_s_)
                                            : connect_tcp(address_, patience_s_);
  if (!made.ok()) return made.error();
  socket_ = std::move(made.value());
  return Done{};
}

Status HttpClient::send(std::string_view route, std::string_view body) {
  if (!socket_.open()) {
    if (Status connected = connect(); !connected.ok()) return connected;
  }
  std::string request = "POST ";
  request.append(route)
      .append(" HTTP/1.1\r\nHost: ")
      .append(address_.starts_with("unix:") ? "localhost" : address_);
  request.append("\r\nContent-Type: application/json\r\n").append(headers_);
  request.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n");
  request.append(body);
  std::string_view left = request;
  while (!left.empty()) {
    const ssize_t bytes = ::send(socket_.number(), left.data(), left.size(), MSG_NOSIGNAL);
    if (bytes < 0) {
      if (errno == EINTR) continue;
      const Error error = system_error("send to " + address_, "Is the appliance still serving?");
      disconnect();
      return error;
    }
    left.remove_prefix(static_cast<std::size_t>(bytes));
  }
  return Done{};
}

Result<HttpReply> HttpClient::receive() {
  const auto more = [this]() -> Status {
    char piece[16 * 1024];
    for (;;) {
      const ssize_t bytes = recv(socket_.number(), piece, sizeof piece, 0);
      if (bytes > 0) {
        unread_.append(piece, static_cast<std::size_t>(bytes));
        return Done{};
      }
      if (bytes < 0 && errno == EINTR) continue;
      const int reason = bytes == 0 ? 0 : errno;
      disconnect();
      return Error{"the connection to " + address_ + " ended before its answer", reason,
                   "Is the appliance still serving?"};
    }
  };
  std::size_t head_bytes = 0;
  while ((head_bytes = unread_.find("\r\n\r\n")) == std::string::npos) {
    if (unread_.size() > kHeadBytesMax) return Error{address_ + " does not speak HTTP", 0, ""};
    if (Status read = more(); !read.ok()) return read.error();
  }
  const std::string head = unread_.substr(0, head_bytes);
  if (!head.starts_with("HTTP/1.") || head.size() < 12) {
    return Error{address_ + " does not speak HTTP", 0, "Is --to the address of [listen] http?"};
  }
  HttpReply reply;
  reply.status = number_of(std::string_view(head).substr(9, 3), 0);
  std::size_t body_bytes = 0;
  for (std::size_t at = head.find("\r\n"); at != std::string::npos;) {
    const std::size_t end = head.find("\r\n", at + 2);
    const std::string_view line = std::string_view(head).substr(
        at + 2, end == std::string::npos ? std::string_view::npos : end - at - 2);
    at = end;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (equal_ignoring_case(name, "Content-Length")) {
      body_bytes = number_of<std::size_t>(value, kBodyBytesMax + 1);
    } else if (equal_ignoring_case(name, "Deja-Ack")) {
      reply.ack = value;
    } else if (equal_ignoring_case(name, "Deja-Token")) {
      reply.token = value;
    } else if (equal_ignoring_case(name, "Retry-After")) {
      reply.retry_after_s = number_of(value, 1);
    } else if (equal_ignoring_case(name, "Connection")) {
      reply.closes = equal_ignoring_case(value, "close");
    }
  }
  if (body_bytes > kBodyBytesMax) return Error{address_ + " answered with too much", 0, ""};
  while (unread_.size() < head_bytes + 4 + body_bytes) {
    if (Status read = more(); !read.ok()) return read.error();
  }
  reply.body = unread_.substr(head_bytes + 4, body_bytes);
  unread_.erase(0, head_bytes + 4 + body_bytes);
  if (reply.closes) disconnect();
  return reply;
}

}  // namespace deja
