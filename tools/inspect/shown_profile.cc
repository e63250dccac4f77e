#include "tools/inspect/shown_profile.h"

#include <algorithm>

#include "shm/json_text.h"
#include "shm/key.h"
#include "tools/cli/terminal.h"

namespace deja {
namespace {

constexpr std::string_view kAnonymousPrefix = "anon:";
/// Two clocks read one after the other may be set apart by less.
constexpr std::int64_t kClocksApartUs = 1'000'000;

std::vector<ShownItem> items_of(const deja_appliance* appliance, const deja_profile* profile,
                                deja_feature feature, std::int64_t at_us) {
  std::vector<deja_item> items(deja_feature_keep(appliance, feature));
  std::uint32_t count = 0;
  if (deja_items(appliance, profile, feature, at_us, items.data(),
                 static_cast<std::uint32_t>(items.size()), &count) != DEJA_OK) {
    return {};
  }
  std::vector<ShownItem> finished;
  for (std::uint32_t at = 0; at < std::min<std::size_t>(count, items.size()); ++at) {
    finished.push_back(
        {std::string(items[at].text, items[at].text_bytes), items[at].weight, items[at].time_us});
  }
  return finished;
}

ShownValue value_of(const deja_appliance* appliance, const deja_profile* profile,
                    deja_feature feature, deja_type type, std::int64_t at_us) {
  switch (type) {
    case DEJA_COUNT:
    case DEJA_SUM:
    case DEJA_MIN:
    case DEJA_MAX:
    case DEJA_MEAN:
    case DEJA_DISTINCT: {
      double number = 0;
      if (deja_number(appliance, profile, feature, at_us, &number) != DEJA_OK) return {};
      return ShownNumber{number};
    }
    case DEJA_FIRST:
    case DEJA_LAST:
    case DEJA_TRAIT: {
      deja_scalar scalar{};
      if (deja_value(appliance, profile, feature, &scalar) != DEJA_OK) return {};
      if (scalar.kind == DEJA_NUMBER) return ShownNumber{scalar.number};
      if (scalar.kind == DEJA_BOOL) return ShownBool{scalar.number != 0};
      if (scalar.kind == DEJA_TEXT) return ShownText{{scalar.text, scalar.text_bytes}};
      return {};
    }
    case DEJA_RECENT:
      return ShownRecent{items_of(appliance, profile, feature, at_us)};
    case DEJA_TOP:
      return ShownTop{items_of(appliance, profile, feature, at_us)};
    case DEJA_SESSION: {
      deja_session_state session{};
      if (deja_session(appliance, profile, feature, at_us, &session) != DEJA_OK) return {};
      return session;
    }
  }
  return {};
}

/// Writes a value as JSON; one call operator for each kind.
struct JsonWriter {
  std::string& out;
  void operator()(std::monostate) const { out += "null"; }
  void operator()(const ShownNumber& value) const { append_json_number(out, value.number); }
  void operator()(const ShownText& value) const { append_json_text(out, value.text); }
  void operator()(const ShownBool& value) const { out += value.truth ? "true" : "false"; }
  void operator()(const ShownRecent& value) const {
    out.push_back('[');
    for (std::size_t at = 0; at < value.items.size(); ++at) {
      if (at > 0) out.push_back(',');
      append_json_text(out, value.items[at].text);
    }
    out.push_back(']');
  }
  void operator()(const ShownTop& value) const {
    out.push_back('[');
    for (std::size_t at = 0; at < value.items.size(); ++at) {
      out += at > 0 ? ",[" : "[";
      append_json_text(out, value.items[at].text);
      out.push_back(',');
      append_json_number(out, value.items[at].weight);
      out.push_back(']');
    }
    out.push_back(']');
  }
  void operator()(const deja_session_state& value) const {
    out += "{\"events\":" + std::to_string(value.events) + ",\"started\":\"";
    append_instant(out, value.started_us);
    out += "\",\"duration_s\":";
    append_json_number(out, static_cast<double>(value.duration_us) / 1e6);
    out += value.active != 0 ? ",\"active\":true" : ",\"active\":false";
    out += ",\"count\":" + std::to_string(value.count) + "}";
  }
};

std::string number_text(double number) {
  std::string text;
  append_json_number(text, number);
  // Sums of prices have noise in the 15th digit that no person wants to see.
  if (text.size() > 12 && text.find('.') != std::string::npos) {
    char rounded[64];
    std::snprintf(rounded, sizeof rounded, "%.4f", number);
    text = rounded;
    while (text.ends_with('0')) text.pop_back();
    if (text.ends_with('.')) text.pop_back();
  }
  return text;
}

struct TextWriter {
  std::int64_t at_us;
  const Style& style;
  std::string operator()(std::monostate) const {
    return std::string(style.dim) + "–" + style.plain;
  }
  std::string operator()(const ShownNumber& value) const { return number_text(value.number); }
  std::string operator()(const ShownText& value) const { return value.text; }
  std::string operator()(const ShownBool& value) const { return value.truth ? "yes" : "no"; }
  std::string operator()(const ShownRecent& value) const {
    if (value.items.empty()) return (*this)(std::monostate{});
    std::string text;
    for (const ShownItem& item : value.items) {
      text += (text.empty() ? "" : ", ") + item.text;
    }
    return text;
  }
  std::string operator()(const ShownTop& value) const {
    if (value.items.empty()) return (*this)(std::monostate{});
    std::string text;
    for (const ShownItem& item : value.items) {
      char weight[48];
      std::snprintf(weight, sizeof weight, item.weight < 100 ? "%.3g" : "%.0f", item.weight);
      text += (text.empty() ? "" : ", ") + item.text + " " + style.dim + weight + style.plain;
    }
    return text;
  }
  std::string operator()(const deja_session_state& value) const {
    std::string text = std::to_string(value.events) + (value.events == 1 ? " event" : " events") +
                       " in " + human_age(value.duration_us) + ", begun " +
                       human_age(at_us - value.started_us) + " ago, ";
    text +=
        value.active != 0 ? std::string(style.green) + "active" + style.plain : std::string("over");
    return text + "; " + std::to_string(value.count) +
           (value.count == 1 ? " session" : " sessions") + " so far";
  }
};

}  // namespace

std::optional<deja_key> parse_user(std::string_view user) {
  const bool anonymous = user.starts_with(kAnonymousPrefix);
  if (anonymous) user.remove_prefix(kAnonymousPrefix.size());
  if (user.empty() || user.size() > kKeyBytesMax) return std::nullopt;
  const auto size = static_cast<std::uint32_t>(user.size());
  return anonymous ? deja_anonymous(user.data(), size) : deja_user(user.data(), size);
}

ShownProfile shown_profile(const deja_appliance* appliance, const deja_profile* profile,
                           std::int64_t at_us, const std::vector<std::string>& only) {
  ShownProfile finished;
  const deja_key key = deja_profile_key(profile);
  finished.user = key.name_space == 1 ? std::string(kAnonymousPrefix) : std::string();
  finished.user.append(key.bytes, key.size);
  finished.sequence = deja_sequence(profile);
  finished.updated_us = deja_updated_us(profile);
  finished.age_us = deja_age_us(profile, at_us);
  finished.late = deja_late(profile);
  finished.partial = deja_is_partial(profile) != 0;
  const std::uint32_t count = deja_feature_count(appliance);
  for (deja_feature feature = 0; feature < count; ++feature) {
    const char* name = deja_feature_name(appliance, feature);
    if (name == nullptr) continue;
    if (!only.empty() && std::find(only.begin(), only.end(), name) == only.end()) continue;
    const deja_type type = deja_feature_type(appliance, feature);
    finished.features.push_back({name, type, value_of(appliance, profile, feature, type, at_us),
                                 deja_is_estimate(appliance, profile, feature, at_us) != 0});
  }
  return finished;
}

void append_shown_json(std::string& out, const ShownProfile& profile) {
  out += "{\"user\":";
  append_json_text(out, profile.user);
  out += ",\"sequence\":" + std::to_string(profile.sequence) + ",\"updated\":\"";
  append_instant(out, profile.updated_us);
  out += "\",\"age_us\":" + std::to_string(profile.age_us);
  out += ",\"features\":{";
  bool first = true;
  for (const ShownFeature& feature : profile.features) {
    if (!first) out.push_back(',');
    first = false;
    append_json_text(out, feature.name);
    out.push_back(':');
    std::visit(JsonWriter{out}, feature.value);
  }
  out += "},\"estimates\":[";
  first = true;
  for (const ShownFeature& feature : profile.features) {
    if (!feature.estimate) continue;
    if (!first) out.push_back(',');
    first = false;
    append_json_text(out, feature.name);
  }
  out += "],\"late\":" + std::to_string(profile.late);
  if (profile.partial) out += ",\"partial\":true";
  out.push_back('}');
}

std::string profile_table(const ShownProfile& profile, std::int64_t at_us, const Style& style) {
  std::string updated;
  append_instant(updated, profile.updated_us);
  // Of an instant that was asked for (--at), a later event may have been the last.
  const bool later = profile.updated_us - at_us > kClocksApartUs;
  std::string text =
      std::string(style.bold) + profile.user + style.plain + "  " + style.dim + "updated " +
      (later ? human_age(profile.updated_us - at_us) + " after that instant"
             : human_age(profile.age_us) + " ago") +
      " (" + updated + "), sequence " + std::to_string(profile.sequence) + style.plain + "\n";
  std::size_t columns = 0;
  for (const ShownFeature& feature : profile.features) {
    columns = std::max(columns, text_columns(feature.name));
  }
  for (const ShownFeature& feature : profile.features) {
    text += "  " + padded(feature.name, columns) + "  " + (feature.estimate ? "≈ " : "") +
            std::visit(TextWriter{at_us, style}, feature.value) + "\n";
  }
  if (profile.late > 0) {
    text += std::string(style.dim) + "  " + std::to_string(profile.late) +
            " events came too late for a window" + style.plain + "\n";
  }
  if (profile.partial) {
    text += std::string(style.yellow) + "  the stored part of this profile is still on its way" +
            style.plain + "\n";
  }
  return text;
}

}  // namespace deja
