#include "ingest/peer_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "ingest/http_request.h"

namespace deja {
namespace {

constexpr std::uint32_t kMappedBits = 96;  // of ::ffff:0:0

PeerAddress of_v4(const in_addr& address) {
  PeerAddress made;
  made.known = true;
  made.bytes[10] = made.bytes[11] = 0xff;
  std::memcpy(made.bytes.data() + 12, &address, sizeof address);
  return made;
}

PeerAddress of_v6(const in6_addr& address) {
  PeerAddress made;
  made.known = true;
  std::memcpy(made.bytes.data(), &address, sizeof address);
  return made;
}

bool is_v4(const PeerAddress& address) {
  constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(kMapped.begin(), kMapped.end(), address.bytes.begin());
}

std::optional<PeerAddress> parse_number(std::string_view text) {
  char copy[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof copy || text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  in_addr v4{};
  if (inet_pton(AF_INET, copy, &v4) == 1) return of_v4(v4);
  in6_addr v6{};
  if (inet_pton(AF_INET6, copy, &v6) == 1) return of_v6(v6);
  return std::nullopt;
}

bool is_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), port);
  return !text.empty() && parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

PeerAddress PeerAddress::of_socket(int descriptor) {
  sockaddr_storage peer{};
  socklen_t bytes = sizeof peer;
  if (getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &bytes) != 0) return {};
  if (peer.ss_family == AF_INET) return of_v4(reinterpret_cast<sockaddr_in*>(&peer)->sin_addr);
  if (peer.ss_family == AF_INET6) return of_v6(reinterpret_cast<sockaddr_in6*>(&peer)->sin6_addr);
  return {};
}

std::optional<PeerAddress> PeerAddress::parse(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && !(rest.front() == ':' && is_port(rest.substr(1)))) return std::nullopt;
    return parse_number(text.substr(1, end - 1));
  }
  const std::size_t colon = text.find(':');
  const bool has_port = colon != std::string_view::npos && text.find(':', colon + 1) == text.npos;
  if (has_port && !is_port(text.substr(colon + 1))) return std::nullopt;
  return parse_number(has_port ? text.substr(0, colon) : text);
}

PeerAddress PeerAddress::subscriber() const {
  PeerAddress network = *this;
  if (!is_v4(*this)) std::fill(network.bytes.begin() + 8, network.bytes.end(), std::uint8_t{0});
  return network;
}

std::optional<AddressRange> AddressRange::parse(std::string_view text) {
  AddressRange range;
  const std::size_t slash = text.find('/');
  const auto address = parse_number(text.substr(0, slash));
  if (!address) return std::nullopt;
  range.address = *address;
  if (slash == std::string_view::npos) return range;
  const std::string_view length = text.substr(slash + 1);
  const auto parsed =
      std::from_chars(length.data(), length.data() + length.size(), range.prefix_bits);
  const std::uint32_t most = is_v4(*address) ? 32 : 128;
  if (length.empty() || parsed.ec != std::errc{} || parsed.ptr != length.data() + length.size() ||
      range.prefix_bits > most) {
    return std::nullopt;
  }
  if (most == 32) range.prefix_bits += kMappedBits;
  return range;
}

bool AddressRange::contains(const PeerAddress& other) const {
  if (!other.known) return false;
  const std::size_t whole = prefix_bits / 8;
  if (std::memcmp(address.bytes.data(), other.bytes.data(), whole) != 0) return false;
  const std::uint32_t rest = prefix_bits % 8;
  if (rest == 0) return true;
  return (address.bytes[whole] ^ other.bytes[whole]) >> (8 - rest) == 0;
}

bool TrustedProxies::contains(const PeerAddress& address) const {
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [&](const AddressRange& range) { return range.contains(address); });
}

PeerAddress TrustedProxies::client_of(const PeerAddress& peer,
                                      std::span<const HttpHeader> headers) const {
  PeerAddress client = peer;
  if (!contains(peer)) return client;
  // Several headers of that name are one list, in their order.
  for (std::size_t at = headers.size(); at > 0; --at) {
    if (!equal_ignoring_case(headers[at - 1].name, "x-forwarded-for")) continue;
    std::string_view list = headers[at - 1].value;
    while (!list.empty()) {
      const std::size_t comma = list.rfind(',');
      const std::string_view hop =
          without_blanks(comma == std::string_view::npos ? list : list.substr(comma + 1));
      list = comma == std::string_view::npos ? std::string_view{} : list.substr(0, comma);
      const auto parsed = PeerAddress::parse(hop);
      if (!parsed) return client;  // nobody of ours wrote this: the hop behind it is the last known
      client = *parsed;
      if (!contains(client)) return client;
    }
  }
  return client;
}

}  // namespace deja
