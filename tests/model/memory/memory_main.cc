// memory_model: explores ring, block protocol and bell under a memory as weak as C++ allows, and
// each weakening of them until it is found.
//
//   memory_model             all; exit 0 when the protocols hold and every weakening is found
//   memory_model NAME        one protocol, or one weakening
//   memory_model NAME --trace
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <string_view>

#include "tests/model/memory/programs.h"

namespace deja::model {
namespace {

using enum Weakening;
constexpr LitmusFacts kLitmusTests[] = {
    {"ring_with_padding", ring_with_padding},
    {"ring_with_batch", ring_with_batch},
    {"block_same_user", block_same_user},
    {"block_other_user", block_other_user},
    {"block_both", block_both},
    {"bell", bell},
};
constexpr WeakeningFacts kWeakenings[] = {
    {kPublishRelaxed, "publish_relaxed", "ring_with_padding", true},
    {kPublishLoadedRelaxed, "publish_loaded_relaxed", "ring_with_batch", true},
    {kReleaseRelaxed, "release_relaxed", "ring_with_padding", true},
    {kReleaseLoadedRelaxed, "release_loaded_relaxed", "ring_with_batch", true},
    {kReleaseBeforeCopy, "release_before_copy", "ring_with_padding", true},
    {kRoomNotLookedAt, "room_not_looked_at", "ring_with_padding", true},
    {kEntryRelaxed, "entry_relaxed", "block", false},
    {kStampRelaxed, "stamp_relaxed", "block_same_user", true},
    {kNoStampZeroed, "no_stamp_zeroed", "block", false},
    {kNoReleaseFence, "no_release_fence", "block_both", true},
    {kNoEntryAgain, "no_entry_again", "block_other_user", true},
    {kNoStampAgain, "no_stamp_again", "block_same_user", true},
    {kStampBeforeEntry, "stamp_before_entry", "block_both", true},
    {kReaderRelaxed, "reader_relaxed", "block_same_user", true},
    {kStampLoadedRelaxed, "stamp_loaded_relaxed", "block_same_user", true},
    {kNoAcquireFence, "no_acquire_fence", "block_both", true},
    {kEntryAgainRelaxed, "entry_again_relaxed", "block_both", true},
    {kEntryLoadedRelaxed, "entry_loaded_relaxed", "block", false},
    {kSleeperWithoutFence, "sleeper_without_fence", "bell", true},
    {kWakerWithoutFence, "waker_without_fence", "bell", true},
    {kFencesAcquireRelease, "fences_acquire_release", "bell", true},
    {kNoLookAgain, "no_look_again", "bell", true},
    {kBytesBeforeFlag, "bytes_before_flag", "bell", false},
};
static_assert(std::size(kWeakenings) == static_cast<std::size_t>(Weakening::kCount) - 1);

constexpr std::uint64_t kStatesMax = 5'000'000;

void print_trace(const Machine& machine, const Exploration& found) {
  auto moves = std::make_unique<Moves<MemoryState>>();
  MemoryState state = machine.initial();
  for (const std::uint32_t successor : found.trace) {
    moves->begin(state);
    machine.successors(state, *moves);
    const MemoryState next = moves->state(successor);
    const std::string text = machine.describe(state, next);
    if (!text.empty()) std::printf("    %s\n", text.c_str());
    state = next;
  }
  std::printf("  → %s\n", found.violation);
}

bool explore(const LitmusFacts& litmus, const WeakeningFacts* weakening, bool trace) {
  const Machine machine(litmus.make(weakening == nullptr ? kNone : weakening->weakening));
  auto explorer = std::make_unique<Explorer<Machine>>(machine);
  const Exploration found = explorer->run(kStatesMax);
  const bool expected = weakening != nullptr && weakening->found
                            ? found.violation != nullptr
                            : found.violation == nullptr && found.complete;
  std::printf("%-18s %-24s %8" PRIu64 " states %9" PRIu64 " steps  %s%s\n",
              std::string(litmus.name).c_str(),
              weakening == nullptr ? "(the code)" : std::string(weakening->name).c_str(),
              found.states, found.steps, expected ? "" : "NOT AS EXPECTED: ",
              found.violation != nullptr ? found.violation
              : found.complete           ? "nothing found, all states seen"
                                         : "too many states");
  if (found.violation != nullptr && (trace || !expected)) print_trace(machine, found);
  return expected;
}

int run(int count, char** arguments) {
  bool trace = false;
  std::string_view name;
  for (int at = 1; at < count; ++at) {
    const std::string_view argument = arguments[at];
    if (argument == "--trace") {
      trace = true;
    } else {
      name = argument;
    }
  }
  bool as_expected = true;
  bool any = false;
  for (const LitmusFacts& litmus : kLitmusTests) {
    if (!name.empty() && name != litmus.name) continue;
    as_expected &= explore(litmus, nullptr, trace);
    any = true;
  }
  for (const WeakeningFacts& weakening : kWeakenings) {
    if (!name.empty() && name != weakening.name) continue;
    for (const LitmusFacts& litmus : kLitmusTests) {
      if (litmus.name.starts_with(weakening.litmus))
        as_expected &= explore(litmus, &weakening, trace);
    }
    any = true;
  }
  if (!any) {
    std::fprintf(stderr, "memory_model: no such protocol or weakening\n");
    return 2;
  }
  return as_expected ? 0 : 1;
}

}  // namespace
}  // namespace deja::model

int main(int count, char** arguments) {
  return deja::model::run(count, arguments);
}
