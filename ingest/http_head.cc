#include "ingest/http_head.h"

#include <llhttp.h>

#include <algorithm>
#include <utility>

namespace deja {
namespace {

constexpr HttpFault kFine{};

constexpr std::pair<std::string_view, HttpMethod> kMethods[] = {
    {"GET", HttpMethod::kGet},         {"HEAD", HttpMethod::kHead},
    {"POST", HttpMethod::kPost},       {"PUT", HttpMethod::kPut},
    {"DELETE", HttpMethod::kDelete},   {"PATCH", HttpMethod::kPatch},
    {"OPTIONS", HttpMethod::kOptions}, {"TRACE", HttpMethod::kTrace},
    {"CONNECT", HttpMethod::kConnect}};

/// A character of a token (RFC 9110, 5.6.2).
bool is_token_character(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_character);
}

std::string_view without_space_around(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Takes the line before the next CR LF.
std::string_view take_line(std::string_view& bytes) {
  const std::size_t end = bytes.find("\r\n");
  const std::string_view line = bytes.substr(0, end);
  bytes.remove_prefix(std::min(bytes.size(), line.size() + 2));
  return line;
}

HttpFault read_version(std::string_view version, int& minor) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (version.size() != 8 || !version.starts_with("HTTP/") || !digit(version[5]) ||
      version[6] != '.' || !digit(version[7])) {
    return {400, "bad_request_line", "a request line is a method, a path and HTTP/1.1"};
  }
  minor = version[7] - '0';
  if (version[5] != '1' || minor > 1) {
    return {505, "bad_version", "this server speaks HTTP/1.1 and HTTP/1.0"};
  }
  return kFine;
}

HttpFault read_request_line(std::string_view line, HttpRequest& request, int& minor) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return {400, "bad_request_line", "a request line is a method, a path and HTTP/1.1"};
  }
  const std::string_view method = line.substr(0, first);
  request.target = line.substr(first + 1, last - first - 1);
  if (!is_token(method)) {
    return {400, "bad_request_line", "a request line is a method, a path and HTTP/1.1"};
  }
  if (const HttpFault fault = read_version(line.substr(last + 1), minor); fault.status != 0) {
    return fault;
  }
  const auto* known = std::find_if(std::begin(kMethods), std::end(kMethods),
                                   [&](const auto& entry) { return entry.first == method; });
  if (known == std::end(kMethods)) {
    return {501, "unknown_method", "this server does not know the method"};
  }
  request.method = known->second;
  const bool asterisk = request.target == "*" && request.method == HttpMethod::kOptions;
  const bool plain = std::all_of(request.target.begin(), request.target.end(),
                                 [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
  if (!plain || request.target.empty() || (request.target.front() != '/' && !asterisk)) {
    return {400, "bad_target", "the request's target is a path that begins with a slash"};
  }
  const std::size_t mark = request.target.find('?');
  request.path = request.target.substr(0, mark);
  request.query =
      mark == std::string_view::npos ? std::string_view{} : request.target.substr(mark + 1);
  return kFine;
}

HttpFault read_header(std::string_view line, HttpHeader& header) {
  if (line.front() == ' ' || line.front() == '\t') {
    return {400, "folded_header", "a header is one line"};
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
    return {400, "bad_header", "a header is a name, a colon right behind it, and a value"};
  }
  header.name = line.substr(0, colon);
  header.value = without_space_around(line.substr(colon + 1));
  return kFine;
}

/// Calls `use` for each element of a comma-separated list.
template <typename Use>
void for_each_element(std::string_view list, Use&& use) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    use(without_space_around(list.substr(0, comma)));
    list.remove_prefix(std::min(list.size(), comma + 1));
  }
}

