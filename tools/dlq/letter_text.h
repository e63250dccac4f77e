// The dead letter of an event that ingest rejected (ring/rejected_event.h): its text, and how it is
// sent again as it was. Its bytes may be anybody's. Any thread.
#pragma once

#include <string>

#include "workers/dead_letters/dead_letter_scan.h"

namespace deja {

struct LetterText {
  bool readable = false;  ///< all below is there
  std::string code;       ///< why it was rejected
  std::string path;       ///< where, within the event
  std::int64_t received_us = 0;
  bool of_stream = false;
  bool cut = false;
  std::string text;   ///< as it was received; of the stream: put into JSON
  std::string route;  ///< to send it to
  std::string body;   ///< to send
  std::string fault;  ///< why it can't be replayed; empty: it can
};

[[nodiscard]] inline bool is_rejected(const DeadLetter& letter) {
  return letter.head.reason == RefusalReason::kRejected;
}

[[nodiscard]] LetterText read_letter_text(const DeadLetter& letter);

/// What the text says of its event, and whose it is; empty where it says nothing that can be read.
struct SaidNames {
  std::string event;
  std::string user;
};
[[nodiscard]] SaidNames said_names(const LetterText& text);

/// "CODE at PATH", or "CODE".
[[nodiscard]] std::string place_of_fault(const std::string& code, const std::string& path);

}  // namespace deja
