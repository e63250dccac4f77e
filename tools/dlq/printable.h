// Anybody's bytes on a terminal. Any thread.
#pragma once

#include <string>

namespace deja {

/// Fit for a terminal whatever it was: control characters are seen, not obeyed.
[[nodiscard]] std::string printable(const std::string& text);

}  // namespace deja
