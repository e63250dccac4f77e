// The W3C's `traceparent` (Trace Context, Recommendation of 23 November 2021): which trace a
// request belongs to, and whether its sender records it. What can't be read is none, as the
// standard asks: the request is served all the same. Pure; no allocation; any thread.
//
//   00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//   version, trace id, the sender's span, flags: lower-case hexadecimal
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "ingest/http_request.h"

namespace deja {

struct TraceContext {
  std::uint64_t trace_high = 0;  ///< of the trace's 128 bits
  std::uint64_t trace_low = 0;
  std::uint64_t parent = 0;  ///< 0: there is no context
  bool sampled = false;      ///< the sender records it, and asks others to
};

/// The header's value. A version from 01 on may say more behind the flags, which is passed over;
/// version ff, ids of nothing but zeroes and anything that is not to the letter are no context.
[[nodiscard]] TraceContext read_traceparent(std::string_view text);

/// That of a request; none where the header is there twice, since nobody can tell which is right.
[[nodiscard]] TraceContext trace_context_of(std::span<const HttpHeader> headers);

}  // namespace deja
