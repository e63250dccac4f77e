#include "workers/features/feature_set.h"

#include <bit>

#include "shm/columns/bytes.h"
#include "workers/features/column_apply.h"
#include "workers/features/distinct_apply.h"
#include "workers/features/number_apply.h"
#include "workers/features/recent_apply.h"
#include "workers/features/session_apply.h"
#include "workers/features/top_apply.h"
#include "workers/features/value_apply.h"

namespace deja {
namespace {

using features::Applied;
using features::Step;
using features::Way;

class EventFields : public FieldSource {
 public:
  explicit EventFields(const EventValues& values) : values_(values) {}
  [[nodiscard]] Value field(std::uint32_t number, std::uint32_t element) const override {
    return values_.get(number, element);
  }

 private:
  const EventValues& values_;
};

/// Sum, min, max and mean over all time: one cell, and no pane to look for.
inline void take_total(FeatureType type, std::uint8_t* column, const Value& value) {
  if (value.kind != ValueKind::kNumber) return;
  features::take_number(type, column, column + columns::kTotalMeanCountOffset,
                        columns::finite(value.number));
}

}  // namespace

/// An event's time, clamped; and as columns keep it.
struct FeatureSet::Instant {
  std::int64_t time_us;
  std::uint64_t encoded;
};

bool FeatureSet::late_for(const Feed& feed, const Event& event, std::uint8_t* column) const {
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
    late |= features::apply_column(spec, column, contribution) == Applied::kLate;
  }
  return late;
}

inline void FeatureSet::take_step(const Step& step, const Event& event, const Instant& at,
                                  std::uint8_t* column, unsigned& late) const {
  const auto spec = [&]() -> const FeatureSpec& { return specs_[step.feature]; };
  const auto value = [&]() -> const Value& { return event.values.get(step.field, 0); };
  const auto place = [&] {
    return step.clock == Step::kNone ? columns::PanePlace{} : clocks_[step.clock].place(at.time_us);
  };
  const auto count = [&](Applied applied) { late += applied == Applied::kLate ? 1 : 0; };
  switch (step.way) {
    case Way::kExpressions:
      if ((event.kinds & step.kinds_before) != 0) return;
      if (late_for(feeds_[step.feed], event, column)) ++late;
      return;
    case Way::kCount:
      return features::count_one(column);
    case Way::kSum:
      return take_total(FeatureType::kSum, column, value());
    case Way::kMin:
      return take_total(FeatureType::kMin, column, value());
    case Way::kMax:
      return take_total(FeatureType::kMax, column, value());
    case Way::kMean:
      return take_total(FeatureType::kMean, column, value());
    case Way::kPaneCount: {
      const columns::PanePlace pane = clocks_[step.clock].place(at.time_us);
      if (!columns::is_newest_pane(column, pane.pane)) {
        return count(features::apply_count(spec(), column, pane));
      }
      return features::add_count(column + columns::kPaneHeaderBytes + 4 * pane.slot, 1);
    }
    case Way::kPaneNumber:
      return count(features::apply_number(spec(), column, place(), value()));
    case Way::kFirst:
    case Way::kLast:
      if (features::decided_by_time(step.way == Way::kFirst, column, at.encoded)) return;
      static_cast<void>(features::apply_value(spec(), column, at.encoded, value()));
      return;
    case Way::kRecent:
      static_cast<void>(features::apply_recent(spec(), column, at.encoded, value()));
      return;
    case Way::kTop:
      return count(features::apply_top(spec(), column, place(), value(), step.weight));
    case Way::kDecayingTop:
      static_cast<void>(features::apply_decaying_top(
          spec(), column, clocks_[step.clock].half_lives(at.time_us), value(), step.weight));
      return;
    case Way::kDistinct:
      return count(features::apply_distinct(spec(), column, place(), value()));
    case Way::kSession:
      if ((event.kinds & step.kinds_before) != 0) return;
      if (features::continue_run(spec(), column, at.encoded)) return;
      return count(features::apply_session(spec(), column, at.time_us));
  }
  __builtin_unreachable();
}

unsigned FeatureSet::apply(const Event& event, std::uint8_t* frame) const {
  unsigned late = 0;
  const Instant at = {columns::clamp_instant(event.time_us),
                      columns::encode_instant(event.time_us)};
  for (std::uint64_t kinds = event.kinds; kinds != 0; kinds &= kinds - 1) {
    const auto kind = static_cast<std::uint32_t>(std::countr_zero(kinds));
    if (kind >= steps_of_kind_.size()) break;
    for (const Step& step : steps_of_kind_[kind]) {
      if (step.bounded && !step.bound.holds(event.values.get(step.bound.field, 0))) continue;
      take_step(step, event, at, frame + step.offset, late);
    }
  }
  return late;
}

void FeatureSet::merge(std::uint8_t* into, const std::uint8_t* from) const {
  for (const FeatureSpec& spec : specs_) {
    features::merge_column(spec, into + spec.offset, from + spec.offset);
  }
}

}  // namespace deja
