// The verb `deja bench`: what a new host gives, by Deja's own code, without peers; about ten
// seconds. bench/ measures against what one could pick instead. One thread, and a second one while
// it measures between cores.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

namespace deja {

struct BenchOptions {
  std::string directory = "/dev/shm";   ///< where the segment lies meanwhile
  std::string durability = "/var/tmp";  ///< whose syncs are timed
  std::uint64_t profiles = 200'000;
  bool quick = false;  ///< everything once, on little: the figures mean nothing
  bool json = false;
};

/// 0: measured; 1: there is no room, or a directory can't be used. The files that it makes are gone
/// before the measuring begins.
[[nodiscard]] int run_bench(const BenchOptions& options, std::ostream& out, std::ostream& err);

}  // namespace deja
