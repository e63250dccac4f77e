// Every knob against a host that is right, wrong, without it, read-only, and full of garbage.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/tuning/fake_host.h"
#include "tuning/knobs/families.h"

namespace deja::tuning {
namespace {

struct Case {
  std::string knob;
  std::string path;              ///< what is broken
  std::string wrong;             ///< content that is not right
  std::string value;             ///< what is to be written; empty: nothing can be
  std::string garbage;           ///< content that makes no sense; empty: none is told from a value
  std::vector<std::string> all;  ///< without these the host has no such knob
  std::string directory = "/dev/shm";
};

void PrintTo(const Case& tested, std::ostream* out) {
  *out << tested.knob;
}

const std::string kCpus = "/sys/devices/system/cpu/";
const std::string kThp = "/sys/kernel/mm/transparent_hugepage/";
const std::string kNet = "/sys/class/net/eth0/queues/";

std::vector<Case> cases() {
  return {
      {"affinity", "/proc/105/task/105/status", "Cpus_allowed_list:\t0-7\n", "", "", {}},
      {"isolcpus", kCpus + "isolated", "\n", "", "4-\n", {kCpus + "isolated"}},
      {"nohz-full", kCpus + "nohz_full", "(null)\n", "", "yes\n", {kCpus + "nohz_full"}},
      {"rcu-nocbs", "", "", "", "", {"/proc/cmdline"}},
      {"governor",
       kCpus + "cpu5/cpufreq/scaling_governor",
       "powersave\n",
       "performance",
       "<?>\n",
       {kCpus + "cpu4/cpufreq", kCpus + "cpu5/cpufreq", kCpus + "cpu6/cpufreq",
        kCpus + "cpu7/cpufreq"}},
      {"c-states",
       kCpus + "cpu6/cpuidle/state2/disable",
       "0\n",
       "1",
       "no\n",
       {kCpus + "cpu4/cpuidle", kCpus + "cpu5/cpuidle", kCpus + "cpu6/cpuidle",
        kCpus + "cpu7/cpuidle"}},
      {"irqbalance", "/proc/77/environ", "A=b", "", "", {"/proc/77"}},
      {"irq-default", "/proc/irq/default_smp_affinity", "ff\n", "f", "zz\n", {"/proc/irq"}},
      {"irq-affinity", "/proc/irq/31/smp_affinity_list", "2,6-7\n", "2", "2-\n", {"/proc/irq"}},
      {"rps", kNet + "rx-0/rps_cpus", "f3\n", "3", "0x3\n", {"/sys/class/net"}},
      {"xps", kNet + "tx-0/xps_cpus", "ff\n", "ef", "g\n", {"/sys/class/net"}},
      {"timer-migration",
       "/proc/sys/kernel/timer_migration",
       "0\n",
       "1",
       "on\n",
       {"/proc/sys/kernel/timer_migration"}},
      {"watchdog-cores",
       "/proc/sys/kernel/watchdog_cpumask",
       "0-7\n",
       "0-3",
       "all\n",
       {"/proc/sys/kernel/watchdog_cpumask"}},
      {"workqueue",
       "/sys/devices/virtual/workqueue/cpumask",
       "ff\n",
       "f",
       "f,f\n",
       {"/sys/devices/virtual/workqueue"}},
      {"stat-interval",
       "/proc/sys/vm/stat_interval",
       "1\n",
       "120",
       "banana\n",
       {"/proc/sys/vm/stat_interval"}},
      {"nmi-watchdog",
       "/proc/sys/kernel/nmi_watchdog",
       "1\n",
       "0",
       "1 2\n",
       {"/proc/sys/kernel/nmi_watchdog"}},
      {"numa-balancing",
       "/proc/sys/kernel/numa_balancing",
       "1\n",
       "0",
       "\n",
       {"/proc/sys/kernel/numa_balancing"}},
      {"swappiness",
       "/proc/sys/vm/swappiness",
       "60\n",
       "10",
       "99999999999999999999\n",
       {"/proc/sys/vm/swappiness"}},
      {"somaxconn",
       "/proc/sys/net/core/somaxconn",
       "128\n",
       "4096",
       "4k\n",
       {"/proc/sys/net/core/somaxconn"}},
      {"netdev-backlog",
       "/proc/sys/net/core/netdev_max_backlog",
       "1000\n",
       "4096",
       "x\n",
       {"/proc/sys/net/core/netdev_max_backlog"}},
      {"wmem-max",
       "/proc/sys/net/core/wmem_max",
       "212992\n",
       "1048576",
       "x\n",
       {"/proc/sys/net/core/wmem_max"}},
      {"huge-pages",
       "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages",
       "3\n",
       "50",
       "many\n",
       {"/sys/devices/system/node"},
       "/mnt/huge"},
      {"thp-shmem",
       kThp + "shmem_enabled",
       "always within_size advise [never] deny force\n",
       "advise",
       "never ever\n",
       {kThp}},
      {"thp", kThp + "enabled", "[always] madvise never\n", "madvise", "[]\n", {kThp}},
      {"thp-defrag",
       kThp + "defrag",
       "[always] defer defer+madvise madvise never\n",
       "madvise",
       "[x y]\n",
       {kThp}},
      {"memlock",
       "/proc/105/limits",
       FakeHost::limits("65536", "99"),
       "",
       "Max locked memory  x\n",
       {"/proc/100", "/proc/105"}},
      {"rtprio",
       "/proc/105/limits",
       FakeHost::limits("unlimited", "0"),
       "",
       "nothing\n",
       {"/proc/100", "/proc/105"}},
      {"resctrl",
       "/sys/fs/resctrl/schemata",
       "L3:0=fff;1=fff\n",
       "L3:0=3f;1=3f",
       "L3:x\n",
       {"/sys/fs/resctrl"}},
      {"smt", kCpus + "cpu5/topology/thread_siblings_list", "2,5\n", "0", "", {kCpus + "smt"}},
  };
}

class EveryKnob : public testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] Finding look() const {
    Target target = FakeHost::target();
    target.directory = GetParam().directory;
    return look_at(host_.tree(), GetParam().knob, target);
  }
  /// Breaks the host as the case says.
  void break_it() const {
    if (GetParam().knob == "rcu-nocbs") {
      host_.write("/proc/cmdline", "quiet rcu_nocbs=4-5 rcu_nocbs=4-6\n");
      host_.write(kCpus + "nohz_full", "(null)\n");
      return;
    }
    host_.write(GetParam().path, GetParam().wrong);
    if (GetParam().knob == "irqbalance") host_.write(kCpus + "nohz_full", "\n");
    if (GetParam().knob == "smt") host_.write(kCpus + "smt/active", "1\n");
    if (GetParam().knob == "smt" || GetParam().knob == "irqbalance") {
      host_.write(kCpus + "isolated", "\n");
    }
  }
  FakeHost host_;
};

