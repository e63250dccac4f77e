#include "workers/features/top_apply.h"

#include <cstring>

#include "shm/columns/top_column.h"
#include "workers/features/item_text.h"
#include "workers/features/text_probe.h"

namespace deja::features {
namespace {

using columns::finite;
using columns::HalfLives;
using columns::load;
using columns::scale;
using columns::store;
using columns::TopKey;

std::uint32_t cells(const FeatureSpec& spec) {
  return spec.window_us == 0 ? 1 : spec.panes;
}

double cell(const FeatureSpec& spec, const std::uint8_t* column, std::uint32_t place,
            std::uint32_t slot) {
  const double weight =
      finite(load<double>(column + columns::top_weight_offset(spec, place, slot)));
  return weight < 0 ? 0 : weight;
}

[[gnu::always_inline]] inline void add(const FeatureSpec& spec, std::uint8_t* column,
                                       std::uint32_t place, std::uint32_t slot, double weight) {
  store(column + columns::top_weight_offset(spec, place, slot),
        finite(cell(spec, column, place, slot) + weight));
}

/// All that is kept of a key's weight.
double total(const FeatureSpec& spec, const std::uint8_t* column, std::uint32_t place) {
  double sum = 0;
  for (std::uint32_t slot = 0; slot < cells(spec); ++slot) {
    sum = finite(sum + cell(spec, column, place, slot));
  }
  return sum;
}

/// The place of a key, `track` when it has none.
[[gnu::always_inline]] inline std::uint32_t find(const FeatureSpec& spec,
                                                 const std::uint8_t* column, const TopKey& key) {
  const TextProbe probe(key.text, key.bytes, spec.text_bytes);
  const auto length = [&](std::uint32_t place) {  // of a free one: kFree
    return column[columns::top_length_offset(spec, place)] - 1U;
  };
  static_assert(TextProbe::kFree == 0U - 1U);
  return probe.find(
      column + columns::top_text_offset(spec, 0), spec.track, [](std::uint32_t) { return false; },
      length);
}

std::uint32_t find_free(const FeatureSpec& spec, const std::uint8_t* column) {
  std::uint32_t place = 0;
  while (place < spec.track && columns::top_key(spec, column, place).used) ++place;
  return place;
}

struct Weighed {
  std::uint32_t place = 0;
  double weight = 0;
  TopKey key;

