// Segments made and opened on a real directory: rights, replacement, damage.
#include "shm/segment.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <capnp/message.h>
#include <filesystem>
#include <fstream>

#include "shm/base/clock.h"

namespace deja {
namespace {

template <typename Schema>
std::vector<std::uint8_t> flat_message() {
  capnp::MallocMessageBuilder message;
  message.initRoot<Schema>();
  const kj::Array<capnp::word> words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  return {bytes.begin(), bytes.end()};
}

class SegmentTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/deja-segment-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    directory_ = path;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] SegmentPlan plan() const {
    SegmentPlan plan;
    plan.directory = directory_;
    plan.appliance = "shop";
    plan.profiles_max = 1000;
    plan.shard_count = 5;
    plan.worker_count = 2;
    plan.ingest_count = 1;
    plan.key_bytes = 64;
    plan.frame_bytes = 128;
    plan.ring_bytes = 4096;
    plan.huge_pages = HugePages::kOff;
    plan.catalog = flat_message<schema::Catalog>();
    plan.settings = flat_message<schema::Settings>();
    plan.files.push_back(
        {"scratch", 100, Audience::kService, [](std::uint8_t* memory) { memory[99] = 7; }});
    plan.fifos.push_back("bell-x.fifo");
    return plan;
  }
  [[nodiscard]] std::string segment_path() const { return directory_ + "/deja-shop"; }
  [[nodiscard]] std::size_t file_count() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(segment_path())) {
      count += entry.exists() ? 1 : 0;
    }
    return count;
  }

  std::string directory_;
};

TEST_F(SegmentTest, IsOpenedWithTheCountsItWasMadeWith) {
  ASSERT_TRUE(create_segment(plan()).ok());
  Result<Segment> segment = Segment::open(segment_path());
  ASSERT_TRUE(segment.ok()) << segment.error().message();
  EXPECT_EQ(segment->geometry().shard_count, 5U);
  EXPECT_EQ(segment->geometry().shards_of(0), 3U);
  EXPECT_EQ(segment->geometry().shards_of(1), 2U);
  EXPECT_EQ(segment->superblock().state.load(), SegmentState::kStarting);
  Result<MappedFile> scratch = segment->map("scratch", MappedFile::Mode::kReadWrite);
  ASSERT_TRUE(scratch.ok());
  EXPECT_EQ(scratch->data()[99], 7);
  Result<MappedFile> profiles = segment->map("profiles-1", MappedFile::Mode::kReadOnly);
  ASSERT_TRUE(profiles.ok());
  EXPECT_GE(profiles->bytes(), segment->geometry().file_bytes(1));
}

TEST_F(SegmentTest, ReadersGetProfilesAndCatalogAndNothingElse) {
  const mode_t old_mask = umask(0);
  ASSERT_TRUE(create_segment(plan()).ok());
  umask(old_mask);
  Result<Segment> segment = Segment::open(segment_path());
  ASSERT_TRUE(segment.ok());
  const auto mode_of = [&](const std::string& path) {
    struct stat status {};
    EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777U;
  };
  EXPECT_EQ(mode_of(segment_path()), 0750U);
  EXPECT_EQ(mode_of(segment->stable_path("superblock")), 0640U);
  EXPECT_EQ(mode_of(segment->path("profiles-0")), 0640U);
  EXPECT_EQ(mode_of(segment->path("catalog")), 0640U);
  EXPECT_EQ(mode_of(segment->path("settings")), 0600U);
  EXPECT_EQ(mode_of(segment->path("scratch")), 0600U);
  EXPECT_EQ(mode_of(segment->stable_path("bell-x.fifo")), 0600U);
}

TEST_F(SegmentTest, ANewOneSupersedesTheOldAndTakesItsFilesAway) {
  ASSERT_TRUE(create_segment(plan()).ok());
  Result<Segment> old_one = Segment::open(segment_path());
  ASSERT_TRUE(old_one.ok());
  const std::string old_profiles = old_one->path("profiles-0");
  const std::size_t files_before = file_count();
  ASSERT_TRUE(create_segment(plan()).ok());
  EXPECT_EQ(old_one->superblock().state.load(), SegmentState::kSuperseded);
  EXPECT_FALSE(std::filesystem::exists(old_profiles));
  EXPECT_EQ(file_count(), files_before);
  Result<Segment> new_one = Segment::open(segment_path());
  ASSERT_TRUE(new_one.ok());
  EXPECT_GT(new_one->superblock().incarnation, old_one->superblock().incarnation);
  EXPECT_NE(new_one->superblock().hash_secret[0], old_one->superblock().hash_secret[0]);
}

