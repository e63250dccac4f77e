// A small file of the supervisor's own, replaced whole or not at all. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "shm/base/result.h"

namespace deja {

/// kDisk: its bytes are on the disk before it gets the name.
enum class ReplaceTo { kMemory, kDisk };

/// Writes `path`.new, mode 0600, and renames it.
Status replace_file(const std::string& path, std::string_view bytes, ReplaceTo to);
/// Removes it, and what a writer who was killed left beside it.
void remove_replaced_file(const std::string& path);

}  // namespace deja
