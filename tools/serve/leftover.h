// What a supervisor that was killed left: its segment, and processes of it that live on. Found by
// the next one, which holds its lock. Start-up code; one thread.
#pragma once

#include <memory>
#include <string>

#include "shm/segment.h"
#include "tools/serve/crew.h"

namespace deja {

/// The segment in `segment_directory`, when it was never stopped; else nothing. One that is
/// damaged, or of another boot, is named on stderr and left out: its memory can't be trusted. One
/// of another layout that may hold what was accepted and is nowhere else is an error: the programs
/// that can read it must drain it.
[[nodiscard]] Result<std::unique_ptr<Segment>> find_leftover(const std::string& segment_directory);

/// Asks every process that still has a place in `segment_directory` to stop, in order: ingest,
/// workers, keeper, console. For segments that can't be gone on with and need no drain.
void stop_orphans(Crew& crew, const std::string& segment_directory);

/// The process of another appliance that still writes into `durability_directory` though its
/// supervisor was killed; 0: there is none.
[[nodiscard]] pid_t foreign_keeper(const std::string& durability_directory,
                                   const std::string& segment_directory);

}  // namespace deja
