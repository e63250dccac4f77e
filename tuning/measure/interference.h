// Who took time on a core: the kernel's own counts for it, of interrupts, softirqs and time that a
// hypervisor gave to somebody else. One thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "tuning/tree.h"

namespace deja::tuning {

using Counts = std::map<std::string, std::uint64_t>;

struct Interference {
  Counts interrupts;              ///< "LOC", "41 virtio3-rx"
  Counts softirqs;                ///< "TIMER"
  std::uint64_t steal_ticks = 0;  ///< of 1/100 s
};

/// The counts of one core. What can't be read is empty.
[[nodiscard]] Interference read_interference(const Tree& tree, int core);
/// What grew from `before` to `after`.
[[nodiscard]] Interference growth(const Interference& before, const Interference& after);

/// The column of `core` in a table as /proc/interrupts and /proc/softirqs have it: a head that
/// names the cores, then rows. Rows that make no sense are left out.
[[nodiscard]] Counts counts_of_core(std::string_view table, int core);
/// The steal time of `core` in a /proc/stat; 0 where there is none.
[[nodiscard]] std::uint64_t steal_of_core(std::string_view stat, int core);

}  // namespace deja::tuning
