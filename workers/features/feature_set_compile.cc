// A catalog into a FeatureSet: every place, limit, index and expression is checked here.
#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "shm/columns/column_size.h"
#include "workers/features/feature_set.h"

namespace deja {

using features::PaneClock;
using features::Step;

namespace {

constexpr std::uint32_t kKindsMax = 64;

std::string text_of(capnp::Text::Reader text) {
  return {text.cStr(), text.size()};
}

Error catalog_error(const std::string& what) {
  return Error{"compile the catalog's features: " + what, 0, {}};
}

bool takes_values(FeatureType type) {
  return type != FeatureType::kCount && type != FeatureType::kSession;
}

Result<Expression> compile_expression(schema::Catalog::Reader catalog,
                                      schema::EventKind::Reader kind, const std::string& text) {
  std::vector<std::string> names;
  for (const schema::EventKind::Field::Reader field : kind.getFields()) {
    names.push_back(text_of(field.getName()));
  }
  const auto resolve = [&](std::string_view name) -> std::optional<FieldMeaning> {
    for (unsigned at = 0; at < names.size(); ++at) {
      if (names[at] != name) continue;
      const std::uint16_t slot = kind.getFields()[at].getSlot();
      if (slot >= catalog.getSlots().size()) return std::nullopt;
      return FieldMeaning{slot, catalog.getSlots()[slot].getRoot()};
    }
    return std::nullopt;
  };
  std::variant<Expression, ExpressionError> compiled = Expression::compile(text, resolve, names);
  if (const auto* error = std::get_if<ExpressionError>(&compiled)) {
    return catalog_error("'" + text + "' for event '" + text_of(kind.getName()) +
                         "': " + error->message);
  }
  return std::move(std::get<Expression>(compiled));
}

}  // namespace

FeatureSpec feature_spec(schema::Feature::Reader feature) {
  FeatureSpec spec;
  spec.type = static_cast<FeatureType>(feature.getType());
  spec.tumbling = feature.getTumbling();
  spec.offset = feature.getOffset();
  spec.bytes = feature.getBytes();
  spec.window_us = feature.getWindowUs();
  spec.panes = feature.getPanes();
  spec.keep = feature.getKeep();
  spec.track = feature.getTrack();
  spec.text_bytes = feature.getTextBytes();
  spec.half_life_us = feature.getHalfLifeUs();
  spec.gap_us = feature.getGapUs();
  return spec;
}

Result<FeatureSet::Feed> FeatureSet::compile_feed(schema::Catalog::Reader catalog,
                                                  std::uint32_t feature, std::uint32_t source) {
  const schema::Feature::Reader declared = catalog.getFeatures()[feature];
  const schema::Feature::Source::Reader from = declared.getSources()[source];
  const std::string name = "feature '" + text_of(declared.getName()) + "'";
  if (from.getEvent() >= catalog.getEvents().size()) {
    return catalog_error(name + " is fed by an event that is not there");
  }
  const schema::EventKind::Reader kind = catalog.getEvents()[from.getEvent()];
  Feed feed;
  feed.feature = feature;
  feed.weight = from.getWeight();
  const auto type = static_cast<FeatureType>(declared.getType());
  if (type == FeatureType::kTop && !(std::isfinite(feed.weight) && feed.weight > 0)) {
    return catalog_error(name + " has a weight that is not above 0");
  }
  if (takes_values(type) != (declared.getOf().size() > 0)) {
    return catalog_error(name + (takes_values(type) ? " has no 'of'" : " can't have an 'of'"));
  }
  if (declared.getOf().size() > 0) {
    Result<Expression> of = compile_expression(catalog, kind, text_of(declared.getOf()));
    if (!of) return of.error();
    feed.of = std::move(*of);
  }
  if (declared.getWhere().size() > 0) {
    Result<Expression> where = compile_expression(catalog, kind, text_of(declared.getWhere()));
    if (!where) return where.error();
    feed.where = std::move(*where);
  }
  if (feed.of && feed.where && feed.of->root() != 0 && feed.where->root() != 0 &&
      feed.of->root() != feed.where->root()) {
    return catalog_error(name + " has an 'of' and a 'where' over two different arrays");
  }
  return feed;
}

Result<FeatureSet> FeatureSet::compile(schema::Catalog::Reader catalog) {
  FeatureSet set;
  set.frame_bytes_ = catalog.getFrameBytes();
  for (const schema::Slot::Reader slot : catalog.getSlots()) {
    set.root_of_slot_.push_back(slot.getRoot());
  }
  if (catalog.getEvents().size() > kKindsMax) return catalog_error("more than 64 events");
  set.steps_of_kind_.resize(catalog.getEvents().size());
  for (std::uint32_t feature = 0; feature < catalog.getFeatures().size(); ++feature) {
    const schema::Feature::Reader declared = catalog.getFeatures()[feature];
    const FeatureSpec spec = feature_spec(declared);
    const std::string name = text_of(declared.getName());
    if (const char* fault = spec_fault(spec)) {
      return catalog_error("feature '" + name + "': " + fault);
    }
    if (!column_fits(spec, set.frame_bytes_)) {
      return catalog_error("feature '" + name + "' does not lie in the frame");
    }
    set.specs_.push_back(spec);
    set.names_.push_back(name);
    std::uint64_t kinds_before = 0;
    for (std::uint32_t source = 0; source < declared.getSources().size(); ++source) {
      Result<Feed> feed = compile_feed(catalog, feature, source);
      if (!feed) return feed.error();
      const std::uint16_t kind = declared.getSources()[source].getEvent();
      set.add_step(kind, kinds_before, std::move(*feed));
      if (spec.type == FeatureType::kSession) kinds_before |= std::uint64_t{1} << kind;
    }
  }
  return set;
}

std::uint32_t FeatureSet::clock_of(const FeatureSpec& spec) {
  // A half-life is checked, and means something, in top alone.
  const std::int64_t half_life_us = spec.type == FeatureType::kTop ? spec.half_life_us : 0;
  const std::int64_t unit_us = spec.window_us != 0 ? spec.pane_us() : half_life_us;
  if (unit_us == 0) return Step::kNone;
  const PaneClock clock(unit_us, spec.panes);
  const auto found = std::find(clocks_.begin(), clocks_.end(), clock);
  const auto index = static_cast<std::uint32_t>(found - clocks_.begin());
  if (found == clocks_.end()) clocks_.push_back(clock);
  return index;
}

void FeatureSet::add_step(std::uint16_t kind, std::uint64_t kinds_before, Feed feed) {
  const FeatureSpec& spec = specs_[feed.feature];
  Step step;
  step.offset = spec.offset;
  step.feature = feed.feature;
  step.kinds_before = kinds_before;
  step.weight = feed.weight;
  const bool plain_field = feed.of && feed.of->root() == 0 && feed.of->only_field();
  if (plain_field) step.field = *feed.of->only_field();
  const bool plain_of = !feed.of || plain_field;
  std::optional<Expression::Bound> bound;
  if (plain_of && feed.where && feed.where->root() == 0) bound = feed.where->only_bound();
  if (bound) {
    step.bounded = true;
    step.bound = *bound;
  }
  if (plain_of && (!feed.where || bound)) {
    step.way = features::way_of(spec);
    step.clock = clock_of(spec);
  } else {
    step.feed = static_cast<std::uint32_t>(feeds_.size());
    feeds_.push_back(std::move(feed));
  }
  steps_of_kind_[kind].push_back(step);
}

}  // namespace deja
