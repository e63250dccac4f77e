#include "tools/config/listen_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstring>
#include <optional>
#include <system_error>

namespace deja {
namespace {

constexpr std::size_t kUnixPathBytesMax = sizeof(sockaddr_un{}.sun_path) - 1;

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, fault] = std::from_chars(text.data(), end, port);
  if (text.empty() || fault != std::errc{} || stopped != end) return std::nullopt;
  return port;
}

std::variant<ListenAddress, std::string> parse_unix(std::string_view text, std::string_view path) {
  if (path.empty() || path.front() != '/') return "write an absolute path: \"unix:/run/...\"";
  if (path.size() > kUnixPathBytesMax || path.find('\0') != std::string_view::npos) {
    return "a socket's path has at most " + std::to_string(kUnixPathBytesMax) + " bytes";
  }
  return ListenAddress{AddressKind::kUnix, std::string(text), std::string(path), 0, true};
}

}  // namespace

std::variant<ListenAddress, std::string> parse_listen_address(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix)) return parse_unix(text, text.substr(kUnix.size()));
  const std::string example = "write \"127.0.0.1:8080\", \"[::1]:8080\" or \"unix:/path\"";
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return example;
  const std::optional<std::uint16_t> port = parse_port(text.substr(colon + 1));
  if (!port) return "a port is 0 to 65535 (0: any free one); " + example;
  std::string_view host = text.substr(0, colon);
  ListenAddress address{AddressKind::kTcp4, std::string(text), {}, *port, false};
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    in6_addr number{};
    address.host = host;
    address.kind = AddressKind::kTcp6;
    if (inet_pton(AF_INET6, address.host.c_str(), &number) != 1) return example;
    address.is_local = IN6_IS_ADDR_LOOPBACK(&number) != 0;
    return address;
  }
  in_addr number{};
  address.host = host;
  const std::string port_text = std::to_string(*port);
  if (host == "localhost") return "write the number: \"127.0.0.1:" + port_text + "\"";
  if (host.empty() || host == "*") {
    return "write \"127.0.0.1:" + port_text + "\", or \"0.0.0.0:" + port_text +
           "\" for every interface";
  }
  if (inet_pton(AF_INET, address.host.c_str(), &number) != 1) return example;
  address.is_local = (ntohl(number.s_addr) >> 24U) == 127;
  return address;
}

}  // namespace deja
