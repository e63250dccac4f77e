#include "tools/dlq/dlq.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "shm/json_text.h"
#include "tools/cli/terminal.h"
#include "tools/dlq/letter_box.h"
#include "tools/dlq/letter_event.h"
#include "tools/dlq/letter_text.h"
#include "tools/dlq/printable.h"
#include "tools/replay/event_json.h"

namespace deja {
namespace {

int complain(const std::string& text) {
  std::fprintf(stderr, "deja: %s\n", text.c_str());
  return 1;
}

const char* reason_text(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::kBrokenRecord:
      return "broken record";
    case RefusalReason::kPoison:
      return "poison";
    case RefusalReason::kRejected:
      return "rejected";
    case RefusalReason::kTableFull:
    case RefusalReason::kNone:
      break;
  }
  return "unknown";
}

std::string instant_of(std::int64_t time_us) {
  std::string text;
  append_instant(text, time_us);
  return text;
}

/// What a letter says of its event; empty where nothing can be read.
struct Names {
  std::vector<std::string> events;
  std::string user;
};

/// Of a rejected event; of another one, nothing.
LetterText text_of(const DeadLetter& letter) {
  return is_rejected(letter) ? read_letter_text(letter) : LetterText();
}

Names names_of(const LetterText& text, const LetterEvent& event) {
  if (!text.readable) return {event.kinds, event.readable ? event.user : std::string()};
  const SaidNames said = said_names(text);
  Names names{{}, said.user};
  if (!said.event.empty()) names.events.push_back(said.event);
  return names;
}

/// In the table.
std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : "+") + name;
  return text.empty() ? "?" : printable(text);
}

void append_texts(std::string& out, const std::vector<std::string>& texts) {
  out.push_back('[');
  for (std::size_t at = 0; at < texts.size(); ++at) {
    if (at != 0) out.push_back(',');
    append_json_text(out, texts[at]);
  }
  out.push_back(']');
}

std::string hex_of(std::span<const std::uint8_t> bytes) {
  constexpr std::array<char, 17> kDigits{"0123456789abcdef"};
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4U]);
    text.push_back(kDigits[byte & 15U]);
  }
  return text;
}

/// What list and show have in common, without the closing brace.
void append_letter(std::string& out, LetterBox& box, const DeadLetter& letter,
                   const LetterEvent& event, const LetterText& text) {
  const DeadLetterLayout& head = letter.head;
  out += "{\"number\":" + std::to_string(letter.number) + ",\"when\":\"" +
         instant_of(head.consumed_us) + "\",\"reason\":\"" + reason_text(head.reason) + "\"";
  if (is_rejected(letter)) {
    out += ",\"code\":";
    append_json_text(out, text.code);
    out += ",\"path\":";
    append_json_text(out, text.path);
  }
  out += ",\"worker\":" + std::to_string(head.worker) + ",\"ring\":" + std::to_string(head.ring) +
         ",\"position\":" + std::to_string(head.ring_position) + ",\"events\":";
  const Names names = names_of(text, event);
  append_texts(out, names.events);
  out += ",\"user\":";
  if (names.user.empty()) {
    out += "null";
  } else {
    append_json_text(out, names.user);
  }
  const auto replayed = box.marks().find(letter.number);
  out += ",\"replayed\":" + (replayed ? "\"" + instant_of(*replayed) + "\"" : "null");
}

/// In the table.
std::string reason_of(const DeadLetter& letter, const LetterText& text) {
  if (!is_rejected(letter)) return reason_text(letter.head.reason);
  return text.readable ? "rejected: " + printable(place_of_fault(text.code, text.path))
                       : "rejected";
}

/// What show has of a rejected event beyond that.
void append_text(std::string& out, const LetterText& text) {
  out += ",\"received\":\"" + instant_of(text.received_us) + "\",\"from\":\"" +
         (text.of_stream ? "stream" : "http") + "\",\"cut\":" + (text.cut ? "true" : "false") +
         ",\"text\":";
  append_json_text(out, text.text);
}

