#include "tools/trace/story.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>

#include "ring/log_record.h"

namespace deja {
namespace {

constexpr std::size_t kStagesMax = 8;
constexpr std::int64_t kDayNs = std::int64_t{86'400} * 1'000'000'000;

const char* reason_code(std::uint8_t reason) {
  switch (static_cast<RefusalReason>(reason)) {
    case RefusalReason::kTableFull:
      return "table_full";
    case RefusalReason::kBrokenRecord:
      return "broken_record";
    case RefusalReason::kPoison:
      return "poison";
    case RefusalReason::kNone:
    case RefusalReason::kRejected:
      break;
  }
  return "";
}

}  // namespace

std::vector<Stage> stages_of(const Story& story) {
  std::vector<Stage> stages;
  stages.reserve(kStagesMax);
  std::int64_t latest_ns = 0;
  const auto is_known = [&](std::int64_t at_ns) {
    return at_ns > 0 && std::abs(at_ns - story.seen_ns) <= kDayNs;
  };
  // In this order they happen. Two of them were read from a clock of microseconds.
  const auto then = [&](const char* name, std::int64_t at_ns) {
    if (!is_known(at_ns)) return;
    latest_ns = std::max(latest_ns, at_ns);
    stages.push_back({name, latest_ns});
  };
  then("received", story.slot.received_ns);
  then("committed", story.slot.committed_ns);
  then("published", story.slot.published_ns);
  if (story.worker_mark) {
    then("taken", story.worker_mark->taken_ns);
    then("visible", story.worker_mark->visible_ns);
  }
  // And these whenever they do.
  const auto add = [&](const char* name, std::int64_t at_ns) {
    if (!is_known(at_ns)) return;
    const auto before = std::upper_bound(
        stages.begin(), stages.end(), at_ns,
        [](std::int64_t time_ns, const Stage& stage) { return time_ns < stage.at_ns; });
    stages.insert(before, {name, at_ns});
  };
  if (story.keeper_mark) add("durable", story.keeper_mark->durable_ns);
  add("answered", story.slot.answered_ns);
  if (story.keeper_mark) add("flushed", story.keeper_mark->flushed_ns);
  return stages;
}

const char* outcome_of(const Story& story) {
  switch (story.slot.outcome) {
    case TraceOutcome::kUnmatched:
      return "unmatched";
    case TraceOutcome::kAlias:
      return "alias";
    case TraceOutcome::kRefused:
      return "refused";
    case TraceOutcome::kAbandoned:
      return "abandoned";
    case TraceOutcome::kPlaced:
      break;
  }
  if (!story.worker_mark) return "unknown";
  switch (static_cast<LogKind>(story.worker_mark->kind)) {
    case LogKind::kApplied:
      return "applied";
    case LogKind::kDuplicate:
      return "duplicate";
    case LogKind::kRefused:
      return "refused";
    case LogKind::kDead:
      return "dead";
    case LogKind::kMerged:
      break;
  }
  return "unknown";
}

std::string code_of(const Story& story) {
  const std::string_view given = text_of(story.slot.code);
  if (!given.empty() || !story.worker_mark) return std::string(given);
  return reason_code(story.worker_mark->reason);
}

const char* ack_of(const Story& story) {
  if (story.slot.answered_ns == 0 || !text_of(story.slot.code).empty()) return "";
  return story.slot.ack == kTraceAckDurable ? "durable" : "applied";
}

bool is_whole(const Story& story) {
  if (story.slot.outcome != TraceOutcome::kPlaced) return true;
  if (!story.worker_mark || !story.keeper_mark || story.slot.answered_ns == 0) return false;
  return !is_flushed_later(story) || story.keeper_mark->flushed_ns != 0;
}

bool is_flushed_later(const Story& story) {
  return story.worker_mark && static_cast<LogKind>(story.worker_mark->kind) == LogKind::kApplied;
}

std::string hex_word(std::uint64_t word) {
  std::string digits(16, '0');
  for (auto at = digits.rbegin(); at != digits.rend(); ++at, word >>= 4U) {
    *at = "0123456789abcdef"[word & 15U];
  }
  return digits;
}

}  // namespace deja
