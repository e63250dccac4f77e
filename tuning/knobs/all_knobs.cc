// The order matters at both ends: irqbalance is told before affinities are set, and siblings go
// offline last, when no interrupt is served on one alone any more, so that on the way back they are
// online before anything is given back to them.
#include <iterator>

#include "tuning/knobs/families.h"

namespace deja::tuning {

const std::vector<Knob>& all_knobs() {
  static const std::vector<Knob> all = [] {
    std::vector<Knob> knobs;
    for (const auto family :
         {thread_knobs, isolation_knobs, frequency_knobs, interrupt_knobs, queue_knobs,
          kernel_knobs, page_knobs, limit_knobs, cache_knobs, sibling_knobs}) {
      std::vector<Knob> some = family();
      knobs.insert(knobs.end(), std::make_move_iterator(some.begin()),
                   std::make_move_iterator(some.end()));
    }
    return knobs;
  }();
  return all;
}

const char* knob_state_name(KnobState state) {
  switch (state) {
    case KnobState::kOk:
      return "ok";
    case KnobState::kDiffers:
      return "differs";
    case KnobState::kAbsent:
      return "absent";
    case KnobState::kUnreadable:
      return "unreadable";
    case KnobState::kNotAsked:
      return "not asked";
  }
  return "";
}

}  // namespace deja::tuning
