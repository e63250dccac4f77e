// The live page's files (tools/console/page), as the build put them into the program: so the page
// is there wherever the program is, and always of the same version. Any thread; no allocation.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace deja {

struct PageFile {
  std::string_view path;  ///< below the page's folder: "main.mjs", "vendor/uPlot.esm.js"
  std::string_view content_type;
  std::string_view entity_tag;  ///< strong, with its quotation marks; changes with the content
  std::string_view content;
};

[[nodiscard]] std::span<const PageFile> page_files();

}  // namespace deja
