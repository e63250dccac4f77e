// The lines of a text, as the kernel and measuring tools print it. Pure; any thread.
#pragma once

#include <algorithm>
#include <string_view>

namespace deja::tuning {

/// Calls `use` with each line, without its end.
template <typename Use>
void each_line(std::string_view text, Use use) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    use(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace deja::tuning
