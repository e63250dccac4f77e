// Every code that a refused event can carry: stable words of the product, in answers and in
// deja_events_rejected_total{code="…"}. Immutable; any thread.
#pragma once

#include <cstring>
#include <string_view>

#include "ingest/extraction.h"

namespace deja {

namespace code {
inline constexpr char kBadJson[] = "bad_json";        ///< not JSON
inline constexpr char kBadMessage[] = "bad_message";  ///< stream: not a Cap'n Proto event
inline constexpr char kBadUtf8[] = "bad_utf8";        ///< a text that is not UTF-8
inline constexpr char kBadType[] = "bad_type";        ///< a member of the wrong JSON type
inline constexpr char kBadNumber[] = "bad_number";    ///< not finite, or beyond a double
inline constexpr char kBadTimestamp[] = "bad_timestamp";
inline constexpr char kMissingType[] = "missing_type";  ///< which call it is
inline constexpr char kUnknownType[] = "unknown_type";
inline constexpr char kMissingEvent[] = "missing_event";  ///< a track without its event's name
inline constexpr char kMissingUser[] = "missing_user";    ///< neither userId nor anonymousId
inline constexpr char kKeyTooLong[] = "key_too_long";
inline constexpr char kTooDeep[] = "too_deep";                   ///< beyond kDepthMax
inline constexpr char kTooManyValues[] = "too_many_values";      ///< beyond kCapturedMax
inline constexpr char kTooManyElements[] = "too_many_elements";  ///< beyond kElementsMax
inline constexpr char kEventTooLarge[] = "event_too_large";      ///< beyond kEventBytesMax
inline constexpr char kRingFull[] = "ring_full";                 ///< waited too long: resend later
inline constexpr char kJournalFull[] = "journal_full";           ///< no durable ack now: likewise
inline constexpr char kJournalFailed[] = "journal_failed";       ///< likewise
inline constexpr char kOther[] = "other";  ///< what a counter is called that no code above is for

// Given for an event that waits for its durable ack, and never counted as a rejection: the event
// was taken, and its worker counts what became of it (journal_full and journal_failed likewise,
// then).
inline constexpr char kJournalStalled[] = "journal_stalled";

// Given for what was not even looked at, so never counted among events: deja_rate_limited_total.
inline constexpr char kRateLimited[] = "rate_limited";

// Given by a worker, and counted by it.
inline constexpr char kTableFull[] = "table_full";        ///< a new user, and no room: resend later
inline constexpr char kBrokenRecord[] = "broken_record";  ///< it could not read what ingest built
}  // namespace code

/// The codes that ingest counts.
inline constexpr const char* kIngestCodes[] = {
    code::kBadJson,       code::kBadMessage,      code::kBadUtf8,       code::kBadType,
    code::kBadNumber,     code::kBadTimestamp,    code::kMissingType,   code::kUnknownType,
    code::kMissingEvent,  code::kMissingUser,     code::kKeyTooLong,    code::kTooDeep,
    code::kTooManyValues, code::kTooManyElements, code::kEventTooLarge, code::kRingFull,
    code::kJournalFull,   code::kJournalFailed,   code::kOther};

/// The codes with which ingest takes back the ack of an event that is in a ring.
inline constexpr const char* kAckCodes[] = {code::kJournalFull, code::kJournalFailed,
                                            code::kJournalStalled};

/// Whether it was only the wrong time (no room, no disk, too much at once): the same event may be
/// taken later. Any other refusal is final.
[[nodiscard]] inline bool worth_resending(const char* code) {
  for (const char* known : {code::kRingFull, code::kTableFull, code::kJournalFull,
                            code::kJournalFailed, code::kJournalStalled, code::kRateLimited}) {
    if (std::strcmp(code, known) == 0) return true;
  }
  return false;
}

/// Elements of one array that an event may have: the worker's limit too (workers/event.h).
inline constexpr std::uint32_t kElementCountMax = 1024;

/// Fills a refusal; a path longer than it holds is cut.
inline void refuse(Refusal& refusal, const char* code, const char* message,
                   std::string_view path = {}) {
  refusal.code = code;
  refusal.message = message;
  const std::size_t bytes =
      path.size() < sizeof refusal.path ? path.size() : sizeof refusal.path - 1;
  if (bytes != 0) std::memcpy(refusal.path, path.data(), bytes);
  refusal.path[bytes] = '\0';
}

}  // namespace deja
