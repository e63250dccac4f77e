// [events]: how events are recognised and which fields they have.
#include <algorithm>
#include <array>

#include "tools/config/field_path.h"
#include "tools/config/sections.h"

namespace deja {
namespace {

constexpr std::size_t kMatchBytesMax = 256;
constexpr std::array<std::string_view, 5> kRecognisers = {"track", "page", "screen", "group",
                                                          "identify"};

/// The one recogniser of an entry; false where there is not exactly one, and right.
bool read_recogniser(TableReader& reader, EventConfig& event) {
  std::vector<std::size_t> found;
  for (std::size_t at = 0; at < kRecognisers.size(); ++at) {
    if (reader.take(kRecognisers[at]) != nullptr) found.push_back(at);
  }
  const std::string right =
      "give one of track, page, screen, group (a name or \"*\"), or identify = true";
  if (found.empty()) {
    reader.wrong("nothing says how it is recognised", right);
    return false;
  }
  if (found.size() > 1) {
    const std::string_view second = kRecognisers[found[1]];
    reader.wrong(
        second, *reader.take(second),
        "recognised by " + std::string(kRecognisers[found[0]]) + " and by " + std::string(second),
        "give one of them, and the other its own entry");
    return false;
  }
  const std::string_view key = kRecognisers[found[0]];
  event.call = static_cast<EventCall>(found[0]);
  if (event.call == EventCall::kIdentify) {
    event.match = "*";
    const std::optional<bool> is_identify = reader.boolean(key);
    if (is_identify.has_value() && !*is_identify) {
      reader.wrong(key, *reader.take(key), "write identify = true");
    }
    return is_identify.value_or(false);
  }
  const std::optional<std::string> match = reader.text(key);
  if (!match) return false;
  event.match = *match;
  if (!match->empty() && match->size() <= kMatchBytesMax) return true;
  reader.wrong(key, *reader.take(key), "write a name of 1 to 256 bytes, or \"*\" for any");
  return false;
}

void read_fields(TableReader& reader, EventConfig& event) {
  for (const TomlEntry& entry : reader.entries()) {
    if (std::find(kRecognisers.begin(), kRecognisers.end(), entry.key) != kRecognisers.end()) {
      continue;
    }
    (void)reader.take(entry.key);
    const std::string name_fault = field_name_fault(entry.key);
    if (!name_fault.empty()) {
      reader.mistakes().add(entry.place, reader.where(), "found \"" + entry.key + "\"", name_fault);
      continue;
    }
    if (entry.value.kind != TomlKind::kText) {
      reader.wrong(entry.key, entry.value,
                   "a field is a path in quotes: \"properties.product_id\"");
      continue;
    }
    const std::string path_fault = field_path_fault(entry.value.text);
    if (!path_fault.empty()) reader.wrong(entry.key, entry.value, path_fault);
    // A wrong path is not a missing field: features that use it are checked all the same.
    event.fields.push_back({entry.key, path_fault.empty() ? entry.value.text : "properties.x"});
  }
}

}  // namespace

void read_events(const TomlValue* section, Config& config, Mistakes& mistakes) {
  TableReader reader(section, "[events]", mistakes);
  for (const TomlEntry& entry : reader.entries()) {
    (void)reader.take(entry.key);
    if (!is_plain_name(entry.key, "_-", 64)) {
      mistakes.add(entry.place, reader.where(), "found \"" + entry.key + "\"",
                   "an event's name is 1 to 64 of A-Z a-z 0-9 _ -");
    }
    TableReader event_reader(&entry.value, reader.where(entry.key), mistakes);
    if (!event_reader.is_table()) continue;
    EventConfig event;
    event.name = entry.key;
    (void)read_recogniser(event_reader, event);
    read_fields(event_reader, event);
    event_reader.finish();
    config.events.push_back(std::move(event));
  }
  if (config.events.size() > kDeclaredEventsMax) {
    mistakes.add(reader.entries()[kDeclaredEventsMax].place, reader.where(),
                 "found " + std::to_string(config.events.size()) + " events",
                 "there is room for " + std::to_string(kDeclaredEventsMax));
    config.events.resize(kDeclaredEventsMax);
  }
  config.slots = number_slots(config.events);
  if (config.slots.size() > kSlotsMax) {
    reader.wrong("the fields have " + std::to_string(config.slots.size()) + " different paths",
                 "there is room for " + std::to_string(kSlotsMax));
  }
}

}  // namespace deja
