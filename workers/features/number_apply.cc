#include "workers/features/number_apply.h"

#include <limits>

#include "shm/columns/number_column.h"

namespace deja::features {
namespace {

using columns::load;
using columns::store;

bool counts_in_panes(const FeatureSpec& spec) {
  return spec.type == FeatureType::kCount && spec.window_us != 0;
}

void clear_cell(const FeatureSpec& spec, std::uint8_t* column, std::uint32_t slot) {
  if (counts_in_panes(spec)) {
    store<std::uint32_t>(column + columns::count_cell(spec, slot), 0);
    return;
  }
  store<std::uint64_t>(column + columns::wide_cell(spec, slot), 0);
  if (spec.type == FeatureType::kMean) {
    store<std::uint32_t>(column + columns::mean_count_cell(spec, slot), 0);
  }
}

}  // namespace

Applied apply_count(const FeatureSpec& spec, std::uint8_t* column, const columns::PanePlace& at) {
  if (spec.window_us == 0) {
    count_one(column);
    return Applied::kTaken;
  }
  const auto clear = [&](std::uint32_t slot) { clear_cell(spec, column, slot); };
  if (advance_to(spec, column, at.pane, clear).late) return Applied::kLate;
  add_count(column + columns::count_cell(spec, at.slot), 1);
  return Applied::kTaken;
}

Applied apply_number(const FeatureSpec& spec, std::uint8_t* column, const columns::PanePlace& at,
                     const Value& value) {
  if (value.kind != ValueKind::kNumber) return Applied::kSkipped;
  const auto clear = [&](std::uint32_t slot) { clear_cell(spec, column, slot); };
  if (advance_to(spec, column, at.pane, clear).late) return Applied::kLate;
  take_number(spec.type, column + columns::wide_cell(spec, at.slot),
              column + columns::mean_count_cell(spec, at.slot), columns::finite(value.number));
  return Applied::kTaken;
}

void merge_number(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from) {
  if (spec.type == FeatureType::kCount && spec.window_us == 0) {
    const auto ours = load<std::uint64_t>(into);
    const auto theirs = load<std::uint64_t>(from);
    const std::uint64_t room = std::numeric_limits<std::uint64_t>::max() - ours;
    store(into, ours + (theirs < room ? theirs : room));
    return;
  }
  const auto clear = [&](std::uint32_t slot) { clear_cell(spec, into, slot); };
  const auto combine = [&](std::uint32_t slot) {
    if (counts_in_panes(spec)) {
      const std::uint32_t cell = columns::count_cell(spec, slot);
      add_count(into + cell, load<std::uint32_t>(from + cell));
      return;
    }
    const std::uint32_t cell = columns::wide_cell(spec, slot);
    if (spec.type == FeatureType::kMin || spec.type == FeatureType::kMax) {
      take_extreme(spec.type == FeatureType::kMin, into + cell, load<std::uint64_t>(from + cell));
      return;
    }
    add_sum(into + cell, columns::finite(load<double>(from + cell)));
    if (spec.type == FeatureType::kMean) {
      const std::uint32_t count = columns::mean_count_cell(spec, slot);
      add_count(into + count, load<std::uint32_t>(from + count));
    }
  };
  merge_panes(spec, into, from, clear, combine);
}

}  // namespace deja::features
