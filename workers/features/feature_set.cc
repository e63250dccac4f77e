#include "workers/features/feature_set.h"

#include <bit>
#include <cmath>
#include <string_view>
#include <utility>

#include "shm/columns/column_size.h"
#include "workers/features/column_apply.h"
#include "workers/features/number_apply.h"

namespace deja {
namespace {

constexpr std::uint32_t kKindsMax = 64;

class EventFields : public FieldSource {
 public:
  explicit EventFields(const EventValues& values) : values_(values) {}
  [[nodiscard]] Value field(std::uint32_t number, std::uint32_t element) const override {
    return values_.get(number, element);
  }

 private:
  const EventValues& values_;
};

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

bool FeatureSet::late_for(const Feed& feed, const Event& event, std::uint8_t* frame) const {
  const FeatureSpec& spec = specs_[feed.feature];
  const EventFields fields(event.values);
  const std::uint16_t root = feed.of ? feed.of->root() : 0;
  const bool filters_elements = feed.where && root != 0 && feed.where->root() == root;
  if (feed.where && !filters_elements) {
    // Where one value is taken of the event, any element that passes will do.
    const std::uint32_t elements = event.values.element_count(feed.where->root());
    std::uint32_t element = 0;
    while (element < elements && !feed.where->holds(fields, element)) ++element;
    if (element == elements) return false;
  }
  bool late = false;
  const std::uint32_t elements = event.values.element_count(root);
  for (std::uint32_t element = 0; element < elements; ++element) {
    if (filters_elements && !feed.where->holds(fields, element)) continue;
    const Value value = feed.of ? feed.of->evaluate(fields, element) : Value{};
    const features::Contribution contribution{event.time_us, &value, feed.weight};
    late |=
        features::apply_column(spec, frame + spec.offset, contribution) == features::Applied::kLate;
  }
  return late;
}

unsigned FeatureSet::apply(const Event& event, std::uint8_t* frame) const {
  unsigned late = 0;
  for (std::uint64_t kinds = event.kinds; kinds != 0; kinds &= kinds - 1) {
    const auto kind = static_cast<std::uint32_t>(std::countr_zero(kinds));
    if (kind >= steps_of_kind_.size()) break;
    for (const Step& step : steps_of_kind_[kind]) {
      if ((event.kinds & step.kinds_before) != 0) continue;
      if (step.feed != Step::kPlain) {
        if (late_for(feeds_[step.feed], event, frame)) ++late;
        continue;
      }
      if (step.bound && !step.bound->holds(event.values.get(step.bound->field, 0))) continue;
      const Value* value =
          step.field != Step::kNoField ? &event.values.get(step.field, 0) : nullptr;
      std::uint8_t* const column = frame + step.spec.offset;
      if (step.total) {
        static_cast<void>(features::apply_total(step.spec, column, value));
        continue;
      }
      const features::Contribution contribution{event.time_us, value, step.weight};
      const features::Applied applied = features::apply_column(step.spec, column, contribution);
      if (applied == features::Applied::kLate) ++late;
    }
  }
  return late;
}

void FeatureSet::add_step(std::uint16_t kind, std::uint64_t kinds_before, Feed feed) {
  Step step;
  step.spec = specs_[feed.feature];
  step.total = features::is_total(step.spec);
  step.kinds_before = kinds_before;
  step.weight = feed.weight;
  const bool plain_field = feed.of && feed.of->root() == 0 && feed.of->only_field();
  if (plain_field) step.field = *feed.of->only_field();
  const bool plain_of = !feed.of || plain_field;
  if (plain_of && feed.where && feed.where->root() == 0) step.bound = feed.where->only_bound();
  if (!plain_of || (feed.where && !step.bound)) {
    step.feed = static_cast<std::uint32_t>(feeds_.size());
    feeds_.push_back(std::move(feed));
  }
  steps_of_kind_[kind].push_back(step);
}

void FeatureSet::merge(std::uint8_t* into, const std::uint8_t* from) const {
  for (const FeatureSpec& spec : specs_) {
    features::merge_column(spec, into + spec.offset, from + spec.offset);
  }
}

}  // namespace deja