  /// A total order, so that what is replaced does not depend on where it lies.
  [[nodiscard]] bool lighter_than(const Weighed& other) const {
    if (weight != other.weight) return weight < other.weight;
    return columns::compare_bytes(key.text, key.bytes, other.key.text, other.key.bytes) > 0;
  }
};

/// The lightest key of a column whose places are all used.
Weighed lightest(const FeatureSpec& spec, const std::uint8_t* column) {
  Weighed least;
  for (std::uint32_t place = 0; place < spec.track; ++place) {
    const Weighed here = {place, total(spec, column, place), columns::top_key(spec, column, place)};
    if (place == 0 || here.lighter_than(least)) least = here;
  }
  return least;
}

void write_key(const FeatureSpec& spec, std::uint8_t* column, std::uint32_t place,
               const TopKey& key) {
  column[columns::top_length_offset(spec, place)] = static_cast<std::uint8_t>(key.bytes + 1);
  columns::store_text(column + columns::top_text_offset(spec, place), spec.text_bytes, key.text,
                      key.bytes);
}

void free_place(const FeatureSpec& spec, std::uint8_t* column, std::uint32_t place) {
  column[columns::top_length_offset(spec, place)] = 0;
  std::memset(column + columns::top_text_offset(spec, place), 0, spec.text_bytes);
  std::memset(column + columns::top_weight_offset(spec, place, 0), 0, std::size_t{8} * cells(spec));
}

void clear_slot(const FeatureSpec& spec, std::uint8_t* column, std::uint32_t slot) {
  for (std::uint32_t place = 0; place < spec.track; ++place) {
    store<double>(column + columns::top_weight_offset(spec, place, slot), 0);
  }
}

/// What follows from panes having been given up: keys without a weight are free, marks are older.
void after_moving(const FeatureSpec& spec, std::uint8_t* column, std::int64_t moved) {
  if (moved == 0) return;
  std::uint8_t& loss = column[columns::kTopLossAgeOffset];
  loss = moved_age(spec, loss, moved);
  for (std::uint32_t place = 0; place < spec.track; ++place) {
    if (columns::top_key(spec, column, place).used && total(spec, column, place) == 0) {
      free_place(spec, column, place);
    }
  }
}

/// That a key was lost is never forgotten, however little it weighs by now: the least error that is
/// not none.
constexpr double kLeastError = 4.9406564584124654e-324;

double error_of(const std::uint8_t* column) {
  const double error = finite(load<double>(column + columns::kTopErrorOffset));
  return error > 0 ? error : 0;
}

/// The error seen from a landmark that many half-lives earlier (newer: negative).
double scaled_error(const std::uint8_t* column, std::int64_t exponent) {
  const double error = error_of(column);
  const double scaled = finite(scale(error, exponent));
  return error > 0 && scaled == 0 ? kLeastError : scaled;
}

void raise_error(std::uint8_t* column, double weight) {
  if (weight > error_of(column)) store(column + columns::kTopErrorOffset, weight);
}

/// Remembers that the weights which a key has in `from` are (or will be) another's or nobody's. In
/// a window: in which pane, as seen from `newest`.
void mark_loss(const FeatureSpec& spec, std::uint8_t* column, const std::uint8_t* from,
               std::uint32_t place, double weight) {
  if (spec.window_us == 0) {
    raise_error(column, weight > 0 ? weight : kLeastError);
    return;
  }
  const columns::PaneRange theirs = columns::panes_kept(spec, from);
  const columns::PaneRange ours = columns::panes_kept(spec, column);
  for (std::int64_t pane = theirs.last; pane >= ours.first && pane >= theirs.first; --pane) {
    if (cell(spec, from, place, columns::pane_slot(spec, pane)) == 0) continue;
    std::uint8_t& loss = column[columns::kTopLossAgeOffset];
    const std::uint8_t age = columns::encode_age(ours.last, pane);
    if (loss == 0 || age < loss) loss = age;
    return;
  }
}

/// Sees all weights from that many half-lives later: exact, by a power of two.
void decay(const FeatureSpec& spec, std::uint8_t* column, std::int64_t half_lives) {
  for (std::uint32_t place = 0; place < spec.track; ++place) {
    store(column + columns::top_weight_offset(spec, place, 0),
          scale(cell(spec, column, place, 0), -half_lives));
  }
  store(column + columns::kTopErrorOffset, scaled_error(column, -half_lives));
}

/// Moves the landmark to `landmark` where that is newer. Returns where it is then.
inline std::int64_t move_landmark(const FeatureSpec& spec, std::uint8_t* column,
                                  std::int64_t landmark) {
  const auto stored = load<std::uint64_t>(column + columns::kTopLandmarkOffset);
  if (stored != 0) {
    const std::int64_t kept = columns::decode_instant(stored);
    if (landmark <= kept) return kept;
    decay(spec, column, landmark - kept);
  }
  store(column + columns::kTopLandmarkOffset, columns::encode_instant(landmark));
  return landmark;
}

/// The weight of an event at its own time, relative to the column's landmark, which is moved to it
/// where it is newer.
double relative_weight(const FeatureSpec& spec, std::uint8_t* column, const HalfLives& at,
                       double weight) {
  const std::int64_t landmark = move_landmark(spec, column, at.whole);
  return finite(scale(weight * columns::exp2_fraction(at.fraction(spec)), at.whole - landmark));
}

/// Adds the weights of `from`'s key at `from_place`, scaled by 2^exponent, to a place of `into`.
void add_from(const FeatureSpec& spec, std::uint8_t* into, std::uint32_t place,
              const std::uint8_t* from, std::uint32_t from_place, std::int64_t exponent) {
  if (spec.window_us == 0) {
    add(spec, into, place, 0, scale(cell(spec, from, from_place, 0), exponent));
    return;
  }
  const columns::PaneRange ours = columns::panes_kept(spec, into);
  const columns::PaneRange theirs = columns::panes_kept(spec, from);
  const std::int64_t first = ours.first > theirs.first ? ours.first : theirs.first;
  for (std::int64_t pane = first; pane <= theirs.last; ++pane) {
    const std::uint32_t slot = columns::pane_slot(spec, pane);
    add(spec, into, place, slot, cell(spec, from, from_place, slot));
  }
}

/// A key of `from` as `into` would weigh it.
Weighed weigh_from(const FeatureSpec& spec, const std::uint8_t* into, const std::uint8_t* from,
                   std::uint32_t from_place, std::int64_t exponent) {
  Weighed weighed = {from_place, 0, columns::top_key(spec, from, from_place)};
  if (spec.window_us == 0) {
    weighed.weight = scale(cell(spec, from, from_place, 0), exponent);
    return weighed;
  }
  const columns::PaneRange ours = columns::panes_kept(spec, into);
  const columns::PaneRange theirs = columns::panes_kept(spec, from);
  const std::int64_t first = ours.first > theirs.first ? ours.first : theirs.first;
  for (std::int64_t pane = first; pane <= theirs.last; ++pane) {
    weighed.weight =
        finite(weighed.weight + cell(spec, from, from_place, columns::pane_slot(spec, pane)));
  }
  return weighed;
}

/// Brings `into` to where `from`'s weights can be added: newest pane or landmark, marks of losses.
/// Returns the exponent to scale them by.
std::int64_t align(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from) {
  if (spec.window_us != 0) {
    const auto clear = [&](std::uint32_t slot) { clear_slot(spec, into, slot); };
    after_moving(spec, into, merge_panes(spec, into, from, clear, [](std::uint32_t) {}));
    const columns::PaneRange theirs = columns::panes_kept(spec, from);
    const columns::PaneRange ours = columns::panes_kept(spec, into);
    if (theirs.empty()) return 0;
    std::uint8_t& loss = into[columns::kTopLossAgeOffset];
    loss = merged_age(spec, ours.last, loss, theirs.last, from[columns::kTopLossAgeOffset]);
    return 0;
  }
  std::int64_t exponent = 0;
  const auto stored = load<std::uint64_t>(from + columns::kTopLandmarkOffset);
  if (spec.half_life_us != 0 && stored != 0) {
    const std::int64_t landmark = columns::decode_instant(stored);
    exponent = landmark - move_landmark(spec, into, landmark);
  }
  store(into + columns::kTopErrorOffset, finite(error_of(into) + scaled_error(from, exponent)));
  return exponent;
}

/// Adds a weight to a key's cell. A key that has no place gets one.
[[gnu::always_inline]] inline void add_to_key(const FeatureSpec& spec, std::uint8_t* column,
                                              std::uint32_t slot, const ItemText& item,
                                              double weight) {
  const TopKey key = {true, item.text(), item.bytes_within(spec.text_bytes)};
  std::uint32_t place = find(spec, column, key);
  if (place == spec.track) {
    place = find_free(spec, column);
    if (place == spec.track) {
      const Weighed replaced = lightest(spec, column);
      place = replaced.place;
      mark_loss(spec, column, column, place, replaced.weight);
    }
    write_key(spec, column, place, key);
  }
  add(spec, column, place, slot, weight);
}

}  // namespace

Applied apply_top(const FeatureSpec& spec, std::uint8_t* column, const columns::PanePlace& at,
                  const Value& value, double weight) {
  const ItemText item(value);
  if (!item.there()) return Applied::kSkipped;
  const auto clear = [&](std::uint32_t slot) { clear_slot(spec, column, slot); };
  const Advance advance = advance_to(spec, column, at.pane, clear);
  if (advance.late) return Applied::kLate;
  after_moving(spec, column, advance.moved);
  add_to_key(spec, column, at.slot, item, weight);
  return Applied::kTaken;
}

Applied apply_decaying_top(const FeatureSpec& spec, std::uint8_t* column, const HalfLives& at,
                           const Value& value, double weight) {
  const ItemText item(value);
  if (!item.there()) return Applied::kSkipped;
  add_to_key(spec, column, 0, item, relative_weight(spec, column, at, weight));
  return Applied::kTaken;
}

void merge_top(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from) {
  const std::int64_t exponent = align(spec, into, from);
  // First the keys that both have: from then on every weight of `into` is final, so that the
  // heaviest of all can be found by replacing one by one. (A key of both that is replaced below is
  // met again there with less than its weight, and stays out.)
  for (std::uint32_t place = 0; place < spec.track; ++place) {
    const TopKey key = columns::top_key(spec, from, place);
    if (!key.used) continue;
    const std::uint32_t ours = find(spec, into, key);
    if (ours == spec.track) continue;
    add_from(spec, into, ours, from, place, exponent);
  }
  for (std::uint32_t place = 0; place < spec.track; ++place) {
    const Weighed theirs = weigh_from(spec, into, from, place, exponent);
    if (!theirs.key.used || find(spec, into, theirs.key) != spec.track) continue;
    if (spec.window_us != 0 && theirs.weight == 0) continue;
    std::uint32_t ours = find_free(spec, into);
    if (ours == spec.track) {
      const Weighed least = lightest(spec, into);
      if (!least.lighter_than(theirs)) {
        mark_loss(spec, into, from, place, theirs.weight);
        continue;
      }
      ours = least.place;
      mark_loss(spec, into, into, ours, least.weight);
      free_place(spec, into, ours);
    }
    write_key(spec, into, ours, theirs.key);
    add_from(spec, into, ours, from, place, exponent);
  }
}

}  // namespace deja::features
