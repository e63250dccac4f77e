// What a run of the model may do (its bounds), and the ways in which it can be broken on purpose.
#pragma once

#include <span>
#include <string_view>

#include "tests/model/recipe/state.h"

namespace deja::model {

struct Configuration {
  std::string_view name;
  int events = 2;
  int rings = 1;
  Byte user_of[kEvents] = {0, 0, 0, 0};
  int batch_max = 2;
  int log_slots = kLogSlots;
  int touched_max = kUsers;  ///< keys that the keeper remembers before it walks instead
  bool durable = true;       ///< the level at which events are acked
  bool keeper = true;        ///< false: the log's space is given back by an unmodelled drain
  bool redis = true;
  bool windows_pass = false;  ///< the loss window passes, so `confirmed` moves
  bool prunes = false;
  bool settled = false;  ///< event 0 is applied, acked, in Redis and confirmed when the run begins
  Budget budget = {};
};

/// Each breaks one rule. README.md says which run finds it, and as what.
enum class Mutant : Byte {
  kNone,
  // the worker's step
  kPublishBeforeLog,
  kConsumedBeforeLog,
  kConsumedBeforePublish,
  kIdsBeforeLog,
  kAppliedBeforeSequence,
  kAppliedBeforeConsumed,
  kBatchIdsIgnored,
  kRedoByBlockOnly,
  kNoRedo,
  kLogReusedBehindApplied,
  // acks and journal
  kDuplicatesAckedWhenConsumed,
  kDurableBeforeSync,
  kWatermarkIsDurable,
  kDrainedBeforeDurable,
  kSegmentReused,
  kFailedSyncRetried,
  kEpochNotRaised,
  kOldEpochsReplayed,
  kRecoveryWithoutSync,
  kIdsNotRecovered,
  kPruneAtWatermark,
  kPruneForgetsIds,
  // Redis
  kWatermarkBeforeReplies,
  kWatermarkLoadedLate,
  kFlushAboveDurable,
  kConfirmedWithoutWindow,
  kConfirmedByClockAlone,
  kWatermarkNotReadAgain,
  kWalkOnlyWhereLower,
  kKeeperReadsFromDrained,
  kWalkForgetsNewest,
  kNoGuard,
  // eviction and return
  kFlagAfterClear,
  kPartialFlushed,
  kPartialLetsWatermarkPass,
  kMergeNotLogged,
  kMergeReplayed,
  kMergedTwice,
  kEvictOverUnreadReturn,
  kUnsettledLeftInRedis,
  // other orders that change nothing
  kIdsBeforePublish,
  kConsumedBeforeSequence,
  kCount
};

struct MutantFacts {
  Mutant mutant;
  std::string_view name;
  std::string_view configuration;  ///< the run that shows it
  bool found;                      ///< false: an order that the recipe does not depend on
};

[[nodiscard]] std::span<const Configuration> configurations();
[[nodiscard]] std::span<const MutantFacts> mutants();
[[nodiscard]] const Configuration& configuration_of(std::string_view name);

}  // namespace deja::model
