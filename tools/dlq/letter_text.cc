#include "tools/dlq/letter_text.h"

#include <array>
#include <vector>

#include "ring/rejected_event.h"
#include "tools/replay/json_members.h"

namespace deja {
namespace {

/// By RejectedEvent::call.
constexpr std::array<const char*, 7> kRoutes = {
    "/v1/batch", "/v1/track", "/v1/page", "/v1/screen", "/v1/group", "/v1/identify", "/v1/alias"};

}  // namespace

LetterText read_letter_text(const DeadLetter& letter) {
  LetterText made;
  const auto event = letter.head.record_bytes == letter.record.size()
                         ? rejected_event_of(letter.record)
                         : std::nullopt;
  if (!event) {
    made.fault = "its bytes are no rejected event's";
    return made;
  }
  made.readable = true;
  made.code = event->code;
  made.path = event->path;
  made.received_us = event->received_us;
  made.of_stream = event->form == RejectedForm::kStream;
  made.cut = event->cut;
  made.text = event->text;
  made.route = kRoutes.at(event->call);
  made.body = event->form == RejectedForm::kBody ? made.text : "{\"batch\":[" + made.text + "]}";
  if (made.cut) made.fault = "not all of it was kept";
  return made;
}

SaidNames said_names(const LetterText& text) {
  // It was rejected, so any of this may be missing or something else.
  const std::vector<std::string> said =
      json_members(text.text, {"event", "type", "userId", "anonymousId"});
  return {!said[0].empty() ? said[0] : said[1],
          !said[2].empty() || said[3].empty() ? said[2] : "anon:" + said[3]};
}

std::string place_of_fault(const std::string& code, const std::string& path) {
  return path.empty() ? code : code + " at " + path;
}

}  // namespace deja
