// Who is at the other end of a connection, as limits want to know it: an address without its port,
// IPv4 in its place within IPv6. And which of them are proxies of ours, whose word about the client
// behind them counts. Values; any thread; no allocation but where ranges are collected.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace deja {

struct HttpHeader;

struct PeerAddress {
  bool known = false;                  ///< false: a unix socket, or nobody could say
  std::array<std::uint8_t, 16> bytes;  ///< IPv6; IPv4 as ::ffff:a.b.c.d

  PeerAddress() : bytes{} {}
  /// Of a connected socket.
  [[nodiscard]] static PeerAddress of_socket(int descriptor);
  /// "192.0.2.1", "192.0.2.1:5", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:5".
  [[nodiscard]] static std::optional<PeerAddress> parse(std::string_view text);
  /// What one subscriber has to itself: an IPv4 address, an IPv6 network of 64 bits. A limit on
  /// single IPv6 addresses would be none.
  [[nodiscard]] PeerAddress subscriber() const;

  bool operator==(const PeerAddress&) const = default;
};

/// "10.0.0.0/8", "2001:db8::/32"; without a length one address.
struct AddressRange {
  PeerAddress address;
  std::uint32_t prefix_bits = 128;  ///< of the IPv6 form

  [[nodiscard]] static std::optional<AddressRange> parse(std::string_view text);
  [[nodiscard]] bool contains(const PeerAddress& other) const;
};

class TrustedProxies {
 public:
  void add(const AddressRange& range) { ranges_.push_back(range); }
  [[nodiscard]] bool contains(const PeerAddress& address) const;

  /// Who sent a request. A peer that is no proxy of ours is believed nothing: it is the client.
  /// Else X-Forwarded-For is read from its end, where our proxies have written, to the first hop
  /// that is none of them; what stands before that anybody may have made up.
  [[nodiscard]] PeerAddress client_of(const PeerAddress& peer,
                                      std::span<const HttpHeader> headers) const;

 private:
  std::vector<AddressRange> ranges_;
};

}  // namespace deja
