// An appliance's segment: made by the supervisor from a plan, opened by the service's processes.
// Renderers use libdeja instead, which needs libc alone. Start-up code; one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <capnp/serialize.h>

#include "shm/catalog.capnp.h"
#include "shm/mapped_file.h"
#include "shm/settings.capnp.h"
#include "shm/superblock.h"
#include "shm/table_geometry.h"

namespace deja {

/// A file beyond superblock, catalog, settings and profiles: what it is for is its writer's affair
/// (workers/segment_files.h lists them all).
struct SegmentFile {
  std::string name;
  std::uint64_t bytes = 0;
  Audience audience = Audience::kService;
  std::function<void(std::uint8_t* memory)> format;  ///< on zeroed memory; empty: stays zero
};

struct SegmentPlan {
  std::string directory;  ///< [appliance] directory, "/dev/shm"
  std::string appliance;
  std::uint64_t profiles_max = 0;
  std::uint32_t shard_count = 0;
  std::uint32_t worker_count = 0;
  std::uint32_t ingest_count = 0;
  std::uint32_t key_bytes = 0;
  std::uint32_t frame_bytes = 0;
  std::uint32_t reuse_blocks = kReuseBlocksDefault;
  std::uint64_t ring_bytes = 0;
  std::uint64_t log_bytes = 0;
  std::uint64_t return_bytes = 0;
  std::uint64_t verdict_bytes = 0;
  std::uint64_t dedup_window = 0;
  HugePages huge_pages = HugePages::kTry;
  std::string readers_group;           ///< empty: the service's own
  std::vector<std::uint8_t> catalog;   ///< a flat message, segment table included
  std::vector<std::uint8_t> settings;  ///< likewise
  std::vector<SegmentFile> files;
  std::vector<std::string> fifos;  ///< "bell-keeper.fifo": survive the incarnation

  [[nodiscard]] TableGeometry geometry() const {
    return TableGeometry::plan(profiles_max, shard_count, worker_count, key_bytes, frame_bytes);
  }
};

/// What creating a segment found out about the host, for a person.
struct SegmentReport {
  Placement placement;             ///< of the profile table
  std::vector<std::string> notes;  ///< "huge pages: 0 of 1.2 GiB given: shmem_enabled is never"
};

/// All files of a new incarnation, beside those of the one that is served, until it takes the name:
/// what can fail for want of memory fails before anything has to stop for it. The caller has made
/// sure that no other supervisor serves the name. Removes its files unless it took the name.
class NewSegment {
 public:
  /// `between` is called every MappedFile::kAllocatedAtOnce bytes: a large table takes minutes, in
  /// which a supervisor has others to look after.
  [[nodiscard]] static Result<NewSegment> make(
      const SegmentPlan& plan, const std::function<void()>& between = [] {});
  ~NewSegment();
  NewSegment(NewSegment&&) noexcept = default;
  NewSegment& operator=(NewSegment&&) = delete;

  [[nodiscard]] const SegmentReport& report() const { return report_; }

  /// Renames its superblock in, state kStarting. The old one keeps a name of its own, and its
  /// renderers go on with it.
  Status take_name();
  /// After take_name(): marks the old superblock superseded, so that its renderers attach again,
  /// and removes its files.
  void supersede_old();
  /// The superblock that had the name, nullptr: there was none.
  [[nodiscard]] MappedFile* old_superblock() { return old_superblock_.get(); }

 private:
  NewSegment() = default;
  Status fill(const SegmentPlan& plan, const std::function<void()>& between);
  std::string directory_;
  std::uint64_t incarnation_ = 0;
  gid_t readers_group_ = static_cast<gid_t>(-1);
  std::unique_ptr<MappedFile> old_superblock_;
  std::vector<std::string> paths_;  ///< made, and to be removed
  SegmentReport report_;
};

/// Makes a new incarnation that takes the name at once, and supersedes the old one. All or nothing:
/// on an error no new file is left.
[[nodiscard]] Result<SegmentReport> create_segment(const SegmentPlan& plan);

/// Removes the segment (state must be kStopped): the superblock, then the files of every
/// incarnation, the bells, the locks and, when it is empty then, the directory. Renderers that
/// still map them see kStopped.
Status remove_segment(const std::string& directory, const std::string& appliance);

/// Removes the files of one incarnation that is not served any more.
void remove_incarnation(const std::string& segment_directory, std::uint64_t incarnation);

/// Removes files of incarnations that no superblock names: half made, or not yet removed, by a
/// supervisor that was killed. Superblocks among them are marked superseded first: renderers may
/// have them mapped. The caller has the appliance's lock, as for the next.
void remove_strays(const std::string& segment_directory);

/// Where there is no superblock: removes strays, bells, locks and, when it is empty then, the
/// directory. The appliance's lock goes too: the caller ends.
void remove_directory(const std::string& segment_directory);

/// "profiles-<worker>": the part of the table that a worker owns.
[[nodiscard]] inline std::string profiles_file(std::uint32_t worker) {
  return "profiles-" + std::to_string(worker);
}

class Segment {
 public:
  /// Opens `segment_directory` ("/dev/shm/deja-shop") by its superblock; checks magic, versions and
  /// every count against the files.
  [[nodiscard]] static Result<Segment> open(const std::string& segment_directory);

  [[nodiscard]] const SuperblockLayout& superblock() const {
    return *superblock_.at<const SuperblockLayout>();
  }
  [[nodiscard]] const TableGeometry& geometry() const { return geometry_; }
  [[nodiscard]] schema::Catalog::Reader catalog() const;
  [[nodiscard]] schema::Settings::Reader settings() const;
  [[nodiscard]] std::span<const std::uint8_t> catalog_bytes() const;

  /// Path of a file of this incarnation: path("log-0").
  [[nodiscard]] std::string path(const std::string& name) const;
  /// Path without an incarnation, for FIFOs and sockets: stable_path("bell-keeper.fifo").
  [[nodiscard]] std::string stable_path(const std::string& name) const;
  /// Maps a file of this incarnation whole.
  [[nodiscard]] Result<MappedFile> map(const std::string& name, MappedFile::Mode mode) const;

  /// The supervisor's alone: maps the superblock for writing.
  [[nodiscard]] Result<MappedFile> map_superblock_for_writing() const;

 private:
  Segment(std::string directory, MappedFile superblock, MappedFile catalog, MappedFile settings);
  std::string directory_;
  MappedFile superblock_;
  MappedFile catalog_file_;
  MappedFile settings_file_;
  TableGeometry geometry_;
  std::unique_ptr<capnp::FlatArrayMessageReader> catalog_reader_;
  std::unique_ptr<capnp::FlatArrayMessageReader> settings_reader_;
};

}  // namespace deja
