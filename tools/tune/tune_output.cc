#include "tools/tune/tune_output.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "shm/json_text.h"
#include "tools/cli/terminal.h"
#include "tuning/knobs/families.h"

namespace deja {
namespace {

using tuning::Deed;
using tuning::Finding;
using tuning::KnobState;
using tuning::Outcome;
using tuning::Place;
using tuning::PlaceKind;
using tuning::PlaceValue;
using tuning::Row;
using tuning::Write;

constexpr std::size_t kColumnsOfWant = 30;
constexpr std::size_t kColumnsOfHave = 34;

/// At most so many columns of `text`; what was cut is in --json and `explain`.
std::string cut(const std::string& text, std::size_t columns) {
  if (text_columns(text) <= columns) return text;
  std::string kept;
  std::size_t count = 0;
  for (const char c : text) {
    const bool begins_a_character = (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    if (begins_a_character && ++count == columns) break;
    kept += c;
  }
  return kept + "…";
}

const char* colour(const Style& style, KnobState state) {
  switch (state) {
    case KnobState::kOk:
      return style.green;
    case KnobState::kDiffers:
      return style.yellow;
    case KnobState::kUnreadable:
      return style.red;
    default:
      return style.dim;
  }
}

/// What stands under WHY: for what is not looked at, why not.
std::string reason(const Row& row) {
  const KnobState state = row.finding.state;
  const bool is_about_the_host = state == KnobState::kOk || state == KnobState::kDiffers;
  return is_about_the_host ? row.knob->why : row.finding.note;
}

/// What a shell takes as it stands.
std::string quoted(const std::string& text) {
  const bool is_plain = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == ',' || c == '_' || c == '+' || c == '.' || c == '/';
  });
  if (is_plain) return text;
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

std::string on_one_line(const std::string& text) {
  std::string line;
  for (const char c : text) line += c == '\n' ? ' ' : c;
  return line;
}

std::string command_of(const Place& place, const PlaceValue& value) {
  switch (place.kind) {
    case PlaceKind::kDirectory:
      return (value ? "mkdir " : "rmdir ") + quoted(place.path);
    case PlaceKind::kFile:
      return value ? "printf %s " + quoted(*value) + " > " + quoted(place.path)
                   : "rm " + quoted(place.path);
    default:
      return "echo " + quoted(value.value_or("")) + " > " + quoted(place.path);
  }
}

std::string value_text(const Place& place, const PlaceValue& value) {
  if (place.kind == PlaceKind::kDirectory) return value ? "there" : "not there";
  if (place.kind == PlaceKind::kFile) return value ? "a file" : "not there";
  return value ? (value->empty() ? "empty" : on_one_line(*value)) : "not there";
}

const char* outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kDone:
      return "done";
    case Outcome::kAsItWas:
      return "as it was";
    case Outcome::kRefused:
      return "refused";
    case Outcome::kGone:
      return "gone";
  }
  return "";
}

class Json {
 public:
  Json& key(const char* name) {
    separate();
    append_json_text(out_, name);
    out_ += ':';
    is_first_ = true;
    return *this;
  }
  Json& text(std::string_view value) {
    separate();
    append_json_text(out_, value);
    return *this;
  }
  Json& value(const PlaceValue& value) { return value ? text(*value) : raw("null"); }
  Json& raw(const char* word) {
    separate();
    out_ += word;
    return *this;
  }
  Json& truth(bool is_so) { return raw(is_so ? "true" : "false"); }
  Json& open(char bracket) {
    separate();
    out_ += bracket;
    is_first_ = true;
    return *this;
  }
  Json& close(char bracket) {
    out_ += bracket;
    is_first_ = false;
    return *this;
  }
  [[nodiscard]] const std::string& out() const { return out_; }

 private:
  void separate() {
    if (!is_first_) out_ += ',';
    is_first_ = false;
  }
  std::string out_;
  bool is_first_ = true;
};

