// One picture of `deja top`: lines that fit a terminal of a given size. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/cli/terminal.h"
#include "tools/top/figures.h"

namespace deja {

struct TerminalSize {
  std::size_t columns = 80;
  std::size_t rows = 24;
};

/// Over so long a rate is taken: one second alone jumps.
inline constexpr std::int64_t kRateUs = 3'000'000;
/// Over so long percentiles are taken.
inline constexpr std::int64_t kLatencyUs = 10'000'000;

/// At most size.rows lines of at most size.columns columns, with the escape sequences of `style`,
/// without line ends. Where room is short, lists lose first who is well: least full, alive; of
/// the latencies those of a process's own work go first, and receive → visible last.
/// `trouble`, where it is not empty, is said at the top, in red.
/// Needs a history that is not empty.
[[nodiscard]] std::vector<std::string> frame_lines(const LookHistory& history, TerminalSize size,
                                                   const Style& style, std::string_view trouble);

}  // namespace deja
