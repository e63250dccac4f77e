#include "tuning/saved_values.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tuning/fake_host.h"

namespace deja::tuning {
namespace {

std::vector<SavedValue> some() {
  return {{"swappiness", {PlaceKind::kPlain, "/proc/sys/vm/swappiness"}, "60", "10", "boot-1", ""},
          {"irqbalance",
           {PlaceKind::kFile, "/etc/default/irqbalance"},
           std::nullopt,
           "a\n\tb\\\n",
           "boot-1",
           ""},
          {"irq-affinity",
           {PlaceKind::kCpuList, "/proc/irq/30/smp_affinity_list"},
           "",
           "0",
           "boot-1",
           "eth0 rx\t0"}};
}

void expect_same(const std::vector<SavedValue>& a, const std::vector<SavedValue>& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(saved_text({"/", a}), saved_text({"/", b}));
  for (std::size_t at = 0; at < a.size(); ++at) {
    EXPECT_EQ(a[at].before, b[at].before);
    EXPECT_EQ(a[at].ours, b[at].ours);
    EXPECT_EQ(a[at].place, b[at].place);
    EXPECT_EQ(a[at].identity, b[at].identity);
  }
}

class SavedValuesTest : public testing::Test {
 protected:
  [[nodiscard]] Result<SavedValues> open() const {
    return SavedValues::open(host_.state(), host_.root());
  }
  FakeHost host_;
};

TEST_F(SavedValuesTest, AreThereForTheNextOne) {
  {
    Result<SavedValues> saved = open();
    ASSERT_TRUE(saved.ok()) << saved.error().message();
    EXPECT_TRUE(saved->values().empty());
    ASSERT_TRUE(saved->store(some()).ok());
  }
  const Result<SavedValues> saved = open();
  ASSERT_TRUE(saved.ok());
  expect_same(saved->values(), some());
  ASSERT_NE(saved->find("/proc/sys/vm/swappiness"), nullptr);
  EXPECT_EQ(saved->find("/proc/sys/vm/none"), nullptr);
}

TEST_F(SavedValuesTest, StoringNoneRemovesTheFile) {
  Result<SavedValues> saved = open();
  ASSERT_TRUE(saved.ok());
  ASSERT_TRUE(saved->store(some()).ok());
  EXPECT_TRUE(host_.exists("/state/saved"));
  ASSERT_TRUE(saved->store({}).ok());
  EXPECT_FALSE(host_.exists("/state/saved"));
}

TEST_F(SavedValuesTest, BelongToOneAtATime) {
  const Result<SavedValues> first = open();
  ASSERT_TRUE(first.ok());
  const Result<SavedValues> second = open();
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message().find("another"), std::string::npos);
}

TEST_F(SavedValuesTest, AnyDamageIsSeenAndNothingOverwritten) {
  const std::string text = saved_text({host_.root(), some()});
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string damaged = text;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    EXPECT_FALSE(parse_saved(damaged)) << at;
    EXPECT_FALSE(parse_saved(text.substr(0, at))) << at;
  }
  std::filesystem::create_directory(host_.state());
  host_.write("/state/saved", text.substr(0, text.size() / 2));
  const Result<SavedValues> saved = open();
  ASSERT_FALSE(saved.ok());
  EXPECT_NE(saved.error().message().find("damaged"), std::string::npos);
  EXPECT_FALSE(SavedValues::peek(host_.state(), host_.root()).ok());
  EXPECT_EQ(host_.read("/state/saved").size(), text.size() / 2);
}

TEST_F(SavedValuesTest, NameNothingThatNoKnobWrites) {
  for (const char* path : {"/etc/shadow", "/proc/../etc/shadow", "/sys/x/..", "relative", ""}) {
    std::vector<SavedValue> values = some();
    values[0].place.path = path;
    EXPECT_FALSE(parse_saved(saved_text({"/", values}))) << path;
  }
}

TEST_F(SavedValuesTest, ThatOthersMayWriteAreNotBelieved) {
  std::filesystem::create_directory(host_.state());
  std::filesystem::permissions(host_.state(), std::filesystem::perms(0777));
  EXPECT_FALSE(open().ok());
  std::filesystem::permissions(host_.state(), std::filesystem::perms(0755));
  host_.write("/state/saved", saved_text({host_.root(), some()}));
  std::filesystem::permissions(host_.state() + "/saved", std::filesystem::perms(0666));
  EXPECT_FALSE(open().ok());
  std::filesystem::permissions(host_.state() + "/saved", std::filesystem::perms(0644));
  EXPECT_TRUE(open().ok());
}

TEST_F(SavedValuesTest, OfAnotherRootAreRefusedBothWays) {
  {
    Result<SavedValues> saved = open();
    ASSERT_TRUE(saved.ok());
    ASSERT_TRUE(saved->store(some()).ok());
  }
  const std::string text = host_.read("/state/saved");
  for (const char* root : {"/", "/tmp/a copy"}) {
    const Result<SavedValues> saved = SavedValues::open(host_.state(), root);
    ASSERT_FALSE(saved.ok());
    EXPECT_NE(saved.error().message().find(host_.root()), std::string::npos);
    EXPECT_FALSE(SavedValues::peek(host_.state(), root).ok());
  }
  EXPECT_EQ(host_.read("/state/saved"), text);
  EXPECT_TRUE(open().ok());
}

TEST_F(SavedValuesTest, SayWhoseTheyAreWhateverItsName) {
  for (const char* root : {"/", "/tmp/a\tcopy\n\\"}) {
    const std::optional<SavedFile> file = parse_saved(saved_text({root, some()}));
    ASSERT_TRUE(file);
    EXPECT_EQ(file->root, root);
    expect_same(file->values, some());
  }
  EXPECT_FALSE(parse_saved(saved_text({"copy", some()})));
  EXPECT_FALSE(parse_saved(saved_text({"", some()})));
}

TEST_F(SavedValuesTest, OfTheFirstVersionAreTheHostsOwn) {
  const std::string text =
      "deja-tune-saved 1\n"
      "value\tswappiness\tplain\t/proc/sys/vm/swappiness\t=60\t=10\tboot-1\t\n"
      "sum 4c34ba385aabec85\n";
  const std::optional<SavedFile> file = parse_saved(text);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->root, "/");
  ASSERT_EQ(file->values.size(), 1U);
  EXPECT_EQ(file->values[0].before, "60");
  std::filesystem::create_directory(host_.state());
  host_.write("/state/saved", text);
  EXPECT_TRUE(SavedValues::peek(host_.state(), "/").ok());
  EXPECT_FALSE(SavedValues::peek(host_.state(), host_.root()).ok());
}

TEST_F(SavedValuesTest, LookingMakesNoDirectory) {
  const auto values = SavedValues::peek(host_.state(), host_.root());
  ASSERT_TRUE(values.ok());
  EXPECT_TRUE(values->empty());
  EXPECT_FALSE(host_.exists("/state"));
}

}  // namespace
}  // namespace deja::tuning
