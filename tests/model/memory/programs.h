// The product's three lock-free protocols as litmus tests: each access of the code that the other
// side can see, with its order, under the SYNC tag that it carries there.
#pragma once

#include <string_view>

#include "tests/model/memory/machine.h"

namespace deja::model {

/// Each weakens or leaves out one access.
enum class Weakening : Byte {
  kNone,
  // ring/spsc_ring.cc
  kPublishRelaxed,
  kPublishLoadedRelaxed,
  kReleaseRelaxed,
  kReleaseLoadedRelaxed,
  kReleaseBeforeCopy,
  kRoomNotLookedAt,
  // shm/shard_writer.cc, shm/shard_reader.h
  kEntryRelaxed,
  kStampRelaxed,
  kNoStampZeroed,
  kNoReleaseFence,
  kNoEntryAgain,
  kNoStampAgain,
  kStampBeforeEntry,
  kReaderRelaxed,
  kStampLoadedRelaxed,
  kNoAcquireFence,
  kEntryAgainRelaxed,
  kEntryLoadedRelaxed,
  // ring/bell.cc
  kSleeperWithoutFence,
  kWakerWithoutFence,
  kFencesAcquireRelease,
  kNoLookAgain,
  kBytesBeforeFlag,
  kCount
};

struct LitmusFacts {
  std::string_view name;
  Litmus (*make)(Weakening);
};
struct WeakeningFacts {
  Weakening weakening;
  std::string_view name;
  std::string_view litmus;  ///< the program that shows it; of one not found, how all of them begin
  bool found;               ///< false: an order that the protocol does not depend on
};

[[nodiscard]] Litmus ring_with_padding(Weakening weakening);
[[nodiscard]] Litmus ring_with_batch(Weakening weakening);
[[nodiscard]] Litmus block_same_user(Weakening weakening);
[[nodiscard]] Litmus block_other_user(Weakening weakening);
[[nodiscard]] Litmus block_both(Weakening weakening);
[[nodiscard]] Litmus bell(Weakening weakening);

}  // namespace deja::model
