// The head of a request, from its bytes to an HttpRequest and what its body will look like.
// Stricter than RFC 9112 asks wherever two readers could come to different ends: no bare CR or LF,
// no NUL, no white space before a colon, no folded line, one Host, one length, no length beside a
// transfer coding, no coding but chunked. llhttp (its home) reads the head as well, and a head that
// the two do not agree about is refused. Pure; no allocation.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "ingest/http_request.h"

namespace deja {

inline constexpr std::size_t kHttpHeadersMax = 100;

struct HttpHead {
  HttpRequest request;
  std::array<HttpHeader, kHttpHeadersMax> headers;
  bool chunked = false;
  std::uint64_t content_bytes = 0;
  bool expects_continue = false;
};

/// Reads a whole head, from its first byte to the empty line's CR LF, in which every line is known
/// to end in CR LF. `fault.status` is 0 when all is well. On a fault nothing else counts.
[[nodiscard]] HttpFault read_http_head(std::string_view bytes, HttpHead& head);

}  // namespace deja
