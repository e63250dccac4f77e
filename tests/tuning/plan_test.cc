// Apply and revert as a whole: what is saved, in which order, and what comes back.
#include "tuning/plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/tuning/fake_host.h"

namespace deja::tuning {
namespace {

const std::string kSwappiness = "/proc/sys/vm/swappiness";
const std::string kStat = "/proc/sys/vm/stat_interval";
const std::string kIrq = "/proc/irq/30/smp_affinity_list";
const std::string kFile = "/etc/default/irqbalance";

/// A tree that dies, as far as its caller can tell, at the n-th write.
class DyingTree : public Tree {
 public:
  DyingTree(Tree&& tree, int writes) : Tree(std::move(tree)), left_(writes) {}
  [[nodiscard]] Status write_value(const std::string& path,
                                   const std::string& value) const override {
    if (left_-- <= 0) throw std::runtime_error("died");
    return Tree::write_value(path, value);
  }

 private:
  mutable int left_;
};

class PlanTest : public testing::Test {
 protected:
  PlanTest() {
    host_.write(kSwappiness, "60\n");
    host_.write(kStat, "1\n");
    host_.write(kIrq, "0-7\n");
    host_.write("/sys/class/net/eth0/queues/rx-0/rps_cpus", "ff\n");
    host_.write("/proc/77/environ", "A=b");
    host_.write("/sys/devices/system/cpu/isolated", "\n");
    host_.write("/sys/devices/system/cpu/nohz_full", "\n");
    host_.write(kFile, "OPTIONS=\"-x\"\n");
    host_.write("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
    before_ = host_.snapshot();
  }
  std::vector<Deed> apply(const Tree& tree, const Selection& selection = {}) {
    Result<SavedValues> saved = SavedValues::open(host_.state(), host_.root());
    CHECK(saved.ok());
    const Result<Host> host = Host::look(tree, FakeHost::target());
    CHECK(host.ok());
    const auto deeds = apply_rows(tree, look_at_knobs(*host, selection), *saved);
    CHECK(deeds.ok());
    return *deeds;
  }
  std::vector<Deed> apply(const Selection& selection = {}) {
    return apply(host_.tree(), selection);
  }
  std::vector<Deed> revert(const Selection& selection = {}) {
    Result<SavedValues> saved = SavedValues::open(host_.state(), host_.root());
    CHECK(saved.ok());
    const auto deeds = revert_values(host_.tree(), selection, *saved);
    CHECK(deeds.ok());
    return *deeds;
  }
  static const Deed* find(const std::vector<Deed>& deeds, const std::string& path) {
    const auto found = std::find_if(deeds.begin(), deeds.end(),
                                    [&](const Deed& deed) { return deed.place.path == path; });
    return found == deeds.end() ? nullptr : &*found;
  }

  FakeHost host_;
  std::map<std::string, std::string> before_;
};

TEST_F(PlanTest, WhatIsAppliedIsThereAndWhatIsRevertedIsAsItWas) {
  const std::vector<Deed> applied = apply();
  EXPECT_TRUE(all_done(applied));
  EXPECT_GE(applied.size(), 6U);
  EXPECT_EQ(host_.read(kSwappiness), "10\n");
  EXPECT_EQ(host_.read(kIrq), "0-3\n");
  EXPECT_NE(host_.read(kFile).find("BANNED_CPULIST=\"4-7\""), std::string::npos);
  const std::vector<Deed> reverted = revert();
  EXPECT_TRUE(all_done(reverted));
  EXPECT_EQ(host_.snapshot(), before_);
  EXPECT_FALSE(host_.exists("/state/saved"));
  // The last written first.
  ASSERT_EQ(reverted.size(), applied.size());
  for (std::size_t at = 0; at < applied.size(); ++at) {
    EXPECT_EQ(reverted[at].place, applied[applied.size() - 1 - at].place);
  }
}

TEST_F(PlanTest, ApplyingTwiceKeepsTheFirstValues) {
  apply();
  EXPECT_TRUE(apply().empty());
  host_.write(kSwappiness, "33\n");
  EXPECT_EQ(apply().size(), 1U);
  EXPECT_TRUE(all_done(revert()));
  EXPECT_EQ(host_.snapshot(), before_);
}

TEST_F(PlanTest, RevertingTwiceFindsNothingTheSecondTime) {
  apply();
  revert();
  EXPECT_TRUE(revert().empty());
  EXPECT_EQ(host_.snapshot(), before_);
}

TEST_F(PlanTest, AKillAtAnyWriteIsTakenBackWhole) {
  for (int writes = 0;; ++writes) {
    bool died = false;
    try {
      apply(DyingTree(std::move(*Tree::open(host_.root())), writes));
    } catch (const std::runtime_error&) {
      died = true;
    }
    EXPECT_TRUE(host_.exists("/state/saved"));
    EXPECT_TRUE(all_done(revert()));
    // (A choice in this tree is a plain file: its other words do not come back by themselves.)
    EXPECT_EQ(host_.read("/sys/kernel/mm/transparent_hugepage/enabled").find("[always]") == 0 ||
                  host_.read("/sys/kernel/mm/transparent_hugepage/enabled") == "always\n",
              true);
    host_.write("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
    EXPECT_EQ(host_.snapshot(), before_) << writes;
    if (!died) break;
  }
}

TEST_F(PlanTest, AKilledApplyThatIsAppliedAgainKeepsTheFirstValues) {
  EXPECT_THROW(apply(DyingTree(std::move(*Tree::open(host_.root())), 2)), std::runtime_error);
  apply();
  EXPECT_TRUE(all_done(revert()));
  EXPECT_EQ(host_.snapshot(), before_);
}

TEST_F(PlanTest, ValuesThatARestartHasResetAreSeenAndSaid) {
  apply();
  // What the kernel keeps is as before; what lies on a disk is still ours.
  const std::string ours = host_.read(kFile);
  for (const auto& [path, text] : before_) {
    if (path.back() != '/' && path != kFile) host_.write(path, text + "\n");
  }
  host_.write("/proc/77/environ", before_["/proc/77/environ"]);
  host_.restart();
  const std::vector<Deed> reverted = revert();
  EXPECT_TRUE(all_done(reverted));
  ASSERT_NE(find(reverted, kSwappiness), nullptr);
  EXPECT_EQ(find(reverted, kSwappiness)->outcome, Outcome::kAsItWas);
  EXPECT_NE(find(reverted, kSwappiness)->note.find("restart"), std::string::npos);
  ASSERT_NE(find(reverted, kFile), nullptr);
  EXPECT_EQ(find(reverted, kFile)->outcome, Outcome::kDone);
  EXPECT_EQ(host_.read(kFile), before_[kFile] + "\n");
  EXPECT_TRUE(revert().empty());
}

TEST_F(PlanTest, AfterARestartWhatNeitherIsIsGivenBackAndSaid) {
  apply();
  host_.restart();
  host_.write(kSwappiness, "45\n");
  const std::vector<Deed> reverted = revert();
  EXPECT_EQ(host_.read(kSwappiness), "60\n");
  EXPECT_NE(find(reverted, kSwappiness)->note.find("since the restart"), std::string::npos);
}

TEST_F(PlanTest, ApplyingAfterARestartSavesWhatThatBootGave) {
  apply();
  host_.restart();
  host_.write(kSwappiness, "45\n");  // this boot's own
  host_.write(kStat, "1\n");
  apply();
  EXPECT_TRUE(all_done(revert()));
  EXPECT_EQ(host_.read(kSwappiness), "45\n");
  EXPECT_EQ(host_.read(kStat), "1\n");
  EXPECT_EQ(host_.read(kFile), before_[kFile] + "\n");  // not reset: its first value
}

TEST_F(PlanTest, AnInterruptThatIsAnotherDevicesNowIsLeftAlone) {
  apply();
  host_.restart();
  host_.remove("/proc/irq/30/eth0-rx-0");
  host_.write("/proc/irq/30/ahci/x", "");
  host_.write(kIrq, "2\n");
  const std::vector<Deed> reverted = revert();
  EXPECT_EQ(find(reverted, kIrq)->outcome, Outcome::kGone);
  EXPECT_EQ(host_.read(kIrq), "2\n");
  EXPECT_TRUE(revert().empty());
}

TEST_F(PlanTest, HandlersThatComeAndGoWithinABootLeaveAnInterruptTheSame) {
  const std::string irq = "/proc/irq/30/";
  const Selection only{{"irq-affinity"}, {}};
  const std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> cases = {
      {{}, {"ttyS0"}},                         // a serial line is opened
      {{"ttyS0"}, {}},                         // and closed
      {{"eth0-rx-0"}, {"ahci", "eth0-rx-0"}},  // a shared one gets a second
      {{"PCIe PME", "ahci"}, {"PCIe PME"}}};   // and loses it
  for (const auto& [first, then] : cases) {
    for (const bool is_applied_again : {false, true}) {
      host_.remove("/proc/irq/30");
      host_.write(kIrq, "0-7\n");
      for (const std::string& name : first) host_.write(irq + name + "/x", "");
      apply(only);
      host_.remove("/proc/irq/30");
      host_.write(kIrq, is_applied_again ? "5-6\n" : "0-3\n");
      for (const std::string& name : then) host_.write(irq + name + "/x", "");
      if (is_applied_again) {
        EXPECT_EQ(apply(only).size(), 1U);
      }
      const std::vector<Deed> reverted = revert();
      ASSERT_EQ(reverted.size(), 1U);
      EXPECT_EQ(reverted[0].outcome, Outcome::kDone) << reverted[0].note;
      EXPECT_EQ(host_.read(kIrq), "0-7\n");
    }
  }
}

TEST_F(PlanTest, AnotherHandlerInItsPlaceIsAnotherDeviceAlsoWithinABoot) {
  apply();
  host_.remove("/proc/irq/30/eth0-rx-0");
  host_.write("/proc/irq/30/ahci/x", "");
  host_.write(kIrq, "5-6\n");
  apply();
  EXPECT_EQ(find(revert(), kIrq)->outcome, Outcome::kDone);
  EXPECT_EQ(host_.read(kIrq), "5-6\n");
}

TEST_F(PlanTest, ASecondApplyWhileAnInterruptHasNoHandlerForgetsNotWhatItWas) {
  apply();
  host_.remove("/proc/irq/30/eth0-rx-0");
  host_.write(kIrq, "5-6\n");
  apply();
  host_.write("/proc/irq/30/ahci/x", "");
  EXPECT_EQ(find(revert(), kIrq)->outcome, Outcome::kGone);
  EXPECT_EQ(host_.read(kIrq), "0-3\n");
}

TEST_F(PlanTest, AHandlerThatCameWithARestartMakesItAnotherDevice) {
  apply();
  host_.restart();
  host_.write("/proc/irq/30/ahci/x", "");
  EXPECT_EQ(find(revert(), kIrq)->outcome, Outcome::kGone);
  EXPECT_EQ(host_.read(kIrq), "0-3\n");
}

TEST_F(PlanTest, AnInterruptOnASiblingAloneIsGivenBackAfterTheSiblingWasOffline) {
  /// A core that goes offline takes the interrupts that it alone served to every other core.
  class SiblingTree : public Tree {
   public:
    explicit SiblingTree(Tree&& tree) : Tree(std::move(tree)) {}
    [[nodiscard]] Status write_value(const std::string& path,
                                     const std::string& value) const override {
      if (path.ends_with("cpu2/online") && value == "0") {
        const Result<std::string> cores = read_value(kIrq);
        if (cores && *cores == "2") {
          if (Status broken = Tree::write_value(kIrq, "0-1,3-7"); !broken) return broken;
        }
      }
      return Tree::write_value(path, value);
    }
  };
  host_.write("/sys/devices/system/cpu/smt/active", "1\n");
  host_.write("/sys/devices/system/cpu/cpu5/topology/thread_siblings_list", "2,5\n");
  host_.write(kIrq, "2\n");
  const auto before = host_.snapshot();
  const SiblingTree tree(std::move(*Tree::open(host_.root())));
  const Selection only{{"irq-affinity", "smt"}, {}};
  const std::vector<Deed> applied = apply(tree, only);
  ASSERT_FALSE(applied.empty());
  EXPECT_EQ(applied.back().knob, "smt");
  EXPECT_EQ(host_.read("/sys/devices/system/cpu/cpu2/online"), "0\n");
  EXPECT_EQ(host_.read(kIrq), "0-1,3\n");
  const std::vector<Deed> reverted = revert();
  EXPECT_TRUE(all_done(reverted));
  EXPECT_EQ(reverted.front().knob, "smt");
  EXPECT_EQ(host_.snapshot(), before);
}

TEST_F(PlanTest, AFileThatWasEditedAfterARestartKeepsItsFirstText) {
  apply();
  host_.restart();
  host_.write(kFile, "OPTIONS=\"-y\"\n");
  apply();
  EXPECT_TRUE(all_done(revert()));
  EXPECT_EQ(host_.read(kFile), before_[kFile] + "\n");
}

TEST_F(PlanTest, ADeviceThatIsGoneIsForgotten) {
  apply();
  host_.remove("/proc/irq/30");
  const std::vector<Deed> reverted = revert();
  EXPECT_TRUE(all_done(reverted));
  EXPECT_EQ(find(reverted, kIrq)->outcome, Outcome::kGone);
  EXPECT_TRUE(revert().empty());
}

TEST_F(PlanTest, WhatSomebodyElseChangedIsGivenBackAndSaid) {
  apply();
  host_.write(kSwappiness, "33\n");
  const std::vector<Deed> reverted = revert();
  EXPECT_EQ(host_.read(kSwappiness), "60\n");
  EXPECT_FALSE(find(reverted, kSwappiness)->note.empty());
}

TEST_F(PlanTest, OnlyAndExceptChooseAndOffWins) {
  EXPECT_EQ(apply({{"swappiness", "stat-interval"}, {"stat-interval"}}).size(), 1U);
  EXPECT_EQ(host_.read(kSwappiness), "10\n");
  EXPECT_EQ(host_.read(kStat), "1\n");
  for (const Deed& deed : apply({{}, {"stat-interval"}})) EXPECT_NE(deed.knob, "stat-interval");
  EXPECT_EQ(host_.read(kStat), "1\n");
}

TEST_F(PlanTest, RevertingSomeKeepsTheOthersSaved) {
  apply();
  EXPECT_EQ(revert({{"swappiness"}, {}}).size(), 1U);
  EXPECT_EQ(host_.read(kSwappiness), "60\n");
  EXPECT_EQ(host_.read(kStat), "120\n");
  EXPECT_TRUE(all_done(revert({{}, {"stat-interval"}})));
  EXPECT_EQ(host_.read(kStat), "120\n");
  EXPECT_EQ(revert().size(), 1U);
  EXPECT_EQ(host_.snapshot(), before_);
}

TEST_F(PlanTest, WhatTheKernelMakesOfAValueIsReadBack) {
  class StubbornTree : public Tree {
   public:
    explicit StubbornTree(Tree&& tree) : Tree(std::move(tree)) {}
    [[nodiscard]] Status write_value(const std::string& path, const std::string&) const override {
      return Tree::write_value(path, "7");
    }
  };
  const StubbornTree tree(std::move(*Tree::open(host_.root())));
  const std::vector<Deed> deeds = apply(tree, {{"stat-interval"}, {}});
  ASSERT_EQ(deeds.size(), 1U);
  EXPECT_EQ(deeds[0].outcome, Outcome::kRefused);
  EXPECT_NE(deeds[0].note.find('7'), std::string::npos);
  EXPECT_FALSE(all_done(deeds));
}

TEST_F(PlanTest, ARefusedInterruptIsNoFailureAndARefusedRevertStaysSaved) {
  class RefusingTree : public Tree {
   public:
    explicit RefusingTree(Tree&& tree) : Tree(std::move(tree)) {}
    [[nodiscard]] Status write_value(const std::string& path, const std::string&) const override {
      return Error{"write " + path, EPERM, {}};
    }
  };
  const RefusingTree tree(std::move(*Tree::open(host_.root())));
  EXPECT_TRUE(all_done(apply(tree, {{"irq-affinity"}, {}})));
  EXPECT_FALSE(all_done(apply(tree, {{"swappiness"}, {}})));
  apply();
  Result<SavedValues> saved = SavedValues::open(host_.state(), host_.root());
  ASSERT_TRUE(saved.ok());
  const auto reverted = revert_values(tree, {{"swappiness"}, {}}, *saved);
  ASSERT_TRUE(reverted.ok());
  EXPECT_FALSE(all_done(*reverted));
  EXPECT_NE(saved->find(kSwappiness), nullptr);
}

TEST_F(PlanTest, NothingIsWrittenWhereNothingCanBeSaved) {
  Result<SavedValues> saved = SavedValues::open(host_.state(), host_.root());
  ASSERT_TRUE(saved.ok());
  std::filesystem::remove_all(host_.state());
  const FakeTree tree = host_.tree();
  const Result<Host> host = Host::look(tree, FakeHost::target());
  EXPECT_FALSE(apply_rows(tree, look_at_knobs(*host, {}), *saved).ok());
  EXPECT_EQ(host_.snapshot(), before_);
}

TEST_F(PlanTest, WithoutABootIdNothingIsWritten) {
  host_.remove("/proc/sys/kernel/random/boot_id");
  Result<SavedValues> saved = SavedValues::open(host_.state(), host_.root());
  const FakeTree tree = host_.tree();
  const Result<Host> host = Host::look(tree, FakeHost::target());
  EXPECT_FALSE(apply_rows(tree, look_at_knobs(*host, {}), *saved).ok());
  EXPECT_EQ(host_.read(kSwappiness), "60\n");
}

}  // namespace
}  // namespace deja::tuning
