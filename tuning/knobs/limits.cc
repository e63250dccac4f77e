// Limits of the appliance's processes: what they may lock, which priority they may take. A limit is
// given when a process starts, so there is nothing to write here.
#include <unistd.h>

#include "tuning/knobs/families.h"
#include "tuning/rules.h"

namespace deja::tuning {
namespace {

/// The soft limit of that name in a /proc/PID/limits; "unlimited" is INT64_MAX.
std::optional<std::int64_t> soft_limit(const std::string& text, std::string_view name) {
  const std::size_t at = text.find(name);
  if (at == std::string::npos || (at != 0 && text[at - 1] != '\n')) return std::nullopt;
  const std::string_view rest = trimmed(std::string_view(text).substr(at + name.size()));
  const std::string word(rest.substr(0, rest.find(' ')));
  if (word == "unlimited") return INT64_MAX;
  return number_in(word);
}

struct Limit {
  const char* name;  ///< in /proc/PID/limits
  std::int64_t least;
  std::string want;
  std::string by_hand;
};

Finding look_at_limit(const Host& host, const Limit& limit) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const PinnedProcess& process : host.target.running) {
    files.emplace_back(process.name, "/proc/" + std::to_string(process.pid) + "/limits");
  }
  if (files.empty()) files.emplace_back("a process started from here", "/proc/self/limits");
  Finding finding;
  finding.want = limit.want;
  std::optional<std::int64_t> lowest;
  for (const auto& [name, path] : files) {
    const Result<std::string> text = host.tree->read_text(path);
    if (!text && text.error().error_number == ENOENT) continue;
    const std::optional<std::int64_t> soft = text ? soft_limit(*text, limit.name) : std::nullopt;
    if (!soft) {
      finding.state = KnobState::kUnreadable;
      finding.note = text ? path + " has no number for " + limit.name : text.error().message();
      return finding;
    }
    if (!lowest || *soft < *lowest) {
      lowest = *soft;
      finding.have = (*soft == INT64_MAX ? "unlimited" : std::to_string(*soft)) + " (" + name + ")";
    }
  }
  if (!lowest) {
    finding.state = KnobState::kAbsent;
    finding.note = "no /proc: limits are not ours to see";
    return finding;
  }
  if (*lowest >= limit.least) return finding;
  finding.state = KnobState::kDiffers;
  finding.note = "a limit is taken over when a process starts";
  finding.by_hand.push_back(limit.by_hand);
  return finding;
}

/// Without a config the least that io_uring's rings want.
constexpr std::int64_t kLockedBytesLeast = std::int64_t{8} << 20U;

Finding look_at_memlock(const Host& host) {
  const std::int64_t least = host.target.has_config
                                 ? static_cast<std::int64_t>(host.target.segment_bytes)
                                 : kLockedBytesLeast;
  return look_at_limit(
      host, {"Max locked memory", least, std::to_string(least) + " bytes or more",
             "systemd: LimitMEMLOCK=infinity in the unit; a login: \"deja - memlock unlimited\" in "
             "/etc/security/limits.d/deja.conf"});
}

Finding look_at_priority(const Host& host) {
  if (geteuid() == 0 && host.tree->is_this_host()) {
    Finding finding;
    finding.want = "1 or more";
    finding.have = "root may take any";
    return finding;
  }
  return look_at_limit(host, {"Max realtime priority", 1, "1 or more",
                              "systemd: LimitRTPRIO=1 in the unit; a login: \"deja - rtprio 1\" in "
                              "/etc/security/limits.d/deja.conf"});
}

}  // namespace

std::vector<Knob> limit_knobs() {
  return {
      {"memlock", "the table can't be swapped out once it is locked",
       "RLIMIT_MEMLOCK of the appliance's processes, or of this shell where it does not run: Deja "
       "locks its table as far as this allows, and says at its start what it did not get.",
       "Locked memory is gone for others.", "deja stat: locked; major faults of workers.",
       look_at_memlock},
      {"rtprio", "measuring needs a priority above what it measures",
       "RLIMIT_RTPRIO: whether a real-time priority may be taken. Deja's own processes ask for "
       "none; deja tune measure and cyclictest do, so that they see the host and not their own "
       "waiting.",
       "Who may take one can keep a core to himself.", "deja tune measure says whether it got one.",
       look_at_priority},
  };
}

}  // namespace deja::tuning
