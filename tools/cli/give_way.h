// Who watches must not hold up what is watched: on a host without a core to spare both want the
// same ones.
#pragma once

#include <sys/resource.h>

namespace deja {

/// From now on this process takes a core after those who work, and of one that is wanted by all at
/// least a tenth. Where that is refused it goes on as it is.
inline void give_way() {
  constexpr int kNice = 10;
  if (getpriority(PRIO_PROCESS, 0) < kNice) (void)setpriority(PRIO_PROCESS, 0, kNice);
}

}  // namespace deja