HttpFault read_length(std::string_view text, std::uint64_t& bytes) {
  const bool digits = !text.empty() && std::all_of(text.begin(), text.end(),
                                                   [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) return {400, "bad_content_length", "Content-Length is a number"};
  bytes = 0;
  for (const char c : text) {
    if (bytes > UINT64_MAX / 16) return {413, "body_too_large", "the body is too long"};
    bytes = bytes * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return kFine;
}

/// What the headers say about the body and the connection.
HttpFault read_framing(HttpHead& head, int minor) {
  std::size_t hosts = 0;
  std::size_t lengths = 0;
  std::size_t codings = 0;
  bool closes = false;
  bool keeps = false;
  for (const HttpHeader& header : head.request.headers) {
    if (equal_ignoring_case(header.name, "host")) {
      ++hosts;
    } else if (equal_ignoring_case(header.name, "content-length")) {
      if (++lengths > 1) {
        return {400, "bad_content_length", "there is more than one Content-Length"};
      }
      const HttpFault fault = read_length(header.value, head.content_bytes);
      if (fault.status != 0) return fault;
    } else if (equal_ignoring_case(header.name, "transfer-encoding")) {
      if (++codings > 1) {
        return {400, "bad_transfer_encoding", "there is more than one Transfer-Encoding"};
      }
      head.chunked = equal_ignoring_case(header.value, "chunked");
      if (!head.chunked) {
        return {501, "bad_transfer_encoding", "the only Transfer-Encoding known is chunked"};
      }
    } else if (equal_ignoring_case(header.name, "connection")) {
      for_each_element(header.value, [&](std::string_view element) {
        closes = closes || equal_ignoring_case(element, "close");
        keeps = keeps || equal_ignoring_case(element, "keep-alive");
      });
    } else if (equal_ignoring_case(header.name, "expect")) {
      if (!equal_ignoring_case(header.value, "100-continue")) {
        return {417, "bad_expectation", "the only expectation known is 100-continue"};
      }
      head.expects_continue = minor == 1;
    }
  }
  if (lengths != 0 && codings != 0) {
    return {400, "ambiguous_length", "Content-Length and Transfer-Encoding exclude each other"};
  }
  if (codings != 0 && minor == 0) {
    return {400, "bad_transfer_encoding", "HTTP/1.0 has no Transfer-Encoding"};
  }
  if (hosts > 1 || (hosts == 0 && minor == 1)) {
    return {400, "bad_host", "a request names its host once"};
  }
  head.request.keep_alive = !closes && (minor == 1 || keeps);
  return kFine;
}

struct SecondOpinion {
  std::size_t headers = 0;
  bool complete = false;
  bool chunked = false;
  std::uint64_t content_bytes = 0;
};

int count_header(llhttp_t* parser) {
  ++static_cast<SecondOpinion*>(parser->data)->headers;
  return 0;
}
int note_framing(llhttp_t* parser) {
  auto& opinion = *static_cast<SecondOpinion*>(parser->data);
  opinion.complete = true;
  opinion.chunked = (parser->flags & F_CHUNKED) != 0;
  opinion.content_bytes = opinion.chunked ? 0 : parser->content_length;
  return 1;  // no body follows here
}

/// Whether llhttp reads the head as we did.
bool agrees(std::string_view bytes, const HttpHead& head, int minor) {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_header_value_complete = count_header;
  settings.on_headers_complete = note_framing;
  llhttp_t parser;
  llhttp_init(&parser, HTTP_REQUEST, &settings);
  SecondOpinion opinion;
  parser.data = &opinion;
  const llhttp_errno_t outcome = llhttp_execute(&parser, bytes.data(), bytes.size());
  const bool whole = outcome == HPE_OK || outcome == HPE_PAUSED_UPGRADE;
  return whole && opinion.complete && opinion.headers == head.request.headers.size() &&
         opinion.chunked == head.chunked && opinion.content_bytes == head.content_bytes &&
         parser.http_major == 1 && parser.http_minor == minor;
}

}  // namespace

HttpFault read_http_head(std::string_view bytes, HttpHead& head) {
  head.request = {};
  head.chunked = head.expects_continue = false;
  head.content_bytes = 0;
  int minor = 0;
  std::string_view rest = bytes;
  HttpFault fault = read_request_line(take_line(rest), head.request, minor);
  if (fault.status != 0) return fault;
  std::size_t count = 0;
  for (std::string_view line = take_line(rest); !line.empty(); line = take_line(rest)) {
    if (count == kHttpHeadersMax) {
      return {431, "too_many_headers", "a request has 100 headers at most"};
    }
    fault = read_header(line, head.headers[count++]);
    if (fault.status != 0) return fault;
  }
  head.request.headers = {head.headers.data(), count};
  fault = read_framing(head, minor);
  if (fault.status != 0) return fault;
  if (!agrees(bytes, head, minor)) return {400, "bad_request", "the request can't be read"};
  return kFine;
}

}  // namespace deja