int say_damages(const LetterBox& box) {
  for (const std::string& damage : box.scan().damages) {
    static_cast<void>(complain(box.path() + ": " + damage));
  }
  return box.scan().damages.empty() ? 0 : 1;
}

}  // namespace

int run_dlq_list(const DlqOptions& options) {
  const auto opened = LetterBox::open(options.appliance, options.durability);
  if (!opened) return complain(opened.error().message());
  LetterBox& box = **opened;
  if (options.json) {
    std::string json = "[";
    for (const DeadLetter& letter : box.scan().letters) {
      if (json.size() > 1) json += ",\n";
      append_letter(json, box, letter, read_letter_event(box.scan(), letter), text_of(letter));
      json.push_back('}');
    }
    std::printf("%s]\n", json.c_str());
    return say_damages(box);
  }
  if (box.scan().letters.empty()) {
    std::puts("no dead letters");
    return say_damages(box);
  }
  std::vector<std::array<std::string, 7>> rows = {
      {"number", "when", "reason", "event", "user", "place", "replayed"}};
  for (const DeadLetter& letter : box.scan().letters) {
    const LetterText text = text_of(letter);
    const Names names = names_of(text, read_letter_event(box.scan(), letter));
    const auto replayed = box.marks().find(letter.number);
    rows.push_back({std::to_string(letter.number), instant_of(letter.head.consumed_us),
                    reason_of(letter, text), joined(names.events),
                    names.user.empty() ? "?" : printable(names.user),
                    "ring " + std::to_string(letter.head.ring) + "." +
                        std::to_string(letter.head.worker) + " at " +
                        std::to_string(letter.head.ring_position),
                    replayed ? instant_of(*replayed) : "no"});
  }
  std::array<std::size_t, 7> widths{};
  for (const auto& row : rows) {
    for (std::size_t at = 0; at < row.size(); ++at) {
      widths[at] = std::max(widths[at], text_columns(row[at]));
    }
  }
  const Style style = style_of(stdout);
  for (std::size_t line = 0; line < rows.size(); ++line) {
    std::string text;
    for (std::size_t at = 0; at < widths.size(); ++at) {
      text += at + 1 == widths.size() ? rows[line][at] : padded(rows[line][at], widths[at] + 2);
    }
    std::printf("%s%s%s\n", line == 0 ? style.bold : "", text.c_str(),
                line == 0 ? style.plain : "");
  }
  return say_damages(box);
}

int run_dlq_show(const DlqOptions& options) {
  const auto opened = LetterBox::open(options.appliance, options.durability);
  if (!opened) return complain(opened.error().message());
  LetterBox& box = **opened;
  const DeadLetter* letter = box.find(options.number.value_or(0));
  if (letter == nullptr) {
    return complain("there is no dead letter " + std::to_string(options.number.value_or(0)) +
                    ". deja dlq list shows all");
  }
  const LetterEvent event = read_letter_event(box.scan(), *letter);
  const LetterText text = text_of(*letter);
  std::string json;
  append_letter(json, box, *letter, event, text);
  if (letter->head.sequence != 0) {
    json += ",\"shard\":" + std::to_string(letter->head.shard) +
            ",\"sequence\":" + std::to_string(letter->head.sequence) +
            ",\"settled\":" + (letter->settled ? "true" : "false");
  }
  if (text.readable) append_text(json, text);
  if (event.readable) {
    json += ",\"received\":\"" + instant_of(event.received_us) + "\",\"event\":";
    append_event_json(json, event.event);
  } else if (!text.readable) {
    json += ",\"event\":null";
  }
  json += ",\"not_replayable\":";
  const std::string& fault = is_rejected(*letter) ? text.fault : event.fault;
  if (fault.empty()) {
    json += "null";
  } else {
    append_json_text(json, fault);
  }
  std::printf("%s,\"record_bytes\":%u,\"record\":\"%s\"}\n", json.c_str(),
              letter->head.record_bytes, hex_of(letter->record).c_str());
  return 0;
}

}  // namespace deja
