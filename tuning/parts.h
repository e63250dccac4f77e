// Knobs over several places of one kind (a governor for each core, an affinity for each interrupt):
// what is found at each, put together into one finding. One thread at a time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tuning/knob.h"

namespace deja::tuning {

enum class Verdict { kRight, kWrong, kGarbage };

struct Part {
  std::string label;  ///< "cpu3", "eth0 rx-0"; empty where there is one part
  Place place;
  std::function<Verdict(const std::string&)> judge;
  /// What should be there instead of what is. Asked only where judge() says kWrong.
  std::function<std::string(const std::string&)> right_value;
  bool may_be_refused = false;
};

/// Absent where no part exists, with `absent` as the note; unreadable where one is; else differs
/// where one is wrong. A wrong part that nobody may write has no Write, and the note says so.
[[nodiscard]] Finding look_at_parts(const Host& host, std::string want, const std::string& absent,
                                    const std::vector<Part>& parts);

/// Nothing is asked of the host, since `why`.
[[nodiscard]] Finding not_asked(std::string why);
/// For knobs about the appliance's cores: not asked where the config names none. nullopt: it does,
/// and some are left for the rest.
[[nodiscard]] std::optional<Finding> no_cores(const Host& host);

/// "a, b, c and 4 more".
[[nodiscard]] std::string some_of(const std::vector<std::string>& names);

}  // namespace deja::tuning
