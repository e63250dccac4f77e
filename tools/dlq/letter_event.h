// A dead letter as an event that can be shown and sent again: its record read with the catalog that
// it was written under, kinds by name, values by path. Both may be anybody's bytes. Any thread.
//
// What ingest had not extracted is not in a record: the event that is made of it has the declared
// fields alone, which is all that any feature reads.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ingest/message_id.h"
#include "tools/replay/row_event.h"
#include "workers/dead_letters/dead_letter_scan.h"

namespace deja {

struct LetterEvent {
  bool readable = false;           ///< all below is there, but for `fault`
  std::vector<std::string> kinds;  ///< the config's names
  std::string user;                ///< "anon:ID" for an anonymous one
  std::int64_t received_us = 0;
  MessageId id;
  ReplayEvent event;  ///< with the id that it is replayed under
  std::string fault;  ///< why it can't be replayed; empty: it can
};

[[nodiscard]] LetterEvent read_letter_event(const DeadLetterScan& scan, const DeadLetter& letter);

/// The id to replay it under.
///  - Its own, in the form that ingest takes bits of (ingest/message_id.h): whichever came first,
///  the
///    replay or a client's resend, is the one that is applied.
///  - Where it was decided dead with a sequence its id is remembered, and would be a duplicate: one
///    that is made of it, always the same. The decision, settled, says that it never has its effect
///    by itself.
///  - Where it had none, one made of the file and the number.
[[nodiscard]] std::string replay_id(const DeadLetterHeaderLayout& file, const DeadLetter& letter,
                                    const MessageId& id);

}  // namespace deja
