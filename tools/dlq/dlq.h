// The verb `deja dlq`: dead letters listed, shown and sent again. Reads the keeper's file, whose
// bytes may be anybody's; writes nothing but marks. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tools/inspect/open_appliance.h"

namespace deja {

struct DlqOptions {
  ApplianceName appliance;
  std::string durability;               ///< empty: that of the appliance
  std::optional<std::uint64_t> number;  ///< which letter
  bool all = false;                     ///< replay: all that were not yet
  std::string to;                       ///< replay: as `deja replay` has them
  std::string write_key;
  bool json = false;
};

/// 0: listed, also where there are none; 1: the file can't be read, or is damaged.
[[nodiscard]] int run_dlq_list(const DlqOptions& options);
/// 0; 1: no such letter.
[[nodiscard]] int run_dlq_show(const DlqOptions& options);
/// 0: every letter asked for was taken by the appliance; 1: not so; 2: it makes no sense.
[[nodiscard]] int run_dlq_replay(const DlqOptions& options);

}  // namespace deja
