# Writes a C++ source that holds the live page's files: cmake -D FROM=DIR -D INTO=FILE -P this.
# Each file becomes an array of bytes, its path below DIR, its media type, and an entity tag made of
# its content, so that a browser asks again and downloads only what changed.

set(type_html "text/html; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_mjs "text/javascript; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")
set(type_svg "image/svg+xml")
set(type_ "text/plain; charset=utf-8") # LICENSE

file(GLOB_RECURSE paths RELATIVE ${FROM} ${FROM}/*)
list(SORT paths)
set(arrays "")
set(rows "")
set(number 0)
foreach(path ${paths})
  string(REGEX MATCH "[^.]*$" extension ${path})
  if(NOT path MATCHES "\\.")
    set(extension "")
  endif()
  if(NOT DEFINED type_${extension})
    message(FATAL_ERROR "${FROM}/${path}: say in embed_page.cmake what media type .${extension} is")
  endif()
  file(READ ${FROM}/${path} bytes HEX)
  file(SHA256 ${FROM}/${path} hash)
  string(SUBSTRING ${hash} 0 32 tag)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" bytes "${bytes}")
  string(APPEND arrays "constexpr unsigned char kBytes${number}[] = {\n${bytes}};\n")
  string(APPEND rows
    "    {\"${path}\", \"${type_${extension}}\", \"\\\"${tag}\\\"\", text_of(kBytes${number})},\n")
  math(EXPR number "${number} + 1")
endforeach()

file(WRITE ${INTO} "// Made by tools/console/embed_page.cmake of tools/console/page.
#include \"tools/console/page_files.h\"

namespace deja {
namespace {

${arrays}
template <std::size_t Size>
std::string_view text_of(const unsigned char (&bytes)[Size]) {
  return {reinterpret_cast<const char*>(bytes), Size};
}

}  // namespace

std::span<const PageFile> page_files() {
  static const PageFile files[] = {
${rows}  };
  return files;
}

}  // namespace deja
")
