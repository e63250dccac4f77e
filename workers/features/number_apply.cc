#include "workers/features/number_apply.h"

#include <limits>

#include "shm/columns/number_column.h"

namespace deja::features {
namespace {

using columns::load;
using columns::store;

std::uint32_t add_saturating(std::uint32_t a, std::uint32_t b) {
  const std::uint32_t room = std::numeric_limits<std::uint32_t>::max() - a;
  return a + (b < room ? b : room);
}

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

void add_count(std::uint8_t* cell, std::uint32_t count) {
  store(cell, add_saturating(load<std::uint32_t>(cell), count));
}

/// Adds within the finite numbers: values whose sum no double can hold stop at the largest.
void add_sum(std::uint8_t* cell, double number) {
  store(cell, columns::finite(columns::finite(load<double>(cell)) + number));
}

void take_extreme(const FeatureSpec& spec, std::uint8_t* cell, std::uint64_t encoded) {
  const auto kept = load<std::uint64_t>(cell);
  if (encoded == 0) return;
  const bool better = spec.type == FeatureType::kMin ? encoded < kept : encoded > kept;
  if (kept == 0 || better) store(cell, encoded);
}

}  // namespace

Applied apply_count(const FeatureSpec& spec, std::uint8_t* column, std::int64_t time_us) {
  if (spec.window_us == 0) {
    const auto count = load<std::uint64_t>(column);
    store(column, count == std::numeric_limits<std::uint64_t>::max() ? count : count + 1);
    return Applied::kTaken;
  }
  const std::int64_t pane = columns::pane_of(spec, time_us);
  const auto clear = [&](std::uint32_t slot) { clear_cell(spec, column, slot); };
  if (advance_to(spec, column, pane, clear).late) return Applied::kLate;
  add_count(column + columns::count_cell(spec, columns::pane_slot(spec, pane)), 1);
  return Applied::kTaken;
}

Applied apply_number(const FeatureSpec& spec, std::uint8_t* column, std::int64_t time_us,
                     const Value& value) {
  if (value.kind != ValueKind::kNumber) return Applied::kSkipped;
  const std::int64_t pane = columns::pane_of(spec, time_us);
  const auto clear = [&](std::uint32_t slot) { clear_cell(spec, column, slot); };
  if (advance_to(spec, column, pane, clear).late) return Applied::kLate;
  const std::uint32_t slot = columns::pane_slot(spec, pane);
  std::uint8_t* cell = column + columns::wide_cell(spec, slot);
  const double number = columns::finite(value.number);
  if (spec.type == FeatureType::kMin || spec.type == FeatureType::kMax) {
    take_extreme(spec, cell, columns::encode_number(number));
    return Applied::kTaken;
  }
  add_sum(cell, number);
  if (spec.type == FeatureType::kMean) {
    add_count(column + columns::mean_count_cell(spec, slot), 1);
  }
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
      take_extreme(spec, into + cell, load<std::uint64_t>(from + cell));
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