void add_finding(Json& json, const Row& row) {
  const Finding& finding = row.finding;
  json.key("knob").text(row.knob->name);
  json.key("want").text(finding.want);
  json.key("have").text(finding.have);
  json.key("state").text(knob_state_name(finding.state));
  json.key("why").text(row.knob->why);
  json.key("note").text(finding.note);
  json.key("writes").open('[');
  for (const Write& write : finding.writes) {
    json.open('{').key("path").text(write.place.path).key("old").value(write.old);
    json.key("new").value(write.value).close('}');
  }
  json.close(']').key("by_hand").open('[');
  for (const std::string& what : finding.by_hand) json.text(what);
  json.close(']');
}

}  // namespace

std::string check_text(const tuning::Host& host, const std::vector<Row>& rows) {
  const Style style = style_of(stdout);
  const std::array<const char*, 5> heads = {"KNOB", "WANT", "HAVE", "STATE", "WHY"};
  std::array<std::size_t, 4> widths = {4, 4, 4, 10};
  for (const Row& row : rows) {
    widths[0] = std::max(widths[0], row.knob->name.size());
    widths[1] = std::max(widths[1], text_columns(cut(row.finding.want, kColumnsOfWant)));
    widths[2] = std::max(widths[2], text_columns(cut(row.finding.have, kColumnsOfHave)));
  }
  std::string text = style.bold;
  for (std::size_t at = 0; at < widths.size(); ++at) text += padded(heads[at], widths[at]) + "  ";
  text.append(heads[4]).append(style.plain).append("\n");
  std::size_t differs = 0;
  std::size_t unreadable = 0;
  std::size_t writes = 0;
  for (const Row& row : rows) {
    const Finding& finding = row.finding;
    text += padded(row.knob->name, widths[0]) + "  ";
    text +=
        padded(cut(finding.want.empty() ? "-" : finding.want, kColumnsOfWant), widths[1]) + "  ";
    text +=
        padded(cut(finding.have.empty() ? "-" : finding.have, kColumnsOfHave), widths[2]) + "  ";
    text.append(colour(style, finding.state));
    text.append(padded(knob_state_name(finding.state), widths[3])).append(style.plain);
    text.append("  ").append(reason(row)).append("\n");
    differs += finding.state == KnobState::kDiffers ? 1 : 0;
    unreadable += finding.state == KnobState::kUnreadable ? 1 : 0;
    writes += finding.writes.size();
  }
  std::string notes;
  for (const Row& row : rows) {
    const bool is_said = row.finding.state != KnobState::kDiffers || row.finding.note.empty();
    if (!is_said) notes += row.knob->name + ": " + row.finding.note + "\n";
  }
  if (!notes.empty()) text += "\n" + notes;
  const std::string by_hand = by_hand_text(rows);
  if (!by_hand.empty()) text += "\nBy hand:\n" + by_hand;
  if (!host.appliance.empty()) {
    text +=
        "\nThe appliance's cores are " + host.appliance.list() +
        (host.siblings.empty() ? "" : ", beside siblings " + host.siblings.list()) +
        "; for the rest of the host " +
        (host.housekeeping.empty() ? "nothing is left" : host.housekeeping.list() + " is left") +
        ".\n";
  }
  if (differs + unreadable == 0) return text + "\nThe host has what is wanted.\n";
  text += "\n" + std::to_string(differs) + " differ";
  if (unreadable != 0) text += ", " + std::to_string(unreadable) + " can't be read";
  text += ". deja tune explain KNOB says what one costs";
  if (writes != 0) text += "; deja tune apply says what it would write";
  return text + ".\n";
}

std::string check_json(const tuning::Host& host, const std::vector<Row>& rows) {
  Json json;
  json.open('{').key("ok").truth(all_right(rows));
  json.key("appliance_cores").text(host.appliance.list());
  json.key("sibling_cores").text(host.siblings.list());
  json.key("housekeeping_cores").text(host.housekeeping.list());
  json.key("boot_line").text(tuning::boot_line(host));
  json.key("knobs").open('[');
  for (const Row& row : rows) {
    json.open('{');
    add_finding(json, row);
    json.close('}');
  }
  return json.close(']').close('}').out() + "\n";
}

