// The live page over HTTP: `/` is its document, `/page/FILE` the files that it is made of. Nothing
// of it changes while the program runs, and it loads nothing from anywhere else; what it shows it
// asks from /v1/stat. Any thread.
#pragma once

#include <string_view>

#include "ingest/http_request.h"
#include "ingest/http_response.h"

namespace deja {

/// The headers that keep a browser from doing with an answer what it was not meant for: no guessing
/// of its type, no use by other sites, and of a document no script, style, request or frame but the
/// page's own.
void add_browser_headers(HttpAnswer& answer);

/// Whether the path is the page's, be there such a file or not.
[[nodiscard]] bool is_page_path(std::string_view path);

/// 200 with the file, 304 where the request's If-None-Match names what it has, 404 for no file.
void answer_page(const HttpRequest& request, HttpAnswer& answer);

}  // namespace deja