TEST_F(SegmentTest, AFailedCreationLeavesTheOldOneAlone) {
  ASSERT_TRUE(create_segment(plan()).ok());
  const std::size_t files_before = file_count();
  SegmentPlan impossible = plan();
  impossible.files.push_back({"too-large", 1ULL << 60U, Audience::kService, {}});
  const Result<SegmentReport> failed = create_segment(impossible);
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().message().find("too-large"), std::string::npos);
  EXPECT_FALSE(failed.error().remedy.empty());
  EXPECT_EQ(file_count(), files_before);
  Result<Segment> old_one = Segment::open(segment_path());
  ASSERT_TRUE(old_one.ok());
  EXPECT_EQ(old_one->superblock().state.load(), SegmentState::kStarting);
}

TEST_F(SegmentTest, WhileItIsMadeOthersAreLookedAfter) {
  std::uint64_t calls = 0;
  ASSERT_TRUE(NewSegment::make(plan(), [&] { ++calls; }).ok());
  EXPECT_GE(calls, plan().files.size() * 2) << "once for each file's memory, once for its pages";
}

TEST_F(SegmentTest, ItsReadersMayLookInWhenItHasTheNameAndNotBefore) {
  if (geteuid() != 0) GTEST_SKIP() << "only root may give a directory to any group";
  ASSERT_TRUE(create_segment(plan()).ok());
  const auto group = [&] {
    struct stat status {};
    EXPECT_EQ(stat(segment_path().c_str(), &status), 0);
    return status.st_gid;
  };
  const gid_t before = group();
  SegmentPlan others = plan();
  others.readers_group = "daemon";
  Result<NewSegment> made = NewSegment::make(others);
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(group(), before) << "it may still come to nothing";
  ASSERT_TRUE(made->take_name().ok());
  EXPECT_NE(group(), before);
}

TEST_F(SegmentTest, LiesOnAFileSystemThatHasNoLimitOfItsOwn) {
  if (mount("none", directory_.c_str(), "tmpfs", 0, "size=0") != 0) {
    GTEST_SKIP() << "nothing may be mounted here";
  }
  const Result<SegmentReport> made = create_segment(plan());
  umount2(directory_.c_str(), MNT_DETACH);
  EXPECT_TRUE(made.ok()) << made.error().message();
}

TEST_F(SegmentTest, IsRemovedWithoutARest) {
  ASSERT_TRUE(create_segment(plan()).ok());
  ASSERT_TRUE(remove_segment(directory_, "shop").ok());
  EXPECT_FALSE(std::filesystem::exists(segment_path()));
}

TEST_F(SegmentTest, StraysOfOtherIncarnationsAreRemovedAndNothingElse) {
  ASSERT_TRUE(create_segment(plan()).ok());
  const std::size_t files_before = file_count();
  const auto put = [&](const std::string& name) {
    std::ofstream(segment_path() + "/" + name) << 1;
  };
  for (const char* stray : {"profiles-0.17", "superblock.18", "log-0.18"}) put(stray);
  put("supervisor.lock");
  remove_strays(segment_path());
  EXPECT_EQ(file_count(), files_before + 1);
  EXPECT_TRUE(Segment::open(segment_path()).ok());
  remove_directory(segment_path());  // it has a superblock, and stays
  EXPECT_EQ(file_count(), files_before + 1);
}

TEST_F(SegmentTest, WithoutASuperblockWhatIsLeftGoes) {
  ASSERT_TRUE(create_segment(plan()).ok());
  std::filesystem::remove(segment_path() + "/superblock");  // a removal that was killed
  std::ofstream(segment_path() + "/supervisor.lock") << 1;
  remove_strays(segment_path());
  EXPECT_TRUE(std::filesystem::exists(segment_path() + "/supervisor.lock")) << "somebody has it";
  remove_directory(segment_path());
  EXPECT_FALSE(std::filesystem::exists(segment_path()));
}

