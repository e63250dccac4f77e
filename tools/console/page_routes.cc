#include "tools/console/page_routes.h"

#include "tools/console/page_files.h"

namespace deja {
namespace {

constexpr std::string_view kDocument = "index.html";
constexpr std::string_view kFolder = "/page/";

/// RFC 9110, 13.1.2: a list of tags, or "*". Ours hold no comma and no space, and a weak one means
/// the same here.
bool names_tag(std::string_view if_none_match, std::string_view entity_tag) {
  return if_none_match == "*" || if_none_match.find(entity_tag) != std::string_view::npos;
}

}  // namespace

void add_browser_headers(HttpAnswer& answer) {
  answer.header("Content-Security-Policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
  answer.header("X-Content-Type-Options", "nosniff");
  answer.header("Cross-Origin-Resource-Policy", "same-origin");
  answer.header("Referrer-Policy", "no-referrer");
}

bool is_page_path(std::string_view path) {
  return path == "/" || path.starts_with(kFolder);
}

void answer_page(const HttpRequest& request, HttpAnswer& answer) {
  const std::string_view path =
      request.path == "/" ? kDocument : request.path.substr(kFolder.size());
  for (const PageFile& file : page_files()) {
    if (file.path != path) continue;
    const bool known = names_tag(request.header("If-None-Match"), file.entity_tag);
    answer.begin(known ? 304 : 200);
    answer.content_type = file.content_type;
    answer.header("ETag", file.entity_tag);
    answer.header("Cache-Control", "no-cache");  // keep it, and ask whether it is still so
    add_browser_headers(answer);
    if (!known) answer.body = file.content;
    return;
  }
  write_error(answer, 404, "no_such_file", "the page has no such file; it is at /");
}

}  // namespace deja
