// From knobs to deeds: what to look at, what to write in which order, and how it is taken back.
// One thread; apply and revert hold the lock of the saved values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tuning/knob.h"
#include "tuning/saved_values.h"

namespace deja::tuning {

/// --only and --except. A knob that is named in both is off.
struct Selection {
  std::vector<std::string> only;  ///< empty: all
  std::vector<std::string> except;
  [[nodiscard]] bool has(const std::string& knob) const;
};

struct Row {
  const Knob* knob = nullptr;
  Finding finding;
};
/// All that is selected, looked at.
[[nodiscard]] std::vector<Row> look_at_knobs(const Host& host, const Selection& selection);
/// Nothing differs, and all could be read.
[[nodiscard]] bool all_right(const std::vector<Row>& rows);

enum class Outcome {
  kDone,     ///< it is there now: it was read back
  kAsItWas,  ///< it was there already
  kRefused,  ///< the kernel refused it, or took another value
  kGone,     ///< there is no such place any more, or its path means another thing now
};

/// What became of one place.
struct Deed {
  std::string knob;
  Place place;
  PlaceValue from;
  PlaceValue to;
  Outcome outcome = Outcome::kDone;
  std::string note;          ///< why it was refused; what was found instead; may be empty
  bool is_expected = false;  ///< a refusal that is none of ours
};
/// Nothing was refused that should not have been.
[[nodiscard]] bool all_done(const std::vector<Deed>& deeds);

/// Saves what is there, durably, and then writes all that the rows would have written. A place that
/// is saved already keeps its first value, unless a restart has reset it since, or its path means
/// another device now.
[[nodiscard]] Result<std::vector<Deed>> apply_rows(const Tree& tree, const std::vector<Row>& rows,
                                                   SavedValues& saved);

/// Gives back what is saved of the selected knobs, the last written first, and forgets what was
/// given back or is gone. What is refused stays saved.
[[nodiscard]] Result<std::vector<Deed>> revert_values(const Tree& tree, const Selection& selection,
                                                      SavedValues& saved);

/// This boot's id, or an error where /proc does not tell.
[[nodiscard]] Result<std::string> boot_id(const Tree& tree);
/// What a path that has a number in it means: of an interrupt, the devices it serves now, which may
/// be none. Empty for paths that always mean the same.
[[nodiscard]] std::string identity_of(const Tree& tree, const std::string& path);

}  // namespace deja::tuning
