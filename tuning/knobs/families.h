// The families of knobs, one file each. Any thread.
#pragma once

#include <string>
#include <vector>

#include "tuning/knob.h"

namespace deja::tuning {

[[nodiscard]] std::vector<Knob> frequency_knobs();  ///< governor, c-states
[[nodiscard]] std::vector<Knob> isolation_knobs();  ///< isolcpus, nohz-full, rcu-nocbs
[[nodiscard]] std::vector<Knob> interrupt_knobs();  ///< irqbalance, irq-default, irq-affinity
[[nodiscard]] std::vector<Knob> queue_knobs();      ///< rps, xps
[[nodiscard]] std::vector<Knob> page_knobs();       ///< huge-pages, thp-shmem, thp, thp-defrag
[[nodiscard]] std::vector<Knob> kernel_knobs();     ///< what runs on all cores, and net.core
[[nodiscard]] std::vector<Knob> limit_knobs();      ///< memlock, rtprio
[[nodiscard]] std::vector<Knob> cache_knobs();      ///< resctrl
[[nodiscard]] std::vector<Knob> thread_knobs();     ///< affinity
[[nodiscard]] std::vector<Knob> sibling_knobs();    ///< smt

/// What to append to the kernel's command line; empty where the config names no cores, or leaves
/// none.
[[nodiscard]] std::string boot_line(const Host& host);

}  // namespace deja::tuning
