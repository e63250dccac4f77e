// The segment of a supervisor that was killed: found by the next one, which holds its lock.
// Start-up code; one thread.
#pragma once

#include <memory>
#include <string>

#include "shm/segment.h"

namespace deja {

/// The segment in `segment_directory` when events were accepted into it and it was never stopped;
/// else nothing. One that this build can't read, or of another boot, is named on stderr and left
/// out: its memory can't be trusted.
[[nodiscard]] std::unique_ptr<Segment> find_leftover(const std::string& segment_directory);

/// Waits for the old writers to end: a keeper that lost its supervisor first drains. Up to a
/// minute.
void wait_for_old_writers(const Segment& segment);

}  // namespace deja
