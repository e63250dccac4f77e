#include "shm/value_json.h"

#include <array>
#include <vector>

#include "shm/columns/finish.h"
#include "shm/json_text.h"

namespace deja {
namespace {

/// Places for a feature's items: on the stack where they are as few as mostly.
template <typename Item>
class Items {
 public:
  explicit Items(std::uint32_t count) {
    if (count > few_.size()) many_.resize(count);
  }
  [[nodiscard]] Item* data() { return many_.empty() ? few_.data() : many_.data(); }
  [[nodiscard]] const Item& operator[](std::uint32_t at) { return data()[at]; }

 private:
  std::array<Item, 16> few_;
  std::vector<Item> many_;
};

void append_recent(std::string& out, const FeatureSpec& spec, const std::uint8_t* column) {
  Items<RecentItem> items(spec.keep);
  const std::uint32_t count = finish_recent(spec, column, items.data(), spec.keep);
  out += '[';
  for (std::uint32_t at = 0; at < count; ++at) {
    if (at > 0) out += ',';
    append_json_text(out, {items[at].text, items[at].text_bytes});
  }
  out += ']';
}

void append_top(std::string& out, const FeatureSpec& spec, const std::uint8_t* column,
                std::int64_t at_us) {
  Items<TopItem> items(spec.keep);
  const std::uint32_t count = finish_top(spec, column, at_us, items.data(), spec.keep);
  out += '[';
  for (std::uint32_t at = 0; at < count; ++at) {
    out += at > 0 ? ",[" : "[";
    append_json_text(out, {items[at].text, items[at].text_bytes});
    out += ',';
    append_json_number(out, items[at].weight);
    out += ']';
  }
  out += ']';
}

void append_session(std::string& out, const FeatureSpec& spec, const std::uint8_t* column,
                    std::int64_t at_us) {
  const FinishedSession session = finish_session(spec, column, at_us);
  if (!session.present) {
    out += "null";
    return;
  }
  out += "{\"events\":";
  out += std::to_string(session.events);
  out += ",\"started\":\"";
  append_instant(out, session.started_us);
  out += "\",\"duration_s\":";
  append_json_number(out, static_cast<double>(session.duration_us) / 1e6);
  out += session.active ? ",\"active\":true,\"count\":" : ",\"active\":false,\"count\":";
  out += std::to_string(session.count);
  out += '}';
}

}  // namespace

void append_value_json(std::string& out, const Value& value) {
  switch (value.kind) {
    case ValueKind::kBool:
      out += value.number != 0 ? "true" : "false";
      break;
    case ValueKind::kNumber:
      append_json_number(out, value.number);
      break;
    case ValueKind::kText:
      append_json_text(out, {value.text, value.text_bytes});
      break;
    default:
      out += "null";
      break;
  }
}

void append_feature_json(std::string& out, const FeatureSpec& spec, const std::uint8_t* column,
                         std::int64_t at_us) {
  switch (spec.type) {
    case FeatureType::kCount:
      out += std::to_string(columns::count_at(spec, column, at_us));
      break;
    case FeatureType::kFirst:
    case FeatureType::kLast:
    case FeatureType::kTrait:
      append_value_json(out, finish_value(spec, column));
      break;
    case FeatureType::kRecent:
      append_recent(out, spec, column);
      break;
    case FeatureType::kTop:
      append_top(out, spec, column, at_us);
      break;
    case FeatureType::kSession:
      append_session(out, spec, column, at_us);
      break;
    default: {
      const FinishedNumber finished = finish_number(spec, column, at_us);
      if (finished.empty) {
        out += "null";
      } else {
        append_json_number(out, finished.number);
      }
      break;
    }
  }
}

void append_profile_json(std::string& out, const ProfileFacts& facts,
                         std::span<const NamedFeature> features, const std::uint8_t* frame,
                         std::int64_t at_us) {
  std::string user = facts.key.name_space == KeyNamespace::kAnonymous ? "anon:" : "";
  user.append(facts.key.bytes, facts.key.size);
  out += "{\"user\":";
  append_json_text(out, user);
  out += ",\"sequence\":";
  out += std::to_string(facts.sequence);
  out += ",\"updated\":\"";
  append_instant(out, facts.updated_us);
  out += "\",\"age_us\":";
  out += std::to_string(columns::clamp_instant(at_us) - columns::clamp_instant(facts.updated_us));
  out += ",\"features\":{";
  bool first = true;
  for (const NamedFeature& feature : features) {
    if (!first) out += ',';
    first = false;
    append_json_text(out, feature.name);
    out += ':';
    append_feature_json(out, feature.spec, frame + feature.spec.offset, at_us);
  }
  out += "},\"estimates\":[";
  first = true;
  for (const NamedFeature& feature : features) {
    if (!is_estimate(feature.spec, frame + feature.spec.offset, at_us)) continue;
    if (!first) out += ',';
    first = false;
    append_json_text(out, feature.name);
  }
  out += "],\"late\":";
  out += std::to_string(facts.late);
  if (facts.partial) out += ",\"partial\":true";
  out += '}';
}

}  // namespace deja
