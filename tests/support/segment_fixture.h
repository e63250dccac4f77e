// A segment in a temporary directory: what unit and stress tests of the service's processes stand
// on. Everything is removed at the end. Test code; header only; one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shm/base/check.h"
#include "shm/process_file.h"
#include "shm/segment.h"
#include "shm/shard_reader.h"
#include "tests/support/scratch.h"
#include "tests/support/test_appliance.h"
#include "workers/segment_files.h"

namespace deja {

class SegmentFixture {
 public:
  /// Stops the test program where the segment can't be made: it stands on nothing then.
  explicit SegmentFixture(const TestAppliance& appliance = TestAppliance::small()) {
    directory_ = make_scratch_directory("deja-unit");
    plan_.directory = directory_;
    plan_.appliance = "test";
    plan_.profiles_max = appliance.profiles_max;
    plan_.shard_count = appliance.shard_count;
    plan_.worker_count = appliance.worker_count;
    plan_.ingest_count = appliance.ingest_count;
    plan_.key_bytes = appliance.key_bytes;
    plan_.ring_bytes = appliance.ring_bytes;
    plan_.log_bytes = appliance.log_bytes;
    plan_.return_bytes = appliance.return_bytes;
    plan_.verdict_bytes = appliance.verdict_bytes;
    plan_.dedup_window = appliance.dedup_window;
    plan_.huge_pages = HugePages::kOff;
    plan_.catalog = build_catalog(appliance, plan_.frame_bytes);
    plan_.settings = build_settings(appliance);
    add_service_files(plan_);
    create();
  }
  /// With a plan of the caller's, its directory and name excepted.
  explicit SegmentFixture(SegmentPlan plan) : plan_(std::move(plan)) {
    directory_ = make_scratch_directory("deja-unit");
    plan_.directory = directory_;
    plan_.appliance = "test";
    create();
  }
  ~SegmentFixture() {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  SegmentFixture(const SegmentFixture&) = delete;
  SegmentFixture& operator=(const SegmentFixture&) = delete;

  [[nodiscard]] const Segment& segment() const { return *segment_; }
  /// "<temporary directory>/deja-test": what a process is given as --segment.
  [[nodiscard]] const std::string& segment_directory() const { return segment_directory_; }
  [[nodiscard]] const SegmentPlan& plan() const { return plan_; }

  /// A file of the segment, mapped for writing for as long as the fixture lives.
  [[nodiscard]] MappedFile& file(const std::string& name) {
    const auto known = std::find_if(files_.begin(), files_.end(),
                                    [&](const NamedFile& file) { return file.name == name; });
    if (known != files_.end()) return *known->file;
    Result<MappedFile> mapped = segment_->map(name, MappedFile::Mode::kReadWrite);
    if (!mapped.ok()) std::fprintf(stderr, "%s\n", mapped.error().message().c_str());
    CHECK(mapped.ok());
    files_.push_back({name, std::make_unique<MappedFile>(std::move(*mapped))});
    return *files_.back().file;
  }

  /// A reader of the shard, as a renderer has one.
  [[nodiscard]] ShardReader<> reader(std::uint32_t shard) {
    const TableGeometry& geometry = segment_->geometry();
    const std::string name = "profiles-" + std::to_string(geometry.owner_of(shard));
    const auto& superblock = segment_->superblock();
    const HashSecret secret{{superblock.hash_secret[0], superblock.hash_secret[1]}};
    return {file(name).data() + geometry.shard_offset(shard), geometry, secret};
  }
  /// The current version of a profile (a block's bytes, as ProfileCopy wants them); empty when
  /// there is none.
  [[nodiscard]] std::vector<std::uint64_t> profile(const Key& key) {
    const TableGeometry& geometry = segment_->geometry();
    std::vector<std::uint64_t> words(geometry.block_bytes() / 8);
    ProfileCopy copy(words.data(), geometry);
    const ReadOutcome outcome = reader(shard_of(key, geometry.shard_count)).get(key, copy);
    if (outcome != ReadOutcome::kFound) words.clear();
    return words;
  }
  /// A process's counter by its full name; 0 when it is not there.
  [[nodiscard]] std::uint64_t counter(const std::string& process, std::string_view name) const {
    const Result<ProcessView> view = ProcessView::read(segment_->path("process-" + process));
    if (!view.ok()) return 0;
    for (const auto& counter : view->counters) {
      if (counter.name == name) return counter.value;
    }
    return 0;
  }

 private:
  struct NamedFile {
    std::string name;
    std::unique_ptr<MappedFile> file;
  };

  void create() {
    const Result<SegmentReport> report = create_segment(plan_);
    if (!report.ok()) std::fprintf(stderr, "%s\n", report.error().message().c_str());
    CHECK(report.ok());
    segment_directory_ = directory_ + "/deja-test";
    Result<Segment> opened = Segment::open(segment_directory_);
    if (!opened.ok()) std::fprintf(stderr, "%s\n", opened.error().message().c_str());
    CHECK(opened.ok());
    segment_ = std::make_unique<Segment>(std::move(*opened));
  }

  std::string directory_;
  std::string segment_directory_;
  SegmentPlan plan_;
  std::unique_ptr<Segment> segment_;
  std::vector<NamedFile> files_;
};

}  // namespace deja