std::string explanation_text(const Row& row) {
  const Finding& finding = row.finding;
  std::string text = row.knob->name + ": " + row.knob->why + "\n\n" + row.knob->does + "\n\n";
  text += "Costs    " + row.knob->costs + "\nMeasure  " + row.knob->measure + "\n\n";
  text += "Here     " + std::string(knob_state_name(finding.state));
  if (!finding.want.empty()) text += "\nWant     " + finding.want;
  if (!finding.have.empty()) text += "\nHave     " + finding.have;
  if (!finding.note.empty()) text += "\nNote     " + finding.note;
  text += "\n";
  for (const Write& write : finding.writes) {
    text += "Apply    " + command_of(write.place, write.value) + "\n";
  }
  for (const std::string& what : finding.by_hand) text += "By hand  " + what + "\n";
  return text;
}

std::string explanation_json(const Row& row) {
  Json json;
  json.open('{');
  add_finding(json, row);
  json.key("does").text(row.knob->does).key("costs").text(row.knob->costs);
  return json.key("measure").text(row.knob->measure).close('}').out() + "\n";
}

std::string by_hand_text(const std::vector<Row>& rows) {
  // What several knobs ask for, such as a boot line, is said once.
  std::vector<std::pair<std::string, std::string>> said;
  for (const Row& row : rows) {
    for (const std::string& what : row.finding.by_hand) {
      const auto known = std::find_if(said.begin(), said.end(),
                                      [&](const auto& one) { return one.second == what; });
      if (known == said.end()) {
        said.emplace_back(row.knob->name, what);
      } else {
        known->first += ", " + row.knob->name;
      }
    }
  }
  std::string text;
  for (const auto& [knobs, what] : said) text += "  " + knobs + ": " + what + "\n";
  return text;
}

std::string dry_run_text(const std::vector<Row>& rows, const std::string& state) {
  std::string text;
  for (const Row& row : rows) {
    if (!row.finding.writes.empty()) text += "# " + row.knob->name + ": " + row.knob->why + "\n";
    for (const Write& write : row.finding.writes) {
      text += command_of(write.place, write.value);
      if (write.place.kind != PlaceKind::kDirectory) {
        text += "   # was " + value_text(write.place, write.old);
      }
      text += "\n";
    }
  }
  std::string by_hand = by_hand_text(rows);
  if (!by_hand.empty()) by_hand = "\nBy hand:\n" + by_hand;
  if (text.empty()) return "There is nothing to write.\n" + by_hand;
  return text + by_hand +
         "\nNothing was written. With --yes this is written, and what is there now is saved first, "
         "in " +
         state + ".\n";
}

std::string deeds_text(const std::vector<Deed>& deeds) {
  std::string text;
  for (const Deed& deed : deeds) {
    text += padded(outcome_name(deed.outcome), 9) + "  " + padded(deed.knob, 15) + "  " +
            deed.place.path + "  " + value_text(deed.place, deed.from);
    if (deed.outcome == Outcome::kDone || deed.outcome == Outcome::kRefused) {
      text += " → " + value_text(deed.place, deed.to);
    }
    if (!deed.note.empty()) text += "  (" + deed.note + ")";
    text += "\n";
  }
  return text;
}

std::string deeds_json(const std::vector<Deed>& deeds, bool is_dry) {
  Json json;
  json.open('{').key("ok").truth(all_done(deeds)).key("dry_run").truth(is_dry);
  json.key("places").open('[');
  for (const Deed& deed : deeds) {
    json.open('{').key("knob").text(deed.knob).key("path").text(deed.place.path);
    json.key("from").value(deed.from).key("to").value(deed.to);
    json.key("outcome").text(is_dry ? "would be written" : outcome_name(deed.outcome));
    json.key("expected").truth(deed.is_expected);
    json.key("note").text(deed.note).close('}');
  }
  return json.close(']').close('}').out() + "\n";
}

}  // namespace deja
