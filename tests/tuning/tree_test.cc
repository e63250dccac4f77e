#include "tuning/tree.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/tuning/fake_host.h"

namespace deja::tuning {
namespace {

class TreeTest : public testing::Test {
 protected:
  FakeHost host_;
  FakeTree tree_ = host_.tree();
};

TEST_F(TreeTest, ReadsAValueWithoutTheSpaceAroundIt) {
  host_.write("/sys/x", "  12 \n\n");
  EXPECT_EQ(*tree_.read_value("/sys/x"), "12");
  host_.write("/sys/x", "");
  EXPECT_EQ(*tree_.read_value("/sys/x"), "");
}

TEST_F(TreeTest, SaysWhatIsMissing) {
  EXPECT_EQ(tree_.read_value("/sys/none").error().error_number, ENOENT);
  EXPECT_EQ(tree_.write_value("/sys/none", "1").error().error_number, ENOENT);
  EXPECT_FALSE(host_.exists("/sys/none"));
  EXPECT_TRUE(tree_.names("/sys/none").empty());
}

TEST_F(TreeTest, StaysBelowItsRoot) {
  const std::string outside = host_.root() + "-outside";
  std::ofstream(outside) << "secret\n";
  ASSERT_EQ(symlink(outside.c_str(), (host_.root() + "/sys/absolute").c_str()), 0);
  ASSERT_EQ(symlink(("../../" + outside.substr(outside.rfind('/') + 1)).c_str(),
                    (host_.root() + "/sys/relative").c_str()),
            0);
  for (const char* path : {"/sys/absolute", "/sys/relative"}) {
    EXPECT_FALSE(tree_.read_value(path).ok()) << path;
    EXPECT_FALSE(tree_.write_value(path, "1").ok()) << path;
  }
  EXPECT_FALSE(tree_.read_value("/../" + outside.substr(outside.rfind('/') + 1)).ok());
  EXPECT_EQ(*Tree::open("/")->read_value(outside), "secret");
  std::filesystem::remove(outside);
}

TEST_F(TreeTest, FollowsLinksInsideItsRoot) {
  host_.write("/sys/devices/pci/net/eth0/value", "7\n");
  ASSERT_EQ(symlink("/sys/devices/pci/net/eth0", (host_.root() + "/sys/class/net/eth9").c_str()),
            0);
  EXPECT_EQ(*tree_.read_value("/sys/class/net/eth9/value"), "7");
}

TEST_F(TreeTest, ReadsNothingButRegularFiles) {
  ASSERT_EQ(mkfifo((host_.root() + "/sys/fifo").c_str(), 0600), 0);
  EXPECT_EQ(tree_.read_value("/sys/fifo").error().error_number, EINVAL);
  EXPECT_FALSE(tree_.write_value("/sys/fifo", "1").ok());
  EXPECT_FALSE(tree_.read_value("/sys/devices").ok());
}

TEST_F(TreeTest, BoundsWhatItReads) {
  host_.write("/sys/x", std::string(kValueBytesMax + 1, 'x'));
  EXPECT_EQ(tree_.read_value("/sys/x").error().error_number, EFBIG);
  EXPECT_EQ(tree_.read_text("/sys/x")->size(), kValueBytesMax + 1);
  EXPECT_EQ(tree_.read_text("/sys/x", 10).error().error_number, EFBIG);
}

TEST_F(TreeTest, RefusesBytesThatAreNoText) {
  for (const std::string& text : {std::string("a\0b", 3), std::string("\x1b[2J"),
                                  std::string("\xff\xfe"), std::string("a\x7f")}) {
    host_.write("/sys/x", text);
    EXPECT_EQ(tree_.read_value("/sys/x").error().error_number, EILSEQ);
  }
}

TEST_F(TreeTest, AFileThatIsReplacedKeepsItsMode) {
  host_.write("/etc/default/x", "old\n");
  std::filesystem::permissions(host_.root() + "/etc/default/x", std::filesystem::perms(0640));
  ASSERT_TRUE(tree_.replace_file("/etc/default/x", "new\n").ok());
  EXPECT_EQ(host_.read("/etc/default/x"), "new\n");
  EXPECT_EQ(std::filesystem::status(host_.root() + "/etc/default/x").permissions(),
            std::filesystem::perms(0640));
  EXPECT_EQ(tree_.names("/etc/default"), (std::vector<std::string>{"irqbalance", "x"}));
}

TEST_F(TreeTest, AFileThatIsALinkIsNotReplaced) {
  ASSERT_EQ(symlink("irqbalance", (host_.root() + "/etc/default/link").c_str()), 0);
  EXPECT_FALSE(tree_.replace_file("/etc/default/link", "new\n").ok());
}

TEST_F(TreeTest, NamesComeInTheOrderOfPeople) {
  for (const char* name : {"cpu10", "cpu2", "cpu1", "cpu02x", "cpuidle"}) {
    host_.write(std::string("/sys/order/") + name, "");
  }
  EXPECT_EQ(tree_.names("/sys/order"),
            (std::vector<std::string>{"cpu1", "cpu2", "cpu02x", "cpu10", "cpuidle"}));
}

TEST_F(TreeTest, KnowsWhatNobodyMayWrite) {
  host_.write("/sys/x", "1\n");
  EXPECT_FALSE(tree_.is_fixed("/sys/x"));
  host_.make_read_only("/sys/x");
  EXPECT_TRUE(tree_.is_fixed("/sys/x"));
  EXPECT_FALSE(tree_.is_fixed("/sys/none"));
}

TEST_F(TreeTest, ARootHasOneNameHoweverItIsWritten) {
  EXPECT_EQ(Tree::open(host_.root() + "/sys/../.")->root(), host_.root());
  ASSERT_EQ(symlink("/", (host_.root() + "/link").c_str()), 0);
  EXPECT_EQ(Tree::open(host_.root() + "/link")->root(), "/");
  EXPECT_TRUE(Tree::open("//.")->is_this_host());
}

TEST_F(TreeTest, ARootThatIsNoneIsNamed) {
  const Result<Tree> tree = Tree::open(host_.root() + "/none");
  ASSERT_FALSE(tree.ok());
  EXPECT_NE(tree.error().message().find("--root"), std::string::npos);
}

}  // namespace
}  // namespace deja::tuning
