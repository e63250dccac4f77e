// `deja dlq replay`: letters go through ingest as any client's events do, one by one, each marked
// once it was taken. Who dies in between sends it again the next time, which its id makes harmless.
#include <cstdio>

#include "shm/json_text.h"
#include "tools/dlq/dlq.h"
#include "tools/dlq/letter_box.h"
#include "tools/dlq/letter_event.h"
#include "tools/dlq/letter_text.h"
#include "tools/dlq/printable.h"
#include "tools/replay/send_target.h"
#include "tools/replay/sender.h"
#include "tools/replay/text_sender.h"

namespace deja {
namespace {

int complain(int status, const std::string& text) {
  std::fprintf(stderr, "deja: %s\n", text.c_str());
  return status;
}

std::string name_of(const DeadLetter& letter) {
  return "dead letter " + std::to_string(letter.number);
}

struct Counts {
  std::uint64_t replayed = 0;
  std::uint64_t before = 0;  ///< had been replayed
  std::uint64_t failed = 0;
  std::string ack_level;
};

class Replay {
 public:
  Replay(LetterBox& box, std::string address, std::string write_key)
      : box_(box), address_(std::move(address)), write_key_(std::move(write_key)) {}

  /// An Error: this letter is not replayed, and why. `fatal()`: nor will others be.
  Status send(const DeadLetter& letter) {
    if (is_rejected(letter)) return send_text_of(letter);
    if (box_.undecided(letter)) {
      return Error{"the journal does not have the decision about it yet", 0,
                   "Try again in a moment; see deja stat where that goes on"};
    }
    const LetterEvent event = read_letter_event(box_.scan(), letter);
    if (!event.fault.empty()) {
      return Error{event.fault, 0, "deja dlq show has all that is known of it"};
    }
    if (!box_.still_declared(event.event.type, event.event.name)) {
      return Error{"no event of the config matches it any more", 0,
                   "Declare it in [events] and start again"};
    }
    auto sender = make_http_sender(address_, write_key_);
    if (!sender) return sender.error();
    Status sent = (*sender)->send(event.event);
    if (sent.ok()) sent = (*sender)->finish();
    const SendCounts& counts = (*sender)->counts();
    if (!sent.ok()) {
      fatal_ = true;
      return sent;
    }
    if (counts.acked != 1) {
      const std::string code = counts.by_code.empty() ? "unknown" : counts.by_code.begin()->first;
      return Error{"the appliance refused it: " + code, 0,
                   "Where it kills its worker still, it is among the dead letters once more"};
    }
    return taken(letter, counts.ack_level);
  }
  [[nodiscard]] bool fatal() const { return fatal_; }
  [[nodiscard]] const std::string& ack_level() const { return ack_level_; }

 private:
  /// As it was: it may be rejected again, for the same reason or for another one.
  Status send_text_of(const DeadLetter& letter) {
    const LetterText text = read_letter_text(letter);
    if (!text.fault.empty()) {
      return Error{text.fault, 0, "deja dlq show has all that is known of it"};
    }
    const auto answer = send_text(address_, write_key_, text.route, text.body);
    if (!answer) {
      fatal_ = true;
      return answer.error();
    }
    if (!answer->taken) {
      return Error{"the appliance rejected it again: " +
                       printable(place_of_fault(answer->code, answer->path)),
                   0, "deja dlq show has its text: what is wrong in it can't be put right here"};
    }
    return taken(letter, answer->ack_level);
  }
  Status taken(const DeadLetter& letter, const std::string& ack_level) {
    ack_level_ = ack_level;
    if (Status marked = box_.marks().add(letter.number); !marked) {
      fatal_ = true;
      return Error{"it was taken, and is not marked: " + marked.error().message(), 0, {}};
    }
    return Done{};
  }

  LetterBox& box_;
  std::string address_;
  std::string write_key_;
  std::string ack_level_;
  bool fatal_ = false;
};

void say(const DlqOptions& options, const Counts& counts) {
  if (options.json) {
    std::string json = "{\"replayed\":" + std::to_string(counts.replayed) +
                       ",\"before\":" + std::to_string(counts.before) +
                       ",\"failed\":" + std::to_string(counts.failed) + ",\"ack\":";
    append_json_text(json, counts.ack_level);
    std::printf("%s}\n", json.c_str());
    return;
  }
  std::string text = std::to_string(counts.replayed) + " replayed";
  if (!counts.ack_level.empty()) text += " (" + counts.ack_level + ")";
  if (counts.before > 0) text += ", " + std::to_string(counts.before) + " had been before";
  if (counts.failed > 0) text += ", " + std::to_string(counts.failed) + " not";
  std::puts(text.c_str());
}

}  // namespace

int run_dlq_replay(const DlqOptions& options) {
  if (options.all == options.number.has_value()) {
    return complain(2, "say which letter: deja dlq replay N, or deja dlq replay --all");
  }
  const auto opened = LetterBox::open(options.appliance, options.durability);
  if (!opened) return complain(1, opened.error().message());
  LetterBox& box = **opened;
  Counts counts;
  if (box.scan().letters.empty() && options.all) {
    say(options, counts);
    return 0;
  }
  const DeadLetter* one = options.number ? box.find(*options.number) : nullptr;
  if (options.number && one == nullptr) {
    return complain(1, "there is no dead letter " + std::to_string(*options.number) +
                           ". deja dlq list shows all");
  }
  const auto target = send_target(options.appliance, "http", options.to);
  if (!target) return complain(1, target.error().message());
  if (Status locked = box.marks().lock(); !locked) return complain(1, locked.error().message());

  Replay replay(box, target->address, resolved_write_key(options.write_key));
  for (const DeadLetter& letter : box.scan().letters) {
    if (one != nullptr && &letter != one) continue;
    if (const auto before = box.marks().find(letter.number)) {
      ++counts.before;
      if (one == nullptr) continue;
      std::string when;
      append_instant(when, *before);
      return complain(1, name_of(letter) + " was replayed at " + when +
                             ": it is not sent again. deja get shows its user");
    }
    if (Status done = replay.send(letter); !done) {
      ++counts.failed;
      static_cast<void>(complain(1, name_of(letter) + ": " + done.error().message()));
      if (replay.fatal()) break;
      continue;
    }
    ++counts.replayed;
  }
  counts.ack_level = replay.ack_level();
  say(options, counts);
  return counts.failed == 0 ? 0 : 1;
}

}  // namespace deja