TEST_P(EveryKnob, IsOkOnAHostThatHasWhatIsWanted) {
  const Finding finding = look();
  EXPECT_EQ(finding.state, KnobState::kOk) << finding.have << " / " << finding.note;
  EXPECT_TRUE(finding.writes.empty());
}

TEST_P(EveryKnob, SaysWhatDiffersAndWhatItWouldWrite) {
  break_it();
  const Finding finding = look();
  EXPECT_EQ(finding.state, KnobState::kDiffers) << finding.have << " / " << finding.note;
  EXPECT_FALSE(finding.want.empty());
  EXPECT_FALSE(finding.have.empty());
  if (GetParam().value.empty()) {
    EXPECT_TRUE(finding.writes.empty());
    EXPECT_FALSE(finding.by_hand.empty());
    return;
  }
  ASSERT_EQ(finding.writes.size(), 1U);
  EXPECT_EQ(finding.writes[0].value, GetParam().value);
  if (GetParam().knob != "smt") {
    EXPECT_EQ(finding.writes[0].place.path, GetParam().path);
  }
}

TEST_P(EveryKnob, IsAbsentWhereTheHostHasNoSuchThing) {
  for (const std::string& path : GetParam().all) host_.remove(path);
  const Finding finding = look();
  if (GetParam().all.empty()) return;
  EXPECT_EQ(finding.state, KnobState::kAbsent) << finding.have;
  EXPECT_FALSE(finding.note.empty());
  EXPECT_TRUE(finding.writes.empty());
}

TEST_P(EveryKnob, WritesNothingWhereNobodyMayWrite) {
  break_it();
  for (const Write& write : look().writes) host_.make_read_only(write.place.path);
  if (GetParam().knob == "resctrl") return;  // its files have no fixed form
  const Finding finding = look();
  EXPECT_EQ(finding.state, KnobState::kDiffers);
  EXPECT_TRUE(finding.writes.empty());
  if (!GetParam().value.empty()) {
    EXPECT_FALSE(finding.note.empty());
  }
}

