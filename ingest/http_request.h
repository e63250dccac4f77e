// A request of HTTP/1.x as the parser hands it over. Views of the parser's memory: valid until it
// goes on to the next request. One thread; no allocation.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "ingest/peer_address.h"

namespace deja {

enum class HttpMethod : std::uint8_t {
  kGet,
  kHead,
  kPost,
  kPut,
  kDelete,
  kPatch,
  kOptions,
  kTrace,
  kConnect
};

struct HttpHeader {
  std::string_view name;
  std::string_view value;  ///< without white space around it
};

/// ASCII letters compare alike in either case.
[[nodiscard]] inline bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  for (std::size_t at = 0; at < a.size(); ++at) {
    if (lower(a[at]) != lower(b[at])) return false;
  }
  return true;
}

struct HttpRequest {
  HttpMethod method = HttpMethod::kGet;
  std::string_view target;  ///< as sent: path and query
  std::string_view path;    ///< not decoded
  std::string_view query;   ///< behind the '?', without it
  bool keep_alive = true;
  PeerAddress peer;  ///< who is connected: the client, or a proxy in front of it
  std::span<const HttpHeader> headers;
  /// Chunks joined, not decompressed. Followed by kHttpPaddingBytes bytes that may be read.
  std::span<const std::uint8_t> body;

  /// The first header of that name; empty where there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const {
    for (const HttpHeader& header : headers) {
      if (equal_ignoring_case(header.name, name)) return header.value;
    }
    return {};
  }
};

/// Readable memory behind a body: what vectorised readers want.
inline constexpr std::size_t kHttpPaddingBytes = 64;

/// Why a request can't be answered as asked: an HTTP status, a stable word and a sentence.
struct HttpFault {
  int status = 0;
  const char* code = nullptr;
  const char* message = nullptr;
};

}  // namespace deja
