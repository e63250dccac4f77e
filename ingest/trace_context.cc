#include "ingest/trace_context.h"

#include <optional>

namespace deja {
namespace {

/// Up to 16 digits, and lower-case ones alone.
std::optional<std::uint64_t> read_hex(std::string_view digits) {
  std::uint64_t number = 0;
  for (const char digit : digits) {
    if (digit >= '0' && digit <= '9') {
      number = number << 4U | static_cast<std::uint64_t>(digit - '0');
    } else if (digit >= 'a' && digit <= 'f') {
      number = number << 4U | static_cast<std::uint64_t>(digit - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  return number;
}

}  // namespace

TraceContext read_traceparent(std::string_view text) {
  constexpr std::size_t kBytes = 55;
  constexpr std::uint64_t kSampled = 1;
  if (text.size() < kBytes || text[2] != '-' || text[35] != '-' || text[52] != '-') return {};
  const auto version = read_hex(text.substr(0, 2));
  const auto high = read_hex(text.substr(3, 16));
  const auto low = read_hex(text.substr(19, 16));
  const auto parent = read_hex(text.substr(36, 16));
  const auto flags = read_hex(text.substr(53, 2));
  if (!version || !high || !low || !parent || !flags) return {};
  if (*version == 0xff || (*high | *low) == 0 || *parent == 0) return {};
  if (text.size() > kBytes && (*version == 0 || text[kBytes] != '-')) return {};
  return {*high, *low, *parent, (*flags & kSampled) != 0};
}

TraceContext trace_context_of(std::span<const HttpHeader> headers) {
  const HttpHeader* found = nullptr;
  for (const HttpHeader& header : headers) {
    if (!equal_ignoring_case(header.name, "traceparent")) continue;
    if (found != nullptr) return {};
    found = &header;
  }
  return found == nullptr ? TraceContext{} : read_traceparent(found->value);
}

}  // namespace deja