TEST_P(EveryKnob, DoesNotActOnGarbage) {
  if (GetParam().garbage.empty()) return;
  for (const std::string& garbage :
       {GetParam().garbage, std::string("\0\x1b[2J\n", 6), std::string(8192, '1')}) {
    host_.write(GetParam().path, garbage);
    const Finding finding = look();
    EXPECT_EQ(finding.state, KnobState::kUnreadable) << finding.have;
    EXPECT_TRUE(finding.writes.empty());
    EXPECT_FALSE(finding.note.empty());
    EXPECT_EQ(finding.note.find('\x1b'), std::string::npos);
  }
}

TEST_P(EveryKnob, IsRightOnceAppliedAndAsItWasOnceReverted) {
  break_it();
  const auto before = host_.snapshot();
  const FakeTree tree = host_.tree();
  Target target = FakeHost::target();
  target.directory = GetParam().directory;
  const Selection only{{GetParam().knob}, {}};
  Result<SavedValues> saved = SavedValues::open(host_.state(), host_.root());
  ASSERT_TRUE(saved.ok()) << saved.error().message();
  const Result<Host> host = Host::look(tree, target);
  ASSERT_TRUE(host.ok());
  const Result<std::vector<Deed>> applied = apply_rows(tree, look_at_knobs(*host, only), *saved);
  ASSERT_TRUE(applied.ok()) << applied.error().message();
  EXPECT_TRUE(all_done(*applied));
  if (!GetParam().value.empty() && GetParam().knob != "smt") {
    EXPECT_EQ(look().state, KnobState::kOk);
  }
  const Result<std::vector<Deed>> reverted = revert_values(tree, {}, *saved);
  ASSERT_TRUE(reverted.ok()) << reverted.error().message();
  EXPECT_TRUE(all_done(*reverted));
  EXPECT_EQ(host_.snapshot(), before);
}

