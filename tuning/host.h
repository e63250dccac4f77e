// What a host is asked for, and what of it every knob needs to know: which cores are the
// appliance's, which are left for everything else. Made once, immutable afterwards.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tuning/cpu_set.h"
#include "tuning/tree.h"

namespace deja::tuning {

/// A process of a running appliance that has threads on cores of their own.
struct PinnedProcess {
  std::string name;  ///< "worker-0"
  std::int64_t pid = 0;
  std::vector<int> cores;  ///< one thread on each
};

/// What a config asks of a host.
struct Target {
  std::vector<int> ingest;   ///< cores; one thread is pinned to each
  std::vector<int> workers;  ///< cores; one process is pinned to each
  bool has_config = false;   ///< false: `directory` and `segment_bytes` are not known
  std::string directory = "/dev/shm";
  std::uint64_t segment_bytes = 0;
  bool wants_huge_pages = true;
  std::vector<PinnedProcess> running;  ///< empty: the appliance is not served here
};

struct Host {
  /// Reads which cores there are. A tree without that is an error: it is no /sys.
  [[nodiscard]] static Result<Host> look(const Tree& tree, Target target);

  const Tree* tree = nullptr;
  Target target;
  CpuSet online;
  CpuSet appliance;     ///< pinned to by the config, whether or not they are online
  CpuSet siblings;      ///< online hyper-threads that share a core with them, and are not theirs
  CpuSet housekeeping;  ///< what is left of the online ones
};

}  // namespace deja::tuning
