// An address to listen on, as a config has it: "127.0.0.1:8080", "[::1]:8080", "unix:/run/x.sock".
// No names: what is listened on must not depend on a resolver. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace deja {

enum class AddressKind : std::uint8_t { kTcp4, kTcp6, kUnix };

struct ListenAddress {
  AddressKind kind = AddressKind::kTcp4;
  std::string text;        ///< as written
  std::string host;        ///< the number without brackets; kUnix: the path
  std::uint16_t port = 0;  ///< 0: any that is free
  bool is_local = false;   ///< loopback or unix: reachable from this host only
};

/// The address, or what would be right instead ("write the number: 127.0.0.1:8080").
[[nodiscard]] std::variant<ListenAddress, std::string> parse_listen_address(std::string_view text);

}  // namespace deja
