// A part of the last cache for the appliance's cores alone (resctrl: Intel's and AMD's cache
// allocation), where that file system is mounted.
#include <bit>

#include "tuning/knobs/families.h"
#include "tuning/rules.h"

namespace deja::tuning {
namespace {

constexpr const char* kResctrl = "/sys/fs/resctrl";
constexpr const char* kGroup = "/sys/fs/resctrl/deja";
constexpr int kWaysMax = 32;

/// "L3:0=ff;1=ff" with each cache's ways replaced. nullopt: not such a line.
std::optional<std::string> with_ways(const std::string& line, std::uint32_t ways) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string mask;
  for (std::uint32_t rest = ways; rest != 0; rest >>= 4U) mask.insert(0, 1, kDigits[rest & 15U]);
  std::string result = "L3:";
  std::string_view caches = std::string_view(line).substr(3);
  if (caches.empty() || mask.empty()) return std::nullopt;
  while (true) {
    const std::size_t end = caches.find(';');
    const std::string_view cache = caches.substr(0, end);
    const std::size_t equals = cache.find('=');
    if (equals == std::string_view::npos || !number_in(std::string(cache.substr(0, equals)))) {
      return std::nullopt;
    }
    if (result.size() > 3) result += ';';
    result.append(cache.substr(0, equals)).append("=").append(mask);
    if (end == std::string_view::npos) return result;
    caches.remove_prefix(end + 1);
  }
}

/// The ways of a mask such as "fffff"; 0 where it is none.
std::uint32_t ways_in(const std::string& mask) {
  const std::optional<CpuSet> bits = CpuSet::of_mask(mask);
  std::uint32_t ways = 0;
  if (!bits) return 0;
  for (const int bit : bits->cores()) {
    if (bit >= kWaysMax) return 0;
    ways |= std::uint32_t{1} << static_cast<unsigned>(bit);
  }
  return ways;
}

Finding unreadable(std::string note) {
  Finding finding;
  finding.state = KnobState::kUnreadable;
  finding.note = std::move(note);
  return finding;
}

/// What lies at a place of our group, once it is there: the kernel fills a new group with values
/// that are not known before.
PlaceValue value_at(const Host& host, const Place& place) {
  const Result<PlaceValue> value = read_place(*host.tree, place);
  return value ? *value : PlaceValue();
}

Finding look_at_cache(const Host& host) {
  if (std::optional<Finding> none = no_cores(host)) return *none;
  const std::string root = kResctrl;
  const Result<std::string> mask = host.tree->read_value(root + "/info/L3/cbm_mask");
  if (!mask && mask.error().error_number == ENOENT) {
    Finding finding;
    finding.state = KnobState::kAbsent;
    finding.note =
        "no resctrl with L3 here: the processor can't divide its cache, or mount -t "
        "resctrl resctrl /sys/fs/resctrl";
    return finding;
  }
  if (!mask) return unreadable(mask.error().message());
  const std::uint32_t all = ways_in(*mask);
  const int count = std::popcount(all);
  if (count < 2) return unreadable("cbm_mask has \"" + *mask + "\", which can't be divided");
  const Place rest{PlaceKind::kCacheWays, root + "/schemata"};
  const Result<PlaceValue> rest_line = read_place(*host.tree, rest);
  if (!rest_line) return unreadable(rest_line.error().message());
  // Masks must be of neighbouring ways: the upper half for us, the lower for the rest.
  const std::uint32_t lower = (std::uint32_t{1} << static_cast<unsigned>(count / 2)) - 1;
  const std::uint32_t upper = all & ~lower;
  const std::optional<std::string> want_rest = with_ways(**rest_line, lower);
  const std::optional<std::string> want_ours = with_ways(**rest_line, upper);
  if (!want_rest || !want_ours) return unreadable(root + "/schemata has \"" + **rest_line + "\"");

  const Place group{PlaceKind::kDirectory, kGroup};
  const Place ours{PlaceKind::kCacheWays, std::string(kGroup) + "/schemata"};
  const Place cores{PlaceKind::kCpuList, std::string(kGroup) + "/cpus_list"};
  Finding finding;
  finding.want = *want_ours + " for " + host.appliance.list();
  const auto wish = [&finding, &host](const Place& place, const std::string& value) {
    const PlaceValue old = value_at(host, place);
    if (!same_value(place.kind, old, value)) finding.writes.push_back({place, old, value});
  };
  wish(group, "");
  wish(ours, *want_ours);
  wish(cores, host.appliance.list());
  wish(rest, *want_rest);
  const PlaceValue have = value_at(host, ours);
  finding.have = have ? *have + " for " + value_at(host, cores).value_or("none") : "shared by all";
  if (!finding.writes.empty()) finding.state = KnobState::kDiffers;
  return finding;
}

}  // namespace

std::vector<Knob> cache_knobs() {
  return {
      {"resctrl", "others can't push the table out of the cache",
       "A group `deja` in resctrl: the appliance's cores fill the upper half of the last cache's "
       "ways, everybody else the lower one. Other groups are left as they are.",
       "The rest of the host has half the cache, whether or not Deja fills its own.",
       "deja bench (read a profile) while stress-ng --cache runs on a housekeeping core, before "
       "and after.",
       look_at_cache},
  };
}

}  // namespace deja::tuning
