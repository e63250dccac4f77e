// What the host itself gives: clocks, memory, the disk. One thread.
#pragma once

#include <string>

#include "shm/base/result.h"
#include "tools/bench/measured.h"

namespace deja {

void measure_clocks(bool quick, BenchFindings& into);
void measure_memory(bool quick, BenchFindings& into);

/// Writes of 4 KiB with fdatasync to a file without a name in `directory`; takes three seconds at
/// most. Fails where no file can be made there.
[[nodiscard]] Status measure_sync(const std::string& directory, bool quick, BenchFindings& into);

}  // namespace deja
