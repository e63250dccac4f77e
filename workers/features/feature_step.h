// What one kind of event does to one feature, compiled: the way is decided once, and an event walks
// a list of steps of a cache line each. A step does what apply_column (column_apply.h) does for the
// same feature, which stays the definition: tests hold the bytes of the two against one another.
// Immutable; any thread.
#pragma once

#include <cstdint>

#include "shm/feature_spec.h"
#include "workers/expression/expression.h"

namespace deja::features {

enum class Way : std::uint8_t {
  kExpressions,  ///< `of` or `where` have to be run
  kCount,        ///< of all time, as are sum to mean
  kSum,
  kMin,
  kMax,
  kMean,
  kPaneCount,
  kPaneNumber,
  kFirst,
  kLast,  ///< and trait
  kRecent,
  kTop,
  kDecayingTop,
  kDistinct,
  kSession,
};

/// Of a feature without expressions to run.
[[nodiscard]] constexpr Way way_of(const FeatureSpec& spec) {
  const bool total = spec.window_us == 0;
  switch (spec.type) {
    case FeatureType::kCount:
      return total ? Way::kCount : Way::kPaneCount;
    case FeatureType::kSum:
      return total ? Way::kSum : Way::kPaneNumber;
    case FeatureType::kMin:
      return total ? Way::kMin : Way::kPaneNumber;
    case FeatureType::kMax:
      return total ? Way::kMax : Way::kPaneNumber;
    case FeatureType::kMean:
      return total ? Way::kMean : Way::kPaneNumber;
    case FeatureType::kFirst:
      return Way::kFirst;
    case FeatureType::kLast:
    case FeatureType::kTrait:
      return Way::kLast;
    case FeatureType::kRecent:
      return Way::kRecent;
    case FeatureType::kTop:
      return spec.half_life_us == 0 ? Way::kTop : Way::kDecayingTop;
    case FeatureType::kDistinct:
      return Way::kDistinct;
    case FeatureType::kSession:
      return Way::kSession;
  }
  return Way::kExpressions;
}

struct alignas(64) Step {
  static constexpr std::uint32_t kNone = 0xffff'ffff;

  Way way = Way::kExpressions;
  bool bounded = false;         ///< there is a `where`, and it is no more than `bound`
  std::uint32_t offset = 0;     ///< of the column
  std::uint32_t feature = 0;    ///< its spec's index
  std::uint32_t field = kNone;  ///< the `of`, which is no more than that
  std::uint32_t clock = kNone;  ///< of its panes or half-lives
  std::uint32_t feed = kNone;   ///< kExpressions: whose
  double weight = 1;
  /// Kinds whose feed of the same session comes first: an event of several kinds is one event of a
  /// session.
  std::uint64_t kinds_before = 0;
  Expression::Bound bound;
};
static_assert(sizeof(Step) == 64);

}  // namespace deja::features
