// The runs and the mutants. Bounds are as small as still shows every mutant, and then a little
// more.
#include <algorithm>
#include <cstdlib>

#include "tests/model/recipe/configuration.h"

namespace deja::model {
namespace {

constexpr Configuration kConfigurations[] = {
    // Two rings, resends across them, kills of the worker in step and redo, and of ingest.
    {.name = "step",
     .events = 3,
     .rings = 2,
     .user_of = {0, 0, 1},
     .log_slots = 3,
     .durable = false,
     .keeper = false,
     .redis = false,
     .budget = {.resends = 1, .worker_kills = 2, .ingest_kills = 1}},
    // Journal and durable acks, without Redis.
    {.name = "journal",
     .events = 2,
     .rings = 2,
     .user_of = {0, 0},
     .log_slots = 2,
     .redis = false,
     .budget = {.resends = 1,
                .worker_kills = 1,
                .ingest_kills = 1,
                .keeper_kills = 1,
                .power_losses = 1}},
    // Shared memory is lost while the kernel lives, so that what is not synced can be read; then
    // power.
    {.name = "disk",
     .events = 2,
     .rings = 1,
     .user_of = {0, 0},
     .redis = false,
     .budget = {.resends = 1, .keeper_kills = 1, .power_losses = 1, .memory_losses = 1}},
    // A sync that fails.
    {.name = "sync",
     .events = 2,
     .rings = 1,
     .user_of = {0, 0},
     .redis = false,
     .budget = {.resends = 1, .keeper_kills = 1, .power_losses = 1, .sync_failures = 1}},
    // Write-behind: passes, guard, refusals, Redis losing a suffix.
    {.name = "redis",
     .events = 2,
     .rings = 1,
     .user_of = {0, 1},
     .touched_max = 1,
     .budget = {.worker_kills = 1, .keeper_kills = 1, .redis_losses = 1, .refusals = 1}},
    {.name = "flush",
     .events = 2,
     .rings = 1,
     .user_of = {0, 1},
     .windows_pass = true,
     .prunes = true,
     .budget = {.resends = 1, .power_losses = 1, .redis_losses = 1}},
    // Eviction and return.
    {.name = "return",
     .events = 3,
     .user_of = {0, 0, 0},
     .windows_pass = true,
     .settled = true,
     .budget = {.worker_kills = 1, .evictions = 1}},
    {.name = "again",
     .events = 3,
     .user_of = {0, 0, 0},
     .batch_max = 1,
     .windows_pass = true,
     .settled = true,
     .budget = {.keeper_kills = 1, .evictions = 2}},
    {.name = "absence",
     .events = 2,
     .user_of = {0, 0},
     .batch_max = 1,
     .windows_pass = true,
     .settled = true,
     .budget = {.resends = 1, .power_losses = 1, .redis_losses = 1, .evictions = 1}},
    // One event more, and everything that can go wrong, once.
    {.name = "all",
     .events = 2,
     .user_of = {0, 0},
     .batch_max = 1,
     .windows_pass = true,
     .settled = true,
     .budget = {.worker_kills = 1,
                .keeper_kills = 1,
                .power_losses = 1,
                .redis_losses = 1,
                .evictions = 1}},
    // The same with refusals in place of power losses.
    {.name = "store",
     .events = 2,
     .user_of = {0, 0},
     .windows_pass = true,
     .settled = true,
     .budget =
         {.worker_kills = 1, .keeper_kills = 1, .redis_losses = 1, .refusals = 1, .evictions = 1}},
    // Three events in two rings with a journal: what "step" does, and durable.
    {.name = "order",
     .events = 3,
     .rings = 2,
     .user_of = {0, 0, 1},
     .redis = false,
     .budget = {.worker_kills = 1, .keeper_kills = 1, .power_losses = 1}},
    // Eviction out of a journal that is pruned.
    {.name = "prune",
     .events = 2,
     .user_of = {0, 0},
     .windows_pass = true,
     .prunes = true,
     .settled = true,
     .budget = {.resends = 1, .ingest_kills = 1, .power_losses = 1, .evictions = 1}},
    // Power is lost twice, also within the recovery.
    {.name = "power",
     .events = 2,
     .user_of = {0, 1},
     .windows_pass = true,
     .prunes = true,
     .settled = true,
     .budget = {.power_losses = 2, .redis_losses = 1, .evictions = 1}},
    // Everything at once: an event that may come twice, by either ring, for a user who may go.
    {.name = "world",
     .events = 2,
     .rings = 2,
     .user_of = {0, 0},
     .log_slots = 2,
     .settled = true,
     .budget =
         {.resends = 1, .worker_kills = 1, .power_losses = 1, .redis_losses = 1, .evictions = 1}},
    // Shared memory, then power, with Redis.
    {.name = "memory",
     .events = 2,
     .user_of = {0, 0},
     .settled = true,
     .budget = {.resends = 1,
                .keeper_kills = 1,
                .power_losses = 1,
                .memory_losses = 1,
                .redis_losses = 1}},
};

using enum Mutant;
constexpr MutantFacts kMutants[] = {
    {kPublishBeforeLog, "publish_before_log", "step", true},
    {kConsumedBeforeLog, "consumed_before_log", "step", true},
    {kConsumedBeforePublish, "consumed_before_publish", "step", true},
    {kIdsBeforeLog, "ids_before_log", "step", true},
    {kAppliedBeforeSequence, "applied_before_sequence", "step", true},
    {kAppliedBeforeConsumed, "applied_before_consumed", "step", true},
    {kBatchIdsIgnored, "batch_ids_ignored", "step", true},
    {kRedoByBlockOnly, "redo_by_block_only", "step", true},
    {kNoRedo, "no_redo", "step", true},
    {kLogReusedBehindApplied, "log_reused_behind_applied", "journal", true},
    {kDuplicatesAckedWhenConsumed, "duplicates_acked_when_consumed", "journal", true},
    {kDurableBeforeSync, "durable_before_sync", "journal", true},
    {kDrainedBeforeDurable, "drained_before_durable", "journal", true},
    {kSegmentReused, "segment_reused", "journal", true},
    {kIdsNotRecovered, "ids_not_recovered", "journal", true},
    {kFailedSyncRetried, "failed_sync_retried", "sync", true},
    {kEpochNotRaised, "epoch_not_raised", "disk", true},
    {kOldEpochsReplayed, "old_epochs_replayed", "disk", true},
    {kRecoveryWithoutSync, "recovery_without_sync", "disk", true},
    {kWatermarkIsDurable, "watermark_is_durable", "flush", true},
    {kPruneAtWatermark, "prune_at_watermark", "flush", true},
    {kPruneForgetsIds, "prune_forgets_ids", "flush", true},
    {kFlushAboveDurable, "flush_above_durable", "flush", true},
    {kWatermarkBeforeReplies, "watermark_before_replies", "redis", true},
    {kWatermarkLoadedLate, "watermark_loaded_late", "redis", true},
    {kWatermarkNotReadAgain, "watermark_not_read_again", "redis", true},
    {kWalkOnlyWhereLower, "walk_only_where_lower", "redis", true},
    {kKeeperReadsFromDrained, "keeper_reads_from_drained", "redis", true},
    {kWalkForgetsNewest, "walk_forgets_newest", "redis", true},
    {kNoGuard, "no_guard", "redis", true},
    {kConfirmedWithoutWindow, "confirmed_without_window", "absence", true},
    {kConfirmedByClockAlone, "confirmed_by_clock_alone", "absence", true},
    {kFlagAfterClear, "flag_after_clear", "return", true},
    {kPartialFlushed, "partial_flushed", "return", true},
    {kPartialLetsWatermarkPass, "partial_lets_watermark_pass", "return", true},
    {kMergedTwice, "merged_twice", "again", true},
    {kEvictOverUnreadReturn, "evict_over_unread_return", "again", true},
    {kUnsettledLeftInRedis, "unsettled_left_in_redis", "absence", true},
    {kMergeNotLogged, "merge_not_logged", "absence", true},
    {kMergeReplayed, "merge_replayed", "absence", true},
    {kIdsBeforePublish, "ids_before_publish", "step", false},
    {kConsumedBeforeSequence, "consumed_before_sequence", "step", false},
};
static_assert(std::size(kMutants) == static_cast<std::size_t>(kCount) - 1);

}  // namespace

std::span<const Configuration> configurations() {
  return kConfigurations;
}
std::span<const MutantFacts> mutants() {
  return kMutants;
}

const Configuration& configuration_of(std::string_view name) {
  const auto found = std::find_if(std::begin(kConfigurations), std::end(kConfigurations),
                                  [&](const Configuration& one) { return one.name == name; });
  if (found == std::end(kConfigurations)) std::abort();
  return *found;
}

}  // namespace deja::model
