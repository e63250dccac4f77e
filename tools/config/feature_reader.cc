// One feature: every option against its type, every expression against the events that feed it.
#include "tools/config/feature_reader.h"

#include <algorithm>

#include "shm/columns/column_size.h"
#include "shm/nearest_name.h"
#include "tools/config/duration.h"
#include "tools/config/feature_options.h"
#include "tools/config/field_path.h"
#include "workers/expression/expression.h"

namespace deja {
namespace {

constexpr std::int64_t kDayUs = std::int64_t{86'400} * 1'000'000;
constexpr std::int64_t kLongestUs = 36'525 * kDayUs;
constexpr std::uint32_t kPanesDefault = 12;
constexpr std::uint32_t kTextBytesDefault = 48;
constexpr std::int64_t kKeepLongest = 256;
constexpr std::int64_t kTrackMost = 1'024;
constexpr double kWeightMax = 1e9;

/// Reads one feature. Its events are those of `config`, and "$identify", which it makes.
class FeatureReader {
 public:
  FeatureReader(const TomlEntry& entry, const std::string& where, Config& config,
                Mistakes& mistakes)
      : reader_(&entry.value, where, mistakes), config_(config), mistakes_(mistakes) {
    feature_.name = entry.key;
  }

  /// True where it could be read; what is wrong has been noted.
  bool read() {
    const std::size_t mistakes_before = mistakes_.count();
    if (!reader_.is_table() || !read_type()) return false;
    read_sources();
    read_window();
    read_sizes();
    read_weights();
    read_expressions();
    reader_.finish();
    if (mistakes_.count() != mistakes_before) return false;
    // What the columns can't hold and nothing above has found.
    if (const char* fault = spec_fault(feature_.spec)) reader_.wrong(fault, "change it");
    return mistakes_.count() == mistakes_before;
  }

  [[nodiscard]] const FeatureConfig& feature() const { return feature_; }

 private:
  bool read_type() {
    const TomlValue* type = reader_.take("type");
    if (type == nullptr) {
      std::string list;
      for (const std::string_view name : kFeatureTypes)
        list.append(list.empty() ? "" : ", ").append(name);
      reader_.wrong("no type", "give type = one of " + list);
      return false;
    }
    const auto* known = type->kind == TomlKind::kText
                            ? std::find(kFeatureTypes.begin(), kFeatureTypes.end(), type->text)
                            : kFeatureTypes.end();
    if (known == kFeatureTypes.end()) {
      std::string right;
      if (const auto nearest = nearest_name(type->text, kFeatureTypes)) {
        right.append("did you mean \"").append(*nearest).append("\"?");
      } else {
        right = "there are";
        for (const std::string_view name : kFeatureTypes) right.append(" ").append(name);
      }
      mistakes_.add(type->place, reader_.where(), "unknown type " + shown(*type), right);
      return false;
    }
    type_name_ = *known;
    feature_.spec.type = static_cast<FeatureType>(known - kFeatureTypes.begin());
    options_ = kFeatureOptions[static_cast<std::size_t>(known - kFeatureTypes.begin())];
    refuse_others_options();
    return true;
  }

  void refuse_others_options() {
    for (const OptionKey& known : kOptionKeys) {
      if (options_.*known.taken || !reader_.has(known.key)) continue;
      (void)reader_.take(known.key);
      mistakes_.add(reader_.key_place(known.key), reader_.where(),
                    "a " + std::string(type_name_) + " takes no " + std::string(known.key),
                    "leave it out, or use another type");
    }
  }

  void read_sources() {
    const bool is_given = reader_.has("event");
    const std::vector<const TomlValue*> names = reader_.texts("event");
    std::vector<std::string> known;
    for (const EventConfig& event : config_.events) {
      if (event.name != kIdentifyEvent) known.push_back(event.name);
    }
    for (const TomlValue* name : names) {
      const auto at = std::find(known.begin(), known.end(), name->text);
      if (at == known.end()) {
        unknown_event("event", *name, known);
        sources_are_known_ = false;
        continue;
      }
      const auto number = static_cast<std::uint16_t>(at - known.begin());
      const bool is_double =
          std::any_of(feature_.sources.begin(), feature_.sources.end(),
                      [&](const FeatureSource& source) { return source.event == number; });
      if (is_double) reader_.wrong("event", *name, "list each event once");
      feature_.sources.push_back({number, 1});
    }
    if (is_given && names.empty()) {
      const TomlValue* value = reader_.take("event");
      const bool is_empty_list = value->kind == TomlKind::kArray && value->elements.empty();
      if (is_empty_list) reader_.wrong("event", *value, "found no event", "list one at least");
    }
    if (is_given) return;
    if (feature_.spec.type == FeatureType::kTrait) {
      is_identify_trait_ = true;
    } else if (feature_.spec.type == FeatureType::kSession) {
      for (std::size_t at = 0; at < known.size(); ++at) {
        feature_.sources.push_back({static_cast<std::uint16_t>(at), 1});
      }
      if (known.empty()) reader_.wrong("no event is declared", "declare one in [events]");
    } else {
      reader_.wrong("no event", "say which one feeds it: event = \"...\", or a list of them");
      sources_are_known_ = false;
    }
  }

  void unknown_event(std::string_view key, const TomlValue& name,
                     const std::vector<std::string>& known) {
    std::string right;
    if (const auto nearest = nearest_name(name.text, known)) {
      right.append("did you mean \"").append(*nearest).append("\"?");
    } else {
      right = "declare it in [events]";
    }
    reader_.wrong(key, name, "unknown event " + shown(name), right);
  }

  void read_window() {
    if (!options_.window) return;
    FeatureSpec& spec = feature_.spec;
    const bool has_window = reader_.has("window");
    spec.window_us = reader_.duration("window", 1, kLongestUs).value_or(0);
    spec.tumbling = reader_.boolean("tumbling").value_or(false);
    const std::optional<std::int64_t> panes = reader_.integer("panes", 1, 64);
    if (!has_window) {
      for (const std::string_view key : {"panes", "tumbling"}) {
        if (!reader_.has(key)) continue;
        mistakes_.add(reader_.key_place(key), reader_.where(),
                      "found " + std::string(key) + " without a window",
                      "give window = \"...\", or leave it out");
      }
      spec.tumbling = false;
      return;
    }
    if (spec.tumbling && panes) {
      mistakes_.add(reader_.key_place("panes"), reader_.where(), "found panes and tumbling",
                    "a tumbling window is one pane: leave panes out");
      return;
    }
    spec.panes = spec.tumbling ? 1 : static_cast<std::uint32_t>(panes.value_or(kPanesDefault));
    if (spec.window_us != 0 && spec.window_us < spec.panes) {
      mistakes_.add(
          reader_.key_place("window"), reader_.where("window"),
          "found " + std::to_string(spec.panes) + " panes in " + duration_text(spec.window_us),
          "a pane is at least 1us long");
    }
  }

  void read_sizes() {
    FeatureSpec& spec = feature_.spec;
    if (options_.bytes) {
      const auto bytes = reader_.integer("bytes", 4, columns::kTextBytesMax);
      spec.text_bytes = static_cast<std::uint32_t>(bytes.value_or(kTextBytesDefault));
    }
    if (options_.keep) {
      const std::int64_t by_itself = options_.is_top ? 8 : 16;
      spec.keep =
          static_cast<std::uint32_t>(reader_.integer("keep", 1, kKeepLongest).value_or(by_itself));
    }
    if (options_.is_top) {
      const auto track = reader_.integer("track", 1, kTrackMost);
      spec.track = static_cast<std::uint32_t>(track.value_or(4 * std::int64_t{spec.keep}));
      if (track && spec.track < spec.keep) {
        reader_.wrong("track", *reader_.take("track"),
                      "it shows keep = " + std::to_string(spec.keep) +
                          " keys, so it has to track at least as many");
      }
      spec.half_life_us = reader_.duration("half_life", 1, kLongestUs).value_or(0);
      if (reader_.has("half_life") && reader_.has("window")) {
        mistakes_.add(reader_.key_place("half_life"), reader_.where(), "found half_life and window",
                      "a top fades or has a window: leave one out");
      }
    }
    if (options_.gap) {
      spec.gap_us = reader_.duration("gap", 1'000'000, 30 * kDayUs)
                        .value_or(std::int64_t{30} * 60 * 1'000'000);
    }
  }

  void read_weights() {
    if (!options_.is_top) return;
    const TomlValue* value = reader_.take("weights");
    if (value == nullptr) return;
    TableReader weights(value, reader_.where("weights"), mistakes_);
    std::vector<std::string> names;
    for (const FeatureSource& source : feature_.sources) {
      names.push_back(config_.events[source.event].name);
    }
    for (const TomlEntry& entry : weights.entries()) {
      const auto at = std::find(names.begin(), names.end(), entry.key);
      if (at == names.end()) {
        if (!sources_are_known_) continue;  // the wrong name has been noted where it stands
        const auto nearest = nearest_name(entry.key, names);
        mistakes_.add(entry.place, weights.where(), "\"" + entry.key + "\" is none of its events",
                      nearest ? "did you mean \"" + std::string(*nearest) + "\"?"
                              : "add it to event, or leave it out");
        continue;
      }
      const TomlValue& weight = entry.value;
      const bool is_number = weight.kind == TomlKind::kInteger || weight.kind == TomlKind::kNumber;
      if (!is_number || !(weight.number > 0) || weight.number > kWeightMax) {
        weights.wrong(entry.key, weight, "write a number above 0, up to 1e9");
        continue;
      }
      feature_.sources[static_cast<std::size_t>(at - names.begin())].weight = weight.number;
    }
  }

  void read_expressions() {
    if (options_.of) {
      feature_.of = reader_.text("of").value_or("");
      if (!reader_.has("of")) {
        const std::string example =
            is_identify_trait_ ? "of = \"traits.plan\"" : "of = a field or an expression";
        reader_.wrong("a " + std::string(type_name_) + " needs something to look at",
                      "give " + example);
      }
    }
    feature_.where = reader_.text("where").value_or("");
    if (!sources_are_known_) return;
    if (is_identify_trait_) {
      (void)identify_event();
      (void)compile_for_identify("of");
      (void)compile_for_identify("where");
      return;
    }
    for (const FeatureSource& source : feature_.sources) {
      const EventConfig& event = config_.events[source.event];
      const std::uint16_t of_root = compile("of", event);
      const std::uint16_t where_root = compile("where", event);
      if (of_root == 0 || where_root == 0 || of_root == where_root) continue;
      mistakes_.add(reader_.key_place("where"), reader_.where("where"),
                    "it goes over another array than of does (event " + event.name + ")",
                    "both can only go over the same one");
    }
  }

  /// The array that the expression goes over; 0: none, or a mistake that has been noted.
  std::uint16_t compile(std::string_view key, const EventConfig& event) {
    std::vector<std::string> names;
    for (const FieldConfig& field : event.fields) names.push_back(field.name);
    const auto resolver = [&](std::string_view name) -> std::optional<FieldMeaning> {
      for (const FieldConfig& field : event.fields) {
        if (field.name != name) continue;
        const std::optional<std::uint16_t> slot = find_slot(config_.slots, field.path);
        if (slot) return FieldMeaning{*slot, config_.slots[*slot].root};
      }
      return std::nullopt;
    };
    return compile_with(key, resolver, names, " (event " + event.name + ")");
  }

  /// An identify call has no declared fields: a field is its own path.
  std::uint16_t compile_for_identify(std::string_view key) {
    const auto resolver = [&](std::string_view name) -> std::optional<FieldMeaning> {
      if (!field_path_fault(name).empty()) return std::nullopt;
      EventConfig& identify = identify_event();
      const bool is_known =
          std::any_of(identify.fields.begin(), identify.fields.end(),
                      [&](const FieldConfig& field) { return field.name == name; });
      if (!is_known) identify.fields.push_back({std::string(name), std::string(name)});
      return FieldMeaning{0, 0};
    };
    return compile_with(key, resolver, {}, " of an identify call");
  }

  EventConfig& identify_event() {
    if (config_.events.empty() || config_.events.back().name != kIdentifyEvent) {
      config_.events.push_back({kIdentifyEvent, EventCall::kIdentify, "*", {}});
    }
    feature_.sources = {{static_cast<std::uint16_t>(config_.events.size() - 1), 1}};
    return config_.events.back();
  }

  std::uint16_t compile_with(std::string_view key, const Expression::Resolver& resolver,
                             const std::vector<std::string>& names, const std::string& whose) {
    const TomlValue* value = reader_.take(key);
    if (value == nullptr || value->kind != TomlKind::kText) return 0;
    const auto compiled = Expression::compile(value->text, resolver, names);
    if (const auto* error = std::get_if<ExpressionError>(&compiled)) {
      std::string found = error->message;
      std::string right;
      if (const std::size_t at = found.find("; "); at != std::string::npos) {
        right = found.substr(at + 2);
        found.resize(at);
      }
      if (names.empty() && is_identify_trait_ && found.starts_with("unknown field")) {
        right = "write its path, such as traits.plan";
      }
      mistakes_.add(place_in_text(mistakes_.document(), *value, error->offset), reader_.where(key),
                    found + whose, right);
      return 0;
    }
    return std::get<Expression>(compiled).root();
  }

  TableReader reader_;
  Config& config_;
  Mistakes& mistakes_;
  FeatureConfig feature_;
  FeatureOptions options_;
  std::string_view type_name_;
  bool sources_are_known_ = true;
  bool is_identify_trait_ = false;
};

}  // namespace

std::optional<FeatureConfig> read_feature(const TomlEntry& entry, const std::string& where,
                                          Config& config, Mistakes& mistakes) {
  FeatureReader reader(entry, where, config, mistakes);
  if (!reader.read()) return std::nullopt;
  return reader.feature();
}

}  // namespace deja