TEST_F(SegmentTest, DamageIsASentenceAndNotACrash) {
  ASSERT_TRUE(create_segment(plan()).ok());
  const std::string superblock = segment_path() + "/superblock";
  const auto damage = [&](std::streamoff offset, std::uint32_t value) {
    std::fstream file(superblock, std::ios::in | std::ios::out | std::ios::binary);
    std::uint32_t before = 0;
    file.seekg(offset);
    file.read(reinterpret_cast<char*>(&before), sizeof before);
    file.seekp(offset);
    file.write(reinterpret_cast<const char*>(&value), sizeof value);
    file.flush();
    const Result<Segment> opened = Segment::open(segment_path());
    EXPECT_FALSE(opened.ok()) << "offset " << offset << " value " << value;
    if (!opened.ok()) {
      EXPECT_FALSE(opened.error().message().empty());
    }
    file.seekp(offset);
    file.write(reinterpret_cast<const char*>(&before), sizeof before);
  };
  damage(0, 0);
  damage(offsetof(SuperblockLayout, layout_version), 99);
  damage(offsetof(SuperblockLayout, layout_hash), 1);
  damage(offsetof(SuperblockLayout, worker_count), 0);
  damage(offsetof(SuperblockLayout, shard_count), 0xffffffffU);
  damage(offsetof(SuperblockLayout, blocks_per_shard), 0xffffffU);
  damage(offsetof(SuperblockLayout, frame_bytes), 12345);
  damage(offsetof(SuperblockLayout, ingest_count), 0);
  damage(offsetof(SuperblockLayout, catalog_bytes), 0x7fffffffU);
  EXPECT_TRUE(Segment::open(segment_path()).ok());
  std::filesystem::resize_file(superblock, 10);
  EXPECT_FALSE(Segment::open(segment_path()).ok());
}

TEST_F(SegmentTest, ACatalogThatOpensCanBeReadToItsEnd) {
  capnp::MallocMessageBuilder message;
  auto catalog = message.initRoot<schema::Catalog>();
  catalog.setAppliance("shop");
  catalog.initSlots(1)[0].setPath("properties.id");
  auto event = catalog.initEvents(1)[0];
  event.setName("view");
  event.setMatch("Viewed");
  event.initFields(1)[0].setName("item");
  auto feature = catalog.initFeatures(1)[0];
  feature.setName("last");
  feature.setOf("item");
  feature.setWhere("item != 'x'");
  feature.initSources(1);
  const auto words = capnp::messageToFlatArray(message);
  SegmentPlan made = plan();
  made.catalog.assign(words.asBytes().begin(), words.asBytes().end());
  ASSERT_TRUE(create_segment(made).ok());
  MappedFile file =
      std::move(*Segment::open(segment_path())->map("catalog", MappedFile::Mode::kReadWrite));
  int refused_count = 0;
  for (std::size_t at = 0; at < words.size(); ++at) {
    auto& word = file.at<std::uint64_t>()[at];
    const std::uint64_t before = word;
    for (const std::uint64_t damage :
         {1ULL, 2ULL, 4ULL, 1ULL << 32U, 7ULL << 32U, 1ULL << 40U, ~0ULL}) {
      word = before ^ damage;
      const Result<Segment> opened = Segment::open(segment_path());
      if (opened.ok()) {
        EXPECT_NO_THROW(static_cast<void>(kj::str(opened->catalog()))) << at << " " << damage;
      } else {
        EXPECT_NE(opened.error().message().find("catalog"), std::string::npos);
        ++refused_count;
      }
    }
    word = before;
  }
  EXPECT_GT(refused_count, 20);
  EXPECT_TRUE(Segment::open(segment_path()).ok());
}

TEST_F(SegmentTest, ACatalogOfHalfABillionSlotsIsRefused) {
  // Structs without a word in them take no room, however many a list says it has.
  const std::uint64_t words[] = {
      std::uint64_t{5} << 32U,               // one segment of five words
      std::uint64_t{3} << 48U,               // the catalog: three pointers
      0,                                     // no appliance
      0,                                     // no events
      1 | std::uint64_t{7} << 32U,           // slots: a list with a tag
      std::uint64_t{(1U << 29U) - 1} << 2U,  // the tag: that many empty structs
  };
  SegmentPlan made = plan();
  made.catalog.resize(sizeof words);
  std::memcpy(made.catalog.data(), words, sizeof words);
  ASSERT_TRUE(create_segment(made).ok());
  const Result<Segment> opened = Segment::open(segment_path());
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message().find("262144 elements"), std::string::npos)
      << opened.error().message();
}

TEST_F(SegmentTest, AnAbsentOneSaysHowToStartIt) {
  const Result<Segment> opened = Segment::open(segment_path());
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message().find("deja serve"), std::string::npos);
}

TEST_F(SegmentTest, AnUnknownReadersGroupIsRefused) {
  SegmentPlan other = plan();
  other.readers_group = "no-such-group-here";
  const Result<SegmentReport> made = create_segment(other);
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message().find("readers_group"), std::string::npos);
}

TEST_F(SegmentTest, RequiredHugePagesThatAreNotGivenAreAnErrorWithARemedy) {
  SegmentPlan demanding = plan();
  demanding.huge_pages = HugePages::kRequire;
  demanding.profiles_max = 100;  // smaller than one huge page in every file
  const Result<SegmentReport> made = create_segment(demanding);
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message().find("shmem_enabled"), std::string::npos);
}

}  // namespace
}  // namespace deja
