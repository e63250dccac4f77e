// [[test]]: events to make in memory, and what the features must say afterwards.
#include <algorithm>
#include <charconv>

#include "shm/nearest_name.h"
#include "tools/config/duration.h"
#include "tools/config/field_path.h"
#include "tools/config/sections.h"
#include "workers/event.h"

namespace deja {
namespace {

// Every test happens at the same instant, so that it gives the same today and tomorrow: noon of a
// day, 2026-01-01T12:00:00Z.
constexpr std::int64_t kTestNowUs = 1'767'268'800 * std::int64_t{1'000'000};
constexpr std::int64_t kEventsMax = 1'000'000;

class TestReader {
 public:
  TestReader(const TomlValue& value, std::string where, const Config& config, Mistakes& mistakes)
      : reader_(&value, std::move(where), mistakes), config_(config), mistakes_(mistakes) {
    test_.place = value.place;
    for (const EventConfig& event : config.events) {
      if (event.name != kIdentifyEvent) event_names_.push_back(event.name);
    }
    for (const FeatureConfig& feature : config.features) feature_names_.push_back(feature.name);
  }

  TestConfig read(std::size_t number) {
    test_.name = reader_.text("name").value_or("test " + std::to_string(number));
    test_.user = reader_.text("user").value_or("user");
    test_.at_us = read_instant(reader_);
    read_send();
    read_expect();
    reader_.finish();
    return std::move(test_);
  }

 private:
  /// `at` as an offset from the test's now or as an instant of its own.
  std::int64_t read_instant(TableReader& reader) {
    const TomlValue* value = reader.take("at");
    if (value == nullptr) return kTestNowUs;
    if (value->kind == TomlKind::kText || value->kind == TomlKind::kTime) {
      if (const auto offset_us = parse_offset(value->text)) return kTestNowUs + *offset_us;
      if (const auto instant_us = parse_instant(value->text)) return *instant_us;
    }
    reader.wrong("at", *value,
                 "write an offset from the test's now (\"-2h\") or an instant "
                 "(2026-01-31T12:00:00Z)");
    return kTestNowUs;
  }

  void read_send() {
    const TomlValue* send = reader_.take("send");
    if (send == nullptr) return;
    if (send->kind != TomlKind::kArray) {
      reader_.wrong("send", *send, "write a list: [\"view*5\", { event = \"view\" }]");
      return;
    }
    for (const TomlValue& element : send->elements) {
      if (element.kind == TomlKind::kText) {
        read_short(element);
      } else if (element.kind == TomlKind::kTable) {
        read_long(element);
      } else {
        reader_.wrong("send", element, "write \"view\", \"view*5\" or { event = \"view\", ... }");
      }
    }
  }

  /// "view" or "view*5".
  void read_short(const TomlValue& element) {
    const std::string_view text = element.text;
    const std::size_t star = text.find('*');
    std::int64_t count = 1;
    if (star != std::string_view::npos) {
      const char* end = text.data() + text.size();
      const auto [stopped, fault] = std::from_chars(text.data() + star + 1, end, count);
      if (fault != std::errc{} || stopped != end || count < 1 || count > kEventsMax) {
        reader_.wrong("send", element, "write how many after the star: \"view*5\"");
        return;
      }
    }
    const std::optional<std::size_t> event =
        find_event(reader_, "send", element, text.substr(0, star));
    if (!event) return;
    add({kinds_of(config_.events[*event]),
         kTestNowUs,
         static_cast<std::uint32_t>(count),
         test_.user,
         {}},
        element.place);
  }

  void read_long(const TomlValue& element) {
    TableReader reader(&element, reader_.where("send"), mistakes_);
    SentEvent event;
    event.at_us = read_instant(reader);
    event.count = static_cast<std::uint32_t>(reader.integer("n", 1, kEventsMax).value_or(1));
    event.user = reader.text("user").value_or(test_.user);
    const TomlValue* traits = reader.take("identify");
    const TomlValue* name = reader.take("event");
    if (traits != nullptr && name == nullptr) {
      event.kinds = kinds_of({{}, EventCall::kIdentify, "*", {}});
      read_traits(TableReader(traits, reader.where("identify"), mistakes_), event);
    } else if (name != nullptr && name->kind == TomlKind::kText && traits == nullptr) {
      const std::optional<std::size_t> declared = find_event(reader, "event", *name, name->text);
      if (!declared) return;
      event.kinds = kinds_of(config_.events[*declared]);
      read_fields(reader, config_.events[*declared], event);
    } else {
      reader.wrong("found neither an event nor a call",
                   "write event = \"...\", or identify = { plan = \"pro\" }");
      return;
    }
    reader.finish();
    add(std::move(event), element.place);
  }

  void add(SentEvent event, TomlPlace place) {
    total_ += event.count;
    if (total_ > kEventsMax) {
      mistakes_.add(place, reader_.where("send"), "more than 1000000 events", "send fewer");
      return;
    }
    test_.send.push_back(std::move(event));
  }

  std::optional<std::size_t> find_event(TableReader& reader, std::string_view key,
                                        const TomlValue& value, std::string_view name) {
    const auto at = std::find(event_names_.begin(), event_names_.end(), name);
    if (at != event_names_.end()) return static_cast<std::size_t>(at - event_names_.begin());
    const auto nearest = nearest_name(name, event_names_);
    reader.wrong(
        key, value, "unknown event \"" + std::string(name) + "\"",
        nearest ? "did you mean \"" + std::string(*nearest) + "\"?" : "declare it in [events]");
    return std::nullopt;
  }

