#include "workers/features/column_apply.h"

#include "workers/features/distinct_apply.h"
#include "workers/features/number_apply.h"
#include "workers/features/recent_apply.h"
#include "workers/features/session_apply.h"
#include "workers/features/top_apply.h"
#include "workers/features/value_apply.h"

namespace deja::features {

Applied apply_column(const FeatureSpec& spec, std::uint8_t* column,
                     const Contribution& contribution) {
  const std::int64_t time = contribution.time_us;
  switch (spec.type) {
    case FeatureType::kCount:
      return apply_count(spec, column, columns::pane_place(spec, time));
    case FeatureType::kSum:
    case FeatureType::kMin:
    case FeatureType::kMax:
    case FeatureType::kMean:
      return apply_number(spec, column, columns::pane_place(spec, time), *contribution.value);
    case FeatureType::kFirst:
    case FeatureType::kLast:
    case FeatureType::kTrait:
      return apply_value(spec, column, columns::encode_instant(time), *contribution.value);
    case FeatureType::kRecent:
      return apply_recent(spec, column, columns::encode_instant(time), *contribution.value);
    case FeatureType::kTop:
      if (spec.half_life_us != 0) {
        return apply_decaying_top(spec, column, columns::half_lives_at(spec, time),
                                  *contribution.value, contribution.weight);
      }
      return apply_top(spec, column, columns::pane_place(spec, time), *contribution.value,
                       contribution.weight);
    case FeatureType::kDistinct:
      return apply_distinct(spec, column, columns::pane_place(spec, time), *contribution.value);
    case FeatureType::kSession:
      return apply_session(spec, column, time);
  }
  return Applied::kSkipped;
}

void merge_column(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from) {
  switch (spec.type) {
    case FeatureType::kCount:
    case FeatureType::kSum:
    case FeatureType::kMin:
    case FeatureType::kMax:
    case FeatureType::kMean:
      return merge_number(spec, into, from);
    case FeatureType::kFirst:
    case FeatureType::kLast:
    case FeatureType::kTrait:
      return merge_value(spec, into, from);
    case FeatureType::kRecent:
      return merge_recent(spec, into, from);
    case FeatureType::kTop:
      return merge_top(spec, into, from);
    case FeatureType::kDistinct:
      return merge_distinct(spec, into, from);
    case FeatureType::kSession:
      return merge_session(spec, into, from);
  }
}

}  // namespace deja::features