INSTANTIATE_TEST_SUITE_P(All, EveryKnob, testing::ValuesIn(cases()), [](const auto& tested) {
  std::string name = tested.param.knob;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(Knobs, EachHasACaseAndSaysAllThatItShould) {
  std::vector<std::string> tested;
  for (const Case& each : cases()) tested.push_back(each.knob);
  std::vector<std::string> known;
  for (const Knob& knob : all_knobs()) {
    known.push_back(knob.name);
    EXPECT_LT(knob.why.size(), 62U) << knob.name;
    EXPECT_GT(knob.does.size(), 40U) << knob.name;
    EXPECT_FALSE(knob.costs.empty()) << knob.name;
    EXPECT_FALSE(knob.measure.empty()) << knob.name;
  }
  EXPECT_EQ(tested, known);
}

TEST(Knobs, AboutCoresAreNotAskedWithoutCores) {
  const FakeHost host;
  Target target = FakeHost::target();
  target.ingest.clear();
  target.workers.clear();
  for (const char* knob : {"affinity", "isolcpus", "governor", "c-states", "irq-affinity", "rps",
                           "xps", "workqueue", "resctrl", "smt"}) {
    EXPECT_EQ(look_at(host.tree(), knob, target).state, KnobState::kNotAsked) << knob;
  }
  EXPECT_EQ(look_at(host.tree(), "swappiness", target).state, KnobState::kOk);
}

TEST(Knobs, MoveNothingWhereTheApplianceTakesEveryCore) {
  const FakeHost host;
  Target target = FakeHost::target();
  target.workers = {0, 1, 2, 3, 5, 6, 7};
  for (const char* knob : {"isolcpus", "irq-affinity", "workqueue", "resctrl"}) {
    EXPECT_EQ(look_at(host.tree(), knob, target).state, KnobState::kNotAsked) << knob;
  }
  EXPECT_EQ(look_at(host.tree(), "governor", target).state, KnobState::kDiffers);
}

TEST(Knobs, AnInterruptThatHadOnlyOurCoresGetsTheHousekeepingOnes) {
  const FakeHost host;
  host.write("/proc/irq/30/smp_affinity_list", "6\n");
  const Finding finding = look_at(host.tree(), "irq-affinity", FakeHost::target());
  ASSERT_EQ(finding.writes.size(), 1U);
  EXPECT_EQ(finding.writes[0].value, "0-3");
  EXPECT_TRUE(finding.writes[0].may_be_refused);
}

TEST(Knobs, TimersMayOnlyMoveWhereTheKernelKeepsOurCoresFree) {
  const FakeHost host;
  host.write(kCpus + "nohz_full", "(null)\n");
  const Finding finding = look_at(host.tree(), "timer-migration", FakeHost::target());
  ASSERT_EQ(finding.writes.size(), 1U);
  EXPECT_EQ(finding.writes[0].value, "0");
}

TEST(Knobs, TheBalancersFileKeepsItsOtherLinesAndBans) {
  const FakeHost host;
  host.write("/proc/77/environ", "A=b");
  host.write(kCpus + "isolated", "\n");
  host.write(kCpus + "nohz_full", "\n");
  host.write("/etc/default/irqbalance", "# mine\nIRQBALANCE_BANNED_CPUS=2\nOPTIONS=\"-x\"");
  const Finding finding = look_at(host.tree(), "irqbalance", FakeHost::target());
  ASSERT_EQ(finding.writes.size(), 1U);
  EXPECT_EQ(finding.writes[0].value,
            "# mine\nOPTIONS=\"-x\"\nIRQBALANCE_BANNED_CPULIST=\"1,4-7\"\n");
}

TEST(Knobs, TheBalancerKeepsOffIsolatedCoresByItself) {
  const FakeHost host;
  host.write("/proc/77/environ", "A=b");
  EXPECT_EQ(look_at(host.tree(), "irqbalance", FakeHost::target()).state, KnobState::kOk);
}

TEST(Knobs, AFirstBanOfTheBalancerKeepsOffWhatItKeptOffByItself) {
  const FakeHost host;
  host.write("/proc/77/environ", "A=b");
  host.write(kCpus + "isolated", "2,4\n");
  host.write(kCpus + "nohz_full", "3-5\n");
  for (const char* text : {"# mine\n", "# mine\nIRQBALANCE_BANNED_CPULIST=\n"}) {
    host.write("/etc/default/irqbalance", text);
    const Finding finding = look_at(host.tree(), "irqbalance", FakeHost::target());
    ASSERT_EQ(finding.writes.size(), 1U) << text;
    EXPECT_EQ(finding.writes[0].value, "# mine\nIRQBALANCE_BANNED_CPULIST=\"2-7\"\n") << text;
  }
}

TEST(Knobs, ABanOfTheBalancerThatMakesNoSenseIsNotDropped) {
  const FakeHost host;
  host.write(kCpus + "isolated", "\n");
  host.write(kCpus + "nohz_full", "\n");
  for (const char* line :
       {"IRQBALANCE_BANNED_CPULIST=0,x", "IRQBALANCE_BANNED_CPUS=0x3", "IRQBALANCE_BANNED_CPUS=zz",
        "IRQBALANCE_BANNED_CPULIST=\"0-3", "IRQBALANCE_BANNED_CPULIST=\"0-3'",
        "IRQBALANCE_BANNED_CPULIST=4-7\nIRQBALANCE_BANNED_CPUS=g",
        "IRQBALANCE_BANNED_CPUS=f0\nIRQBALANCE_BANNED_CPULIST=all"}) {
    for (const char* environment : {"A=b", "IRQBALANCE_BANNED_CPULIST=4-7"}) {
      host.write("/proc/77/environ", environment);
      host.write("/etc/default/irqbalance", std::string(line) + "\n");
      const Finding finding = look_at(host.tree(), "irqbalance", FakeHost::target());
      EXPECT_EQ(finding.state, KnobState::kUnreadable) << line;
      EXPECT_TRUE(finding.writes.empty()) << line;
      EXPECT_NE(finding.note.find("/etc/default/irqbalance"), std::string::npos) << finding.note;
    }
  }
  host.write("/etc/default/irqbalance", "# mine\n");
  host.write("/proc/77/environ", "IRQBALANCE_BANNED_CPUS=?");
  const Finding finding = look_at(host.tree(), "irqbalance", FakeHost::target());
  EXPECT_EQ(finding.state, KnobState::kUnreadable);
  EXPECT_TRUE(finding.writes.empty());
}

TEST(Knobs, OfTwoBansTheBalancerTakesTheMask) {
  const FakeHost host;
  host.write("/proc/77/environ",
             std::string("IRQBALANCE_BANNED_CPULIST=4-7\0IRQBALANCE_BANNED_CPUS=2\0", 55));
  const Finding finding = look_at(host.tree(), "irqbalance", FakeHost::target());
  EXPECT_EQ(finding.state, KnobState::kDiffers);
  EXPECT_EQ(finding.have, "keeps off 1");
}

TEST(Knobs, InterruptsAreKeptOffSiblingsToo) {
  const FakeHost host;
  host.write(kCpus + "cpu5/topology/thread_siblings_list", "2,5\n");
  host.write("/proc/irq/default_smp_affinity", "0f\n");
  host.write("/proc/irq/31/smp_affinity_list", "2\n");
  const Finding interrupts = look_at(host.tree(), "irq-affinity", FakeHost::target());
  EXPECT_EQ(interrupts.want, "0-1,3, not 2,4-7");
  ASSERT_EQ(interrupts.writes.size(), 2U);
  EXPECT_EQ(interrupts.writes[0].value, "0-1,3");
  EXPECT_EQ(interrupts.writes[1].value, "0-1,3");
  const Finding later = look_at(host.tree(), "irq-default", FakeHost::target());
  ASSERT_EQ(later.writes.size(), 1U);
  EXPECT_EQ(later.writes[0].value, "b");
  const Finding balancer = look_at(host.tree(), "irqbalance", FakeHost::target());
  ASSERT_EQ(balancer.writes.size(), 1U);
  EXPECT_EQ(balancer.writes[0].value, "# mine\nIRQBALANCE_BANNED_CPULIST=\"2,4-7\"\n");
}

TEST(Knobs, HugePagesAreForASegmentOnHugetlbfsAlone) {
  const FakeHost host;
  EXPECT_EQ(look_at(host.tree(), "huge-pages", FakeHost::target()).state, KnobState::kNotAsked);
  Target target = FakeHost::target();
  target.directory = "/mnt/huge/deja";
  EXPECT_EQ(look_at(host.tree(), "thp-shmem", target).state, KnobState::kNotAsked);
  target.directory = "/mnt/hugely";
  EXPECT_EQ(look_at(host.tree(), "huge-pages", target).state, KnobState::kNotAsked);
}

TEST(Knobs, AGroupOfTheCacheIsMadeWhereThereIsNone) {
  const FakeHost host;
  host.remove("/sys/fs/resctrl/deja");
  host.write("/sys/fs/resctrl/schemata", "L3:0=fff;1=fff\n");
  const FakeTree tree = host.tree();
  Result<SavedValues> saved = SavedValues::open(host.state(), host.root());
  ASSERT_TRUE(saved.ok());
  const Result<Host> looked = Host::look(tree, FakeHost::target());
  ASSERT_TRUE(looked.ok());
  const auto applied = apply_rows(tree, look_at_knobs(*looked, {{"resctrl"}, {}}), *saved);
  ASSERT_TRUE(applied.ok());
  EXPECT_TRUE(all_done(*applied));
  EXPECT_EQ(host.read("/sys/fs/resctrl/deja/schemata"), "L3:0=fc0;1=fc0\n");
  EXPECT_EQ(host.read("/sys/fs/resctrl/deja/cpus_list"), "4-7\n");
  EXPECT_EQ(host.read("/sys/fs/resctrl/schemata"), "L3:0=3f;1=3f\n");
  // The kernel removes a group with its files; a plain directory must be empty first.
  host.remove("/sys/fs/resctrl/deja/schemata");
  host.remove("/sys/fs/resctrl/deja/cpus_list");
  const auto reverted = revert_values(tree, {}, *saved);
  ASSERT_TRUE(reverted.ok());
  EXPECT_TRUE(all_done(*reverted));
  EXPECT_FALSE(host.exists("/sys/fs/resctrl/deja"));
  EXPECT_EQ(host.read("/sys/fs/resctrl/schemata"), "L3:0=fff;1=fff\n");
}

TEST(Knobs, SiblingsThatAreBothTheAppliancesAreForAPersonToPart) {
  const FakeHost host;
  host.write(kCpus + "smt/active", "1\n");
  host.write(kCpus + "cpu4/topology/thread_siblings_list", "4-5\n");
  host.write(kCpus + "cpu5/topology/thread_siblings_list", "4-5\n");
  const Finding finding = look_at(host.tree(), "smt", FakeHost::target());
  EXPECT_EQ(finding.state, KnobState::kDiffers);
  EXPECT_TRUE(finding.writes.empty());
  EXPECT_NE(finding.note.find("4 and 5"), std::string::npos);
}

TEST(Knobs, TheBootLineNamesTheCoresAndLeavesOutWhatTheKernelCanNot) {
  const FakeHost host;
  const FakeTree tree = host.tree();
  const Result<Host> looked = Host::look(tree, FakeHost::target());
  ASSERT_TRUE(looked.ok());
  EXPECT_EQ(boot_line(*looked),
            "isolcpus=managed_irq,domain,4-7 nohz_full=4-7 rcu_nocbs=4-7 irqaffinity=0-3");
  host.remove(kCpus + "nohz_full");
  EXPECT_EQ(boot_line(*looked), "isolcpus=managed_irq,domain,4-7 rcu_nocbs=4-7 irqaffinity=0-3");
}

}  // namespace
}  // namespace deja::tuning
