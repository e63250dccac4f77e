// Which record a worker is at, said where the next one in its place finds it, so that an event that
// kills its workers is found out and left out. File worker-<w> (ring/positions.h): one entry for
// each ring, for records that are read for the first time, and one for the log, for records that
// are applied. One thread of the worker that owns the file; the fault handler runs in that thread.
//
// Invariants
//  1. `position` names the record before the first look at it, and is 0 between records.
//  2. A death counts for the record at hand only when the fault handler saw its cause, or when the
//     worker was killed for hanging. Any other kill costs nothing, however often.
//  3. A strike is counted once: the cause carries the number that it makes, so that counting again
//     what was counted already gives the same.
//
// Crash windows: settle() dies before `cause` is 0 and is done again with the same result; before
// `position` is 0, and nothing was at hand any more.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "ring/positions.h"

namespace deja {

/// The record that this many workers died of is dead.
inline constexpr std::uint64_t kStrikesMax = 3;
inline constexpr const char* kPoisonError =
    "an event that three workers died of was put among the dead letters";

class Attempts {
 public:
  /// `entries` are those of the worker's file, ring_count + 1 of them.
  Attempts(AttemptLayout* entries, std::uint32_t ring_count);
  ~Attempts() { nowhere(); }
  Attempts(const Attempts&) = delete;
  Attempts& operator=(const Attempts&) = delete;

  /// Counts what the predecessor died of. To be called before the first record is looked at;
  /// allocates.
  void settle(bool predecessor_hung);

  /// Said before the record at `position` is looked at.
  void at_ring(std::uint32_t ring, std::uint64_t position) { at(entries_[ring], position); }
  void at_log(std::uint64_t position) { at(entries_[ring_count_], position); }
  /// Said after the last one.
  void nowhere();

  [[nodiscard]] bool poisoned_in_ring(std::uint32_t ring, std::uint64_t position) const {
    return poisoned_[ring] == position;
  }
  [[nodiscard]] bool poisoned_in_log(std::uint64_t position) const {
    return poisoned_[ring_count_] == position;
  }

 private:
  static constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();
  void at(AttemptLayout& entry, std::uint64_t position);

  AttemptLayout* entries_;
  std::uint32_t ring_count_;
  AttemptLayout* at_hand_ = nullptr;
  std::vector<std::uint64_t> poisoned_;  // position of the dead record by entry
};

/// Makes SEGV, BUS, ILL, FPE and ABRT of this process leave their cause with the record that the
/// thread is at, and then kill it as before. For a process with one worker; once, in its thread.
void install_fault_handler();

}  // namespace deja
