// A knob: one property of a host that Deja has a wish about. It says what it wants and why, what
// that costs and how one would measure it, looks at what the host has, and says what it would
// write; it never writes. knobs/ has them all, one family a file. Immutable; one thread at a time,
// since they read through a Tree.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tuning/host.h"
#include "tuning/place.h"

namespace deja::tuning {

enum class KnobState {
  kOk,          ///< the host has what is wanted
  kDiffers,     ///< it has not
  kAbsent,      ///< this kernel, machine or container has no such thing
  kUnreadable,  ///< it has, and what lies there can't be read or makes no sense
  kNotAsked,    ///< this config has no wish about it
};

/// "ok", "differs", "absent", "unreadable", "not asked".
[[nodiscard]] const char* knob_state_name(KnobState state);

/// A value that a knob would have at a place.
struct Write {
  Place place;
  PlaceValue old;
  PlaceValue value;
  /// The kernel refuses this for some places, such as an interrupt whose cores a driver has fixed,
  /// and does not say so beforehand: no failure of ours.
  bool may_be_refused = false;
};

/// What a knob found.
struct Finding {
  KnobState state = KnobState::kOk;
  std::string want;
  std::string have;
  std::string note;  ///< why it is absent, not asked, unreadable, or can't be written; may be empty
  std::vector<Write> writes;
  std::vector<std::string> by_hand;  ///< what only a person should do, a command or sentence each
};

struct Knob {
  std::string name;     ///< of --only and --except
  std::string why;      ///< for a table: under 60 characters
  std::string does;     ///< what it is, a sentence or two
  std::string costs;    ///< what one pays for it
  std::string measure;  ///< how one would see its effect
  std::function<Finding(const Host&)> look;
};

/// All there are, in the order in which they are applied. Reverting goes the other way.
[[nodiscard]] const std::vector<Knob>& all_knobs();

}  // namespace deja::tuning
