// A story for people, and as a line of JSON for programs. Any thread.
#pragma once

#include <string>

#include "tools/cli/terminal.h"
#include "tools/trace/story.h"

namespace deja {

/// A block of lines: what event, what became of it, and each stage with the time since the one
/// before. Names and ids are anybody's: control characters are shown, not obeyed.
[[nodiscard]] std::string story_text(const Story& story, const Style& style);

/// One object, no line end. Its `stages` are in their order, `at` RFC 3339 with microseconds,
/// `since_received_ns` exact.
[[nodiscard]] std::string story_json(const Story& story);

}  // namespace deja
