#include "tools/serve/locked_table.h"

#include <sys/resource.h>

#include <cstring>
#include <utility>

#include "tools/cli/terminal.h"

namespace deja {

Result<LockedTable> LockedTable::lock(const Segment& segment) {
  LockedTable table;
  std::uint64_t bytes = 0;
  int refusal = 0;
  for (std::uint32_t worker = 0; worker < segment.superblock().worker_count; ++worker) {
    auto file = segment.map("profiles-" + std::to_string(worker), MappedFile::Mode::kReadOnly);
    if (!file.ok()) return file.error();
    bytes += file->bytes();
    if (const int error_number = file->lock_memory(); error_number != 0) {
      refusal = error_number;
      continue;
    }
    table.locked_bytes_ += file->bytes();
    table.files_.push_back(std::move(file.value()));
  }
  if (refusal != 0) {
    rlimit limit{};
    const bool known = getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    table.note_ = "locked memory: " + human_bytes(table.locked_bytes_) + " of " +
                  human_bytes(bytes) + " given (" +
                  (known ? "RLIMIT_MEMLOCK is " + human_bytes(limit.rlim_cur)
                         : std::string(std::strerror(refusal))) +
                  ")";
  }
  return table;
}

}  // namespace deja
