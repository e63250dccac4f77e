// The column of session: the newest two runs of events, and how many there were. Private copies
// only; libc alone; any thread.
//
// 1. Of a run, start <= end and events >= 1; start 0 (encoded) means that there is no such run.
// 2. previous.end + gap < current.start; there is no previous run without a current one.
// 3. first_start is the start of the oldest run ever begun: what merging can still know of runs
//    that are no longer kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "shm/columns/bytes.h"
#include "shm/feature_spec.h"

namespace deja::columns {

struct SessionColumnLayout {
  std::uint64_t current_start;  // encoded instants; 0: none
  std::uint64_t current_end;
  std::uint64_t previous_start;
  std::uint64_t previous_end;
  std::uint64_t first_start;
  std::uint32_t current_events;  // saturating, as are the other counts
  std::uint32_t previous_events;
  std::uint32_t count;      // of runs begun, less those joined
  std::uint32_t estimated;  // 1: merged from histories whose forgotten runs may have touched
};
static_assert(sizeof(SessionColumnLayout) == 56);
static_assert(offsetof(SessionColumnLayout, previous_start) == 16);
static_assert(offsetof(SessionColumnLayout, first_start) == 32);
static_assert(offsetof(SessionColumnLayout, current_events) == 40);
static_assert(offsetof(SessionColumnLayout, count) == 48);
static_assert(std::is_trivially_copyable_v<SessionColumnLayout>);

}  // namespace deja::columns
