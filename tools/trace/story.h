// One event's story: what ingest, worker and keeper left of it, put together. Plain data; any
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ring/trace_layout.h"

namespace deja {

struct Story {
  std::uint32_t ring = 0;    ///< number of the ingest thread
  std::uint32_t worker = 0;  ///< that has its user; where `placed`
  bool placed = false;       ///< it got into a ring
  TraceSlot slot{};
  std::optional<WorkerMark> worker_mark;
  std::optional<KeeperMark> keeper_mark;
  std::uint64_t trace_high = 0;  ///< the client's trace, or one of its own
  std::uint64_t trace_low = 0;
  std::uint64_t span = 0;           ///< of its own, never 0
  std::int64_t seen_ns = 0;         ///< when it was first looked at; CLOCK_MONOTONIC
  std::int64_t wall_offset_ns = 0;  ///< wall clock − the clock of all marks
  bool whole = false;               ///< nothing more will happen to it
};

/// A step of its way, and when it was done.
struct Stage {
  const char* name;
  std::int64_t at_ns;  ///< CLOCK_MONOTONIC
};

/// In the order of their times:
///   received   its bytes arrived
///   committed  read, checked, and laid into its worker's ring; or refused or done with, there
///   published  visible to its worker
///   taken      its batch begins
///   visible    renderers read its effect, and its position counts for acks
///   durable    the journal on disk has it
///   answered   its producer's answer is written
///   flushed    Redis has it
/// What is not known is left out, and what lies more than a day from when it was seen: whoever
/// wrote that is not believed.
[[nodiscard]] std::vector<Stage> stages_of(const Story& story);

/// "applied", "duplicate", "refused" (`code` says why), "dead", "unmatched", "alias", "abandoned"
/// (its ingest died before anybody had it), or "unknown" while no worker has said.
[[nodiscard]] const char* outcome_of(const Story& story);
/// Why it, or its ack, was refused; empty where that was not so.
[[nodiscard]] std::string code_of(const Story& story);
/// What its producer was told that it is: "applied", "durable" or, without an answer, "".
[[nodiscard]] const char* ack_of(const Story& story);

/// Whether nothing more is to be expected for it.
[[nodiscard]] bool is_whole(const Story& story);
/// Whether it has an effect that is to reach Redis, as far as its worker has said.
[[nodiscard]] bool is_flushed_later(const Story& story);

/// A text of a slot: up to its first zero.
template <std::size_t kBytes>
[[nodiscard]] std::string_view text_of(const char (&field)[kBytes]) {
  const std::string_view all(field, kBytes);
  return all.substr(0, all.find('\0'));
}

/// 16 digits.
[[nodiscard]] std::string hex_word(std::uint64_t word);

}  // namespace deja
