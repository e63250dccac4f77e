// A host of eight cores in a directory: the files of /proc, /sys and /etc that knobs look at, all
// as Deja wants them for an appliance on cores 4 to 7. Tests then break one. Test code; one thread.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "shm/base/check.h"
#include "tests/support/scratch.h"
#include "tuning/host.h"
#include "tuning/plan.h"

namespace deja::tuning {

/// A tree that does what the kernel does behind a write: a choice keeps its other words, and
/// resctrl fills a new group.
class FakeTree : public Tree {
 public:
  static FakeTree open_at(const std::string& root) {
    Result<Tree> tree = Tree::open(root);
    CHECK(tree.ok());
    return FakeTree(std::move(*tree));
  }
  [[nodiscard]] Status write_value(const std::string& path,
                                   const std::string& value) const override {
    const Result<std::string> before = read_value(path);
    if (!before || before->find('[') == std::string::npos) return Tree::write_value(path, value);
    std::string words;
    std::stringstream known(*before);
    for (std::string word; known >> word;) {
      if (word.front() == '[') word = word.substr(1, word.size() - 2);
      words += (words.empty() ? "" : " ") + (word == value ? "[" + word + "]" : word);
    }
    return Tree::write_value(path, words);
  }
  [[nodiscard]] Status make_directory(const std::string& path) const override {
    Status made = Tree::make_directory(path);
    if (!path.starts_with("/sys/fs/resctrl/")) return made;
    std::ofstream(root() + path + "/schemata") << "    L3:0=fff;1=fff\n";
    std::ofstream(root() + path + "/cpus_list") << "\n";
    return made;
  }

 private:
  explicit FakeTree(Tree&& tree) : Tree(std::move(tree)) {}
};

class FakeHost {
 public:
  FakeHost() : root_(make_scratch_directory("deja-tuning")) {
    write("/proc/sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555\n");
    write("/proc/cmdline", "quiet isolcpus=managed_irq,domain,4-7 nohz_full=4-7 rcu_nocbs=4-7\n");
    write("/proc/mounts", "tmpfs /dev/shm tmpfs rw 0 0\nnodev /mnt/huge hugetlbfs rw 0 0\n");
    write("/proc/self/limits", limits("unlimited", "99"));
    add_cores();
    add_interrupts();
    add_network();
    add_kernel();
    add_pages();
    add_cache();
    add_threads();
  }
  ~FakeHost() { std::filesystem::remove_all(root_); }
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;

  [[nodiscard]] const std::string& root() const { return root_; }
  [[nodiscard]] FakeTree tree() const { return FakeTree::open_at(root_); }
  [[nodiscard]] std::string state() const { return root_ + "/state"; }

  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::filesystem::permissions(root_ + path, std::filesystem::perms(0644), ignored_);
    std::ofstream(root_ + path) << text;
  }
  [[nodiscard]] std::string read(const std::string& path) const {
    std::stringstream text;
    text << std::ifstream(root_ + path).rdbuf();
    return text.str();
  }
  [[nodiscard]] bool exists(const std::string& path) const {
    return std::filesystem::exists(root_ + path);
  }
  void remove(const std::string& path) const { std::filesystem::remove_all(root_ + path); }
  void make_read_only(const std::string& path) const {
    std::filesystem::permissions(root_ + path, std::filesystem::perms(0444));
  }
  void restart() const {
    write("/proc/sys/kernel/random/boot_id", "99999999-2222-3333-4444-555555555555\n");
  }

  /// Every file below /proc, /sys and /etc with what is in it.
  [[nodiscard]] std::map<std::string, std::string> snapshot() const {
    std::map<std::string, std::string> files;
    for (const char* top : {"/proc", "/sys", "/etc"}) {
      if (!exists(top)) continue;
      for (const auto& entry : std::filesystem::recursive_directory_iterator(root_ + top)) {
        const std::string path = entry.path().string().substr(root_.size());
        if (entry.is_directory()) files[path + "/"] = "";
        // A value and a newline is what echo leaves; whether it was there does not matter.
        if (entry.is_regular_file()) files[path] = trimmed(read(path));
      }
    }
    return files;
  }

  /// What a config with ingest = [4], workers = [5, 6, 7] on /dev/shm asks.
  [[nodiscard]] static Target target() {
    Target target;
    target.ingest = {4};
    target.workers = {5, 6, 7};
    target.has_config = true;
    target.segment_bytes = std::uint64_t{100} << 20U;
    target.running = {{"ingest", 100, {4}}, {"worker-0", 105, {5}}};
    return target;
  }

  [[nodiscard]] static std::string limits(const std::string& memlock, const std::string& rtprio) {
    return "Limit                     Soft Limit           Hard Limit           Units     \n"
           "Max locked memory         " +
           memlock +
           "            unlimited            bytes     \n"
           "Max realtime priority     " +
           rtprio + "                    99                   \n";
  }

 private:
  static std::string trimmed(const std::string& text) {
    return text.substr(0, text.find_last_not_of(" \n") + 1);
  }

