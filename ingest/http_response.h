// An answer of HTTP/1.1 and its bytes. The texts are kept from answer to answer, so that a server
// in steady state allocates nothing. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ingest/http_request.h"

namespace deja {

struct HttpAnswer {
  int status = 200;
  std::string_view content_type = "application/json";  ///< a literal; empty: no body at all
  std::string headers;  ///< further headers, each line with its CR LF
  std::string body;

  void begin(int new_status) {
    status = new_status;
    content_type = "application/json";
    headers.clear();
    body.clear();
  }
  void header(std::string_view name, std::string_view value) {
    headers.append(name).append(": ").append(value).append("\r\n");
  }
};

/// {"success":false,"error":{"code","message","path"}}; without `path` where it is empty.
void write_error(HttpAnswer& answer, int status, std::string_view code, std::string_view message,
                 std::string_view path = {});

/// The bytes of the answer, appended to `out`. `without_body`: to HEAD. `keep_alive`: false says
/// that the connection will be closed.
void append_answer(std::string& out, const HttpAnswer& answer, bool keep_alive, bool without_body);

[[nodiscard]] std::string_view reason_phrase(int status);

}  // namespace deja
