// Where interrupts are served, and that nobody moves them back.
#include <algorithm>
#include <cctype>

#include "tuning/knobs/families.h"
#include "tuning/rules.h"

namespace deja::tuning {
namespace {

constexpr const char* kBalancerFile = "/etc/default/irqbalance";
constexpr std::string_view kBanned = "IRQBALANCE_BANNED_CPULIST";
constexpr std::string_view kBannedMask = "IRQBALANCE_BANNED_CPUS";

bool is_number(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
}

/// Siblings too: where an interrupt is served on one alone, the kernel lets it go to every core,
/// ours among them, once that sibling goes offline, and does not take it back.
CpuSet without_interrupts(const Host& host) {
  return host.appliance | host.siblings;
}

Finding look_at_affinities(const Host& host) {
  if (std::optional<Finding> none = no_cores(host)) return *none;
  const CpuSet off = without_interrupts(host);
  std::vector<Part> parts;
  for (const std::string& number : host.tree->names("/proc/irq")) {
    if (!is_number(number)) continue;
    Part part = cores_part(host, off, "irq " + number,
                           {PlaceKind::kCpuList, "/proc/irq/" + number + "/smp_affinity_list"});
    part.may_be_refused = true;
    parts.push_back(std::move(part));
  }
  return look_at_parts(host, without(host, off), "no /proc/irq: interrupts are not ours to see",
                       parts);
}

Finding look_at_default(const Host& host) {
  if (std::optional<Finding> none = no_cores(host)) return *none;
  return look_at_parts(host, "mask " + host.housekeeping.mask(),
                       "no /proc/irq: interrupts are not ours to see",
                       {cores_part(host, without_interrupts(host), "",
                                   {PlaceKind::kCpuMask, "/proc/irq/default_smp_affinity"})});
}

/// The value of `name` among settings of the form NAME=VALUE or NAME="VALUE", the last of them;
/// nullopt where there is none. A quote without its other end stays, and makes no list of cores.
std::optional<std::string> setting(std::string_view text, char separator, std::string_view name) {
  std::optional<std::string> value;
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    std::string_view line = trimmed(text.substr(0, end));
    if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == '=') {
      line.remove_prefix(name.size() + 1);
      const bool is_quoted = line.size() >= 2 && line.front() == line.back();
      if (is_quoted && (line.front() == '"' || line.front() == '\'')) {
        line = line.substr(1, line.size() - 2);
      }
      value = std::string(line);
    }
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return value;
}

/// What settings keep irqbalance away from.
struct Ban {
  std::string name;             ///< the setting that counts; empty: it is told nothing
  std::optional<CpuSet> cores;  ///< nullopt: told something that is no set of cores