  void add_cores() const {
    const std::string cpus = "/sys/devices/system/cpu/";
    write(cpus + "online", "0-7\n");
    write(cpus + "isolated", "4-7\n");
    write(cpus + "nohz_full", "4-7\n");
    write(cpus + "smt/active", "0\n");
    for (int core = 0; core < 8; ++core) {
      const std::string cpu = cpus + "cpu" + std::to_string(core) + "/";
      write(cpu + "topology/thread_siblings_list", std::to_string(core) + "\n");
      write(cpu + "online", "1\n");
      write(cpu + "cpufreq/scaling_governor", core < 4 ? "schedutil\n" : "performance\n");
      const char* names[] = {"POLL", "C1", "C6"};
      const char* latencies[] = {"0\n", "2\n", "133\n"};
      for (int state = 0; state < 3; ++state) {
        const std::string directory = cpu + "cpuidle/state" + std::to_string(state) + "/";
        write(directory + "name", std::string(names[state]) + "\n");
        write(directory + "latency", latencies[state]);
        write(directory + "disable", state == 2 && core >= 4 ? "1\n" : "0\n");
      }
    }
  }
  void add_interrupts() const {
    write("/proc/irq/default_smp_affinity", "0f\n");
    write("/proc/irq/30/smp_affinity_list", "0-3\n");
    write("/proc/irq/30/eth0-rx-0/x", "");
    write("/proc/irq/31/smp_affinity_list", "2\n");
    write("/proc/irq/31/nvme0q1/x", "");
    write("/proc/77/comm", "irqbalance\n");
    write("/proc/77/environ", std::string("A=b\0IRQBALANCE_BANNED_CPULIST=4-7\0", 34));
    write("/etc/default/irqbalance", "# mine\nIRQBALANCE_BANNED_CPULIST=\"4-7\"\n");
  }
  void add_network() const {
    const std::string eth = "/sys/class/net/eth0/";
    write(eth + "device/vendor", "0x8086\n");
    write(eth + "queues/rx-0/rps_cpus", "00\n");
    write(eth + "queues/rx-1/rps_cpus", "0f\n");
    write(eth + "queues/tx-0/xps_cpus", "ef\n");
    write(eth + "queues/tx-1/xps_cpus", "10\n");
  }
  void add_kernel() const {
    write("/proc/sys/kernel/timer_migration", "1\n");
    write("/proc/sys/kernel/watchdog", "1\n");
    write("/proc/sys/kernel/watchdog_cpumask", "0-3\n");
    write("/proc/sys/kernel/nmi_watchdog", "0\n");
    write("/proc/sys/kernel/numa_balancing", "0\n");
    write("/sys/devices/virtual/workqueue/cpumask", "0f\n");
    write("/proc/sys/vm/stat_interval", "120\n");
    write("/proc/sys/vm/swappiness", "10\n");
    write("/proc/sys/net/core/somaxconn", "4096\n");
    write("/proc/sys/net/core/netdev_max_backlog", "4096\n");
    write("/proc/sys/net/core/wmem_max", "4194304\n");
  }
  void add_pages() const {
    const std::string thp = "/sys/kernel/mm/transparent_hugepage/";
    write(thp + "shmem_enabled", "always within_size [advise] never deny force\n");
    write(thp + "enabled", "always [madvise] never\n");
    write(thp + "defrag", "always defer defer+madvise [madvise] never\n");
    for (int node = 0; node < 2; ++node) {
      const std::string directory = "/sys/devices/system/node/node" + std::to_string(node) + "/";
      write(directory + "cpulist", node == 0 ? "0-3\n" : "4-7\n");
      write(directory + "hugepages/hugepages-2048kB/nr_hugepages", node == 0 ? "0\n" : "50\n");
    }
  }
  void add_cache() const {
    const std::string resctrl = "/sys/fs/resctrl/";
    write(resctrl + "info/L3/cbm_mask", "fff\n");
    write(resctrl + "schemata", "    MB:0=100;1=100\n    L3:0=03f;1=03f\n");
    write(resctrl + "deja/schemata", "    L3:0=fc0;1=fc0\n");
    write(resctrl + "deja/cpus_list", "4-7\n");
  }
  void add_threads() const {
    add_thread(100, 100, "0-7");
    add_thread(100, 101, "4");
    add_thread(105, 105, "5");
    write("/proc/100/limits", limits("unlimited", "99"));
    write("/proc/105/limits", limits("unlimited", "99"));
  }
  void add_thread(int process, int thread, const std::string& cores) const {
    write("/proc/" + std::to_string(process) + "/task/" + std::to_string(thread) + "/status",
          "Name:\tdeja\nCpus_allowed:\tff\nCpus_allowed_list:\t" + cores + "\n");
  }

  std::string root_;
  mutable std::error_code ignored_;
};

/// One knob's finding.
inline Finding look_at(const Tree& tree, const std::string& knob, Target target) {
  const Result<Host> host = Host::look(tree, std::move(target));
  CHECK(host.ok());
  const std::vector<Row> rows = look_at_knobs(*host, {{knob}, {}});
  CHECK(rows.size() == 1);
  return rows.front().finding;
}

}  // namespace deja::tuning
