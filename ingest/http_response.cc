#include "ingest/http_response.h"

#include <charconv>

#include "shm/json_text.h"

namespace deja {

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Status";
  }
}

void write_error(HttpAnswer& answer, int status, std::string_view code, std::string_view message,
                 std::string_view path) {
  answer.begin(status);
  answer.body.append(R"({"success":false,"error":{"code":)");
  append_json_text(answer.body, code);
  answer.body.append(R"(,"message":)");
  append_json_text(answer.body, message);
  if (!path.empty()) {
    answer.body.append(R"(,"path":)");
    append_json_text(answer.body, path);
  }
  answer.body.append("}}");
}

void append_answer(std::string& out, const HttpAnswer& answer, bool keep_alive, bool without_body) {
  // RFC 9110, 15.3.5 and 15.4.5: these have no content, and a length of 0 would be another's.
  const bool never_has_body = answer.status == 204 || answer.status == 304;
  char digits[24];
  const auto number = [&](std::size_t value) {
    const auto written = std::to_chars(digits, digits + sizeof digits, value);
    return std::string_view(digits, static_cast<std::size_t>(written.ptr - digits));
  };
  out.append("HTTP/1.1 ").append(number(static_cast<std::size_t>(answer.status))).append(" ");
  out.append(reason_phrase(answer.status)).append("\r\n");
  if (!never_has_body) {
    if (!answer.content_type.empty()) {
      out.append("Content-Type: ").append(answer.content_type).append("\r\n");
    }
    out.append("Content-Length: ").append(number(answer.body.size())).append("\r\n");
  }
  out.append(answer.headers);
  out.append(keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
  if (!never_has_body && !without_body) out.append(answer.body);
}

}  // namespace deja