  [[nodiscard]] bool makes_sense() const { return name.empty() || cores.has_value(); }
};

/// As irqbalance reads them (setup_banned_cpus): the mask goes first, an empty setting is none. One
/// that makes no sense is told though the other counts: ours would take the place of both.
Ban ban_in(std::string_view text, char separator) {
  Ban ban;
  const std::string mask = setting(text, separator, kBannedMask).value_or("");
  if (!mask.empty()) ban = {std::string(kBannedMask), CpuSet::of_mask(mask)};
  const std::string list = setting(text, separator, kBanned).value_or("");
  const std::optional<CpuSet> cores = CpuSet::of_list(list);
  if (!list.empty() && ban.makes_sense() && (ban.name.empty() || !cores)) {
    ban = {std::string(kBanned), cores};
  }
  return ban;
}

/// What it keeps off where it is told nothing. A ban of any kind takes the place of that.
CpuSet banned_untold(const Tree& tree) {
  CpuSet cores;
  for (const char* path :
       {"/sys/devices/system/cpu/isolated", "/sys/devices/system/cpu/nohz_full"}) {
    const Result<std::string> list = tree.read_value(path);
    if (list) cores = cores | CpuSet::of_list(*list).value_or(CpuSet{});
  }
  return cores;
}

/// The process irqbalance, or nothing.
std::string balancer(const Tree& tree) {
  for (const std::string& name : tree.names("/proc")) {
    if (!is_number(name)) continue;
    const Result<std::string> command = tree.read_value("/proc/" + name + "/comm");
    if (command && *command == "irqbalance") return name;
  }
  return {};
}

/// `text` with our ban in it: its line in place of one that is there, or at the end.
std::string with_ban(const std::string& text, const CpuSet& banned) {
  std::string result;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    const std::string_view setting_name = trimmed(line.substr(0, line.find('=')));
    if (setting_name != kBanned && setting_name != kBannedMask) result.append(line).append("\n");
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  return result.append(kBanned).append("=\"").append(banned.list()).append("\"\n");
}

Finding look_at_balancer(const Host& host) {
  if (std::optional<Finding> none = no_cores(host)) return *none;
  Finding finding;
  const CpuSet off = without_interrupts(host);
  finding.want = "keeps off " + off.list();
  const std::string process = balancer(*host.tree);
  const Place file{PlaceKind::kFile, kBalancerFile};
  const Result<PlaceValue> text = read_place(*host.tree, file);
  if (process.empty()) {
    finding.state = KnobState::kAbsent;
    finding.note = "irqbalance does not run: affinities stay as they are set";
    return finding;
  }
  const Ban in_file = text ? ban_in(text->value_or(""), '\n') : Ban{};
  const Result<std::string> environment = host.tree->read_text("/proc/" + process + "/environ");
  const Ban running = environment ? ban_in(*environment, '\0') : in_file;
  if (!in_file.makes_sense() || !running.makes_sense()) {
    finding.state = KnobState::kUnreadable;
    finding.note = !in_file.makes_sense()
                       ? in_file.name + " of " + kBalancerFile + " names no cores"
                       : running.name + " of the running irqbalance names no cores";
    return finding;
  }
  const CpuSet untold = banned_untold(*host.tree);
  const CpuSet banned = running.cores.value_or(untold);
  finding.have = banned.empty() ? "balances all cores" : "keeps off " + banned.list();
  if (banned.contains(off)) return finding;
  finding.state = KnobState::kDiffers;
  if (!text) {
    finding.note = text.error().message();
    return finding;
  }
  if (!in_file.cores.value_or(CpuSet{}).contains(off)) {
    const CpuSet wanted = in_file.cores.value_or(untold) | off;
    finding.writes.push_back({file, *text, with_ban(text->value_or(""), wanted)});
  }
  finding.note = "it reads its bans when it starts";
  finding.by_hand.push_back("systemctl try-restart irqbalance");
  return finding;
}

}  // namespace

std::vector<Knob> interrupt_knobs() {
  return {
      {"irqbalance", "it moves interrupts back every ten seconds",
       "The daemon irqbalance spreads interrupts over all cores that it is not banned from. The "
       "ban "
       "is a line of /etc/default/irqbalance (IRQBALANCE_BANNED_CPULIST); one that is there is "
       "kept and ours added. Without one it keeps off isolated and nohz_full cores by itself, so "
       "those go into a new one.",
       "The housekeeping cores serve all interrupts.",
       "watch /proc/irq/*/smp_affinity_list for a minute; /proc/interrupts on the cores.",
       look_at_balancer},
      {"irq-default", "devices that come later stay off our cores",
       "/proc/irq/default_smp_affinity: where an interrupt that is set up from now on is served.",
       "None to speak of.", "Plug a device in, or load its driver, and read its smp_affinity_list.",
       look_at_default},
      {"irq-affinity", "an interrupt takes 2 to 20 µs from a worker",
       "/proc/irq/N/smp_affinity_list of every interrupt: each keeps its cores, without the "
       "appliance's and their siblings; one that had no others gets the housekeeping cores. "
       "Interrupts whose cores "
       "the driver fixed (managed: NVMe, virtio) refuse, which isolcpus=managed_irq cures.",
       "The housekeeping cores serve them, and may become the bottleneck of a network card.",
       "deja tune measure: interrupts on the cores, per second and in outliers.",
       look_at_affinities},
  };
}

}  // namespace deja::tuning
