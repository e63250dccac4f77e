#include "tools/dlq/printable.h"

#include "shm/json_text.h"

namespace deja {

std::string printable(const std::string& text) {
  std::string safe;
  append_json_text(safe, text);
  safe = safe.substr(1, safe.size() - 2);
  for (std::size_t at = 0; at < safe.size(); ++at) {
    const auto byte = static_cast<unsigned char>(safe[at]);
    const bool second = at > 0 && static_cast<unsigned char>(safe[at - 1]) == 0xc2U && byte < 0xa0U;
    if (byte == 0x7fU) safe[at] = '?';
    if (second) safe.replace(at - 1, 2, "?");  // U+0080 to U+009F
  }
  return safe;
}

}  // namespace deja
