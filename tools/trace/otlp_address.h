// Where an OTLP collector listens, as its users write it. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace deja {

struct OtlpAddress {
  std::string host_port;  ///< "127.0.0.1:4318", "[::1]:4318"
  std::string path;       ///< "/v1/traces"
};

/// "http://HOST[:PORT][/PATH]"; without them port 4318 and path /v1/traces, OTLP/HTTP's own.
/// Nothing where it is something else: in the clear only, no user, no query.
[[nodiscard]] std::optional<OtlpAddress> parse_otlp_address(std::string_view url);

}  // namespace deja
