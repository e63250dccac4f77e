#include "ingest/segment_auth.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include "ingest/http_request.h"

namespace deja {
namespace {

constexpr std::size_t kCredentialsBytesMax = 512;

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

/// Bytes written; 0 also where it is not base64 or too long.
std::size_t decode_base64(std::string_view text, std::array<char, kCredentialsBytesMax>& out) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  if (text.size() % 4 == 1 || text.size() / 4 * 3 + 3 > out.size()) return 0;
  std::uint32_t bits = 0;
  int bit_count = 0;
  std::size_t written = 0;
  for (const char c : text) {
    const int digit = base64_digit(c);
    if (digit < 0) return 0;
    bits = bits << 6U | static_cast<std::uint32_t>(digit);
    bit_count += 6;
    if (bit_count >= 8) {
      bit_count -= 8;
      out[written++] = static_cast<char>(bits >> static_cast<unsigned>(bit_count) & 0xffU);
    }
  }
  return written;
}

/// Looks at every byte of `given` whatever it finds: its time tells nothing about `key`.
bool equal_in_constant_time(std::string_view given, std::string_view key) {
  std::size_t difference = given.size() ^ key.size();
  for (std::size_t at = 0; at < given.size(); ++at) {
    const char other = key.empty() ? '\0' : key[at % key.size()];
    difference |= static_cast<unsigned char>(given[at]) ^ static_cast<unsigned char>(other);
  }
  return difference == 0;
}

}  // namespace

std::int32_t SegmentAuth::number_of(std::string_view key) const {
  // All of them, whatever was found: the time must not tell which one it is either.
  std::uint32_t found = 0;
  for (std::uint32_t number = 0; number < keys_.size(); ++number) {
    const auto same = static_cast<std::uint32_t>(equal_in_constant_time(key, keys_[number]));
    found += (number + 1 - found) * same;
  }
  return static_cast<std::int32_t>(found) - 1;
}

SegmentAuth::Checked SegmentAuth::check_header(std::string_view authorization) const {
  const std::size_t blank = authorization.find(' ');
  if (blank == std::string_view::npos ||
      !equal_ignoring_case(authorization.substr(0, blank), "basic")) {
    return {};
  }
  std::string_view coded = authorization.substr(blank + 1);
  while (!coded.empty() && coded.front() == ' ') coded.remove_prefix(1);
  std::array<char, kCredentialsBytesMax> memory;
  const std::string_view pair(memory.data(), decode_base64(coded, memory));
  const std::size_t colon = pair.find(':');
  const std::int32_t key = number_of(pair.substr(0, colon));
  return {open() || key >= 0 ? Header::kRight : Header::kWrong, key};
}

}  // namespace deja