  /// Every entry that matches applies: as ingest would recognise this one.
  [[nodiscard]] std::uint64_t kinds_of(const EventConfig& sent) const {
    std::uint64_t kinds = 0;
    for (std::size_t at = 0; at < config_.events.size(); ++at) {
      const EventConfig& event = config_.events[at];
      const bool matches = event.match == sent.match || event.match == "*";
      if (event.call == sent.call && matches) kinds |= std::uint64_t{1} << at;
    }
    return kinds;
  }

  // A field's name may have dots, which TOML reads as tables in tables.
  void read_fields(TableReader& reader, const EventConfig& declared, SentEvent& event) {
    for (const FieldConfig& field : declared.fields) {
      const std::string_view first = std::string_view(field.name).substr(0, field.name.find('.'));
      const TomlValue* value = reader.take(field.name);
      if (value == nullptr && first.size() < field.name.size()) {
        value = reader.take(first);
        for (std::string_view rest = std::string_view(field.name).substr(first.size() + 1);
             value != nullptr;) {
          const std::size_t dot = rest.find('.');
          value = value->kind == TomlKind::kTable ? value->find(rest.substr(0, dot)) : nullptr;
          if (dot == std::string_view::npos) break;
          rest.remove_prefix(dot + 1);
        }
      }
      if (value != nullptr) set(reader, field.name, field.path, *value, event);
    }
  }

  void read_traits(TableReader reader, SentEvent& event) {
    for (const TomlEntry& entry : reader.entries()) {
      const std::string path = "traits." + entry.key;
      if (find_slot(config_.slots, path)) {
        (void)reader.take(entry.key);
        set(reader, entry.key, path, entry.value, event);
      } else {
        mistakes_.add(entry.place, reader.where(), "no feature looks at " + path,
                      "leave it out, or declare a trait");
      }
    }
  }

  void set(TableReader& reader, std::string_view name, const std::string& path,
           const TomlValue& value, SentEvent& event) {
    const std::optional<std::uint16_t> slot = find_slot(config_.slots, path);
    if (!slot) return;  // its path was wrong and has been noted
    if (value.kind != TomlKind::kArray) return set_one(reader, name, *slot, 0, value, event);
    if (config_.slots[*slot].root == 0) {
      return reader.wrong(name, value, "\"" + path + "\" is one value, not an array");
    }
    if (value.elements.size() > kElementsMax) {
      return reader.wrong(name, value, "an event has at most 1024 elements");
    }
    for (std::size_t at = 0; at < value.elements.size(); ++at) {
      set_one(reader, name, *slot, static_cast<std::uint16_t>(at), value.elements[at], event);
    }
  }

  void set_one(TableReader& reader, std::string_view name, std::uint16_t slot,
               std::uint16_t element, const TomlValue& value, SentEvent& event) {
    SentValue set{slot, element, ValueKind::kNull, value.number, value.text};
    switch (value.kind) {
      case TomlKind::kText:
        set.kind = ValueKind::kText;
        break;
      case TomlKind::kInteger:
      case TomlKind::kNumber:
        set.kind = ValueKind::kNumber;
        break;
      case TomlKind::kBool:
        set.kind = ValueKind::kBool;
        set.number = value.truth ? 1 : 0;
        break;
      case TomlKind::kTable:
        if (value.entries.empty()) break;  // {} is null
        [[fallthrough]];
      case TomlKind::kTime:
      case TomlKind::kArray:
        return reader.wrong(name, value, "write a text, a number, true, false, or {} for null");
    }
    event.values.push_back(std::move(set));
  }

  void read_expect() {
    const TomlValue* value = reader_.take("expect");
    if (value == nullptr) {
      return reader_.wrong("it expects nothing", "give expect = { feature = value }");
    }
    TableReader expect(value, reader_.where("expect"), mistakes_);
    for (const TomlEntry& entry : expect.entries()) {
      const auto at = std::find(feature_names_.begin(), feature_names_.end(), entry.key);
      if (at != feature_names_.end()) {
        const auto feature = static_cast<std::size_t>(at - feature_names_.begin());
        test_.expect.push_back({feature, entry.value});
        continue;
      }
      const auto nearest = nearest_name(entry.key, feature_names_);
      mistakes_.add(
          entry.place, expect.where(), "unknown feature \"" + entry.key + "\"",
          nearest ? "did you mean \"" + std::string(*nearest) + "\"?" : "declare it in [features]");
    }
  }

  TableReader reader_;
  const Config& config_;
  Mistakes& mistakes_;
  std::vector<std::string> event_names_;
  std::vector<std::string> feature_names_;
  TestConfig test_;
  std::int64_t total_ = 0;
};

}  // namespace

void read_tests(const TomlValue* section, Config& config, Mistakes& mistakes) {
  if (section == nullptr) return;
  if (section->kind != TomlKind::kArray) {
    mistakes.add(section->place, "[[test]]", "found " + shown(*section),
                 "each test begins with [[test]]");
    return;
  }
  // Against features that are half read, right tests would look wrong.
  if (!mistakes.none()) return;
  for (std::size_t at = 0; at < section->elements.size(); ++at) {
    const std::string where = "[[test]] " + std::to_string(at + 1);
    config.tests.push_back(TestReader(section->elements[at], where, config, mistakes).read(at + 1));
  }
}

}  // namespace deja
