// Huge pages: for the segment, and against what they cost others.
#include <algorithm>

#include "tuning/knobs/families.h"
#include "tuning/rules.h"

namespace deja::tuning {
namespace {

constexpr const char* kThp = "/sys/kernel/mm/transparent_hugepage/";
constexpr const char* kNodes = "/sys/devices/system/node";
constexpr std::uint64_t kHugePageBytes = std::uint64_t{2} << 20U;

bool is_below(std::string_view path, std::string_view directory) {
  if (directory == "/") return true;
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

/// Whether the file system that `directory` lies on is hugetlbfs.
bool is_on_hugetlbfs(const Host& host, const std::string& directory) {
  const Result<std::string> mounts = host.tree->read_text("/proc/mounts");
  if (!mounts) return false;
  std::size_t longest = 0;
  bool is_huge = false;
  std::string_view rest = *mounts;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    const std::size_t point = line.find(' ') + 1;
    const std::size_t type = line.find(' ', point) + 1;
    if (point != 0 && type != 0) {
      const std::string_view where = line.substr(point, type - point - 1);
      // The later of two mounts on one place is the one that is seen.
      if (is_below(directory, where) && where.size() >= longest) {
        longest = where.size();
        is_huge = line.substr(type).starts_with("hugetlbfs ");
      }
    }
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  return is_huge;
}

/// The nodes that have the appliance's cores, or all where it has none of its own.
std::vector<std::string> nodes_of(const Host& host) {
  std::vector<std::string> all;
  std::vector<std::string> ours;
  for (const std::string& name : host.tree->names(kNodes)) {
    if (!name.starts_with("node")) continue;
    all.push_back(name);
    const Result<std::string> list =
        host.tree->read_value(std::string(kNodes) + "/" + name + "/cpulist");
    const CpuSet cores = list ? CpuSet::of_list(*list).value_or(CpuSet{}) : CpuSet{};
    if (!(cores & host.appliance).empty()) ours.push_back(name);
  }
  return ours.empty() ? all : ours;
}

Finding look_at_reserved(const Host& host) {
  if (!host.target.has_config) return not_asked("needs -c CONFIG, which says how much");
  if (!is_on_hugetlbfs(host, host.target.directory)) {
    return not_asked(host.target.directory + " is no hugetlbfs: transparent pages serve it");
  }
  const std::vector<std::string> nodes = nodes_of(host);
  const std::uint64_t pages = (host.target.segment_bytes + kHugePageBytes - 1) / kHugePageBytes;
  const std::uint64_t each = nodes.empty() ? pages : (pages + nodes.size() - 1) / nodes.size();
  std::vector<Part> parts;
  for (const std::string& node : nodes) {
    const auto count = static_cast<std::int64_t>(each);
    parts.push_back(number_part(
        node, std::string(kNodes) + "/" + node + "/hugepages/hugepages-2048kB/nr_hugepages", count,
        INT64_MAX, count));
  }
  Finding finding = look_at_parts(host, std::to_string(each) + " or more a node",
                                  "no pages of 2 MiB here", parts);
  if (finding.state == KnobState::kDiffers) {
    finding.by_hand.push_back(
        "to have them whole after a long uptime, reserve at boot: hugepages=" +
        std::to_string(pages));
  }
  return finding;
}

Finding look_at_shared(const Host& host) {
  if (!host.target.wants_huge_pages) return not_asked("[appliance] huge_pages = \"off\"");
  if (is_on_hugetlbfs(host, host.target.directory)) {
    return not_asked("the segment lies on hugetlbfs");
  }
  return look_at_parts(host, "advise",
                       "this kernel has no transparent huge pages for shared memory",
                       {word_part("", {PlaceKind::kChoice, std::string(kThp) + "shmem_enabled"},
                                  {"advise", "within_size", "always", "force"})});
}

Finding look_at_anonymous(const Host& host) {
  return look_at_parts(
      host, "madvise or never", "this kernel has no transparent huge pages",
      {word_part("", {PlaceKind::kChoice, std::string(kThp) + "enabled"}, {"madvise", "never"})});
}

Finding look_at_defrag(const Host& host) {
  return look_at_parts(host, "madvise, defer or never", "this kernel has no transparent huge pages",
                       {word_part("", {PlaceKind::kChoice, std::string(kThp) + "defrag"},
                                  {"madvise", "defer+madvise", "defer", "never"})});
}

}  // namespace

std::vector<Knob> page_knobs() {
  return {
      {"huge-pages", "the segment on hugetlbfs needs pages set aside",
       "Pages of 2 MiB set aside on each NUMA node that has cores of the appliance (nr_hugepages), "
       "as many as the config's segment takes; more is left as it is. Only where [appliance] "
       "directory lies on a hugetlbfs mount.",
       "That memory is lost to everything else, used or not; the kernel may find fewer than asked "
       "for where memory is fragmented, which apply says.",
       "deja bench --directory there, and in /dev/shm: reads of a large table are some 10 to 40 % "
       "quicker, since they miss the TLB less.",
       look_at_reserved},
      {"thp-shmem", "the table gets huge pages on /dev/shm",
       "transparent_hugepage/shmem_enabled: whether memory on tmpfs that asks for huge pages "
       "(madvise) gets them. deja stat says what was given.",
       "Nothing for those who do not ask; khugepaged works a little.",
       "deja bench before and after (read a profile), with a table larger than the caches.",
       look_at_shared},
      {"thp", "nobody is given huge pages that he did not ask for",
       "transparent_hugepage/enabled: \"always\" gives huge pages to any program, which stalls it "
       "when memory must be moved for them, and makes fork() of the private Redis dear.",
       "Programs that gain from huge pages and do not ask lose them.",
       "Redis' own latency (redis-cli --latency-history), compact_stall in /proc/vmstat.",
       look_at_anonymous},
      {"thp-defrag", "a page fault waits for no compaction",
       "transparent_hugepage/defrag: whether a fault moves memory at once to make a huge page. "
       "\"madvise\" does so for those alone who asked.",
       "Fewer huge pages for the others.", "compact_stall in /proc/vmstat, before and after a day.",
       look_at_defrag},
  };
}

}  // namespace deja::tuning
