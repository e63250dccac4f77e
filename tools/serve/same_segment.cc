#include "tools/serve/same_segment.h"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <span>

#include "shm/segment_names.h"

namespace deja {
namespace {

/// Files are whole pages: what was written, and then zeros.
bool begins_with(std::span<const std::uint8_t> file, std::span<const std::uint8_t> bytes) {
  return file.size() >= bytes.size() && std::equal(bytes.begin(), bytes.end(), file.begin()) &&
         std::all_of(file.begin() + static_cast<std::ptrdiff_t>(bytes.size()), file.end(),
                     [](std::uint8_t byte) { return byte == 0; });
}

bool has_settings(const Segment& segment, const SegmentPlan& plan) {
  auto file = segment.map("settings", MappedFile::Mode::kReadOnly);
  return file.ok() && begins_with({file->data(), file->bytes()}, plan.settings);
}

bool has_files(const Segment& segment, const SegmentPlan& plan) {
  struct stat status {};
  for (const SegmentFile& file : plan.files) {
    if (stat(segment.path(file.name).c_str(), &status) != 0 ||
        static_cast<std::uint64_t>(status.st_size) < file.bytes) {
      return false;
    }
  }
  return std::all_of(plan.fifos.begin(), plan.fifos.end(), [&](const std::string& name) {
    return stat(segment.stable_path(name).c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
  });
}

bool has_group(const Segment& segment, const std::string& readers_group) {
  gid_t wanted = getegid();
  if (!readers_group.empty()) {
    const group* entry = getgrnam(readers_group.c_str());
    if (entry == nullptr) return false;
    wanted = entry->gr_gid;
  }
  struct stat status {};
  return stat(segment.stable_path(kSuperblockFile).c_str(), &status) == 0 &&
         status.st_gid == wanted;
}

}  // namespace

std::string what_differs(const SegmentPlan& plan, const Segment& segment) {
  const SuperblockLayout& superblock = segment.superblock();
  const TableGeometry planned = plan.geometry();
  const TableGeometry& found = segment.geometry();
  const std::span<const std::uint8_t> catalog = segment.catalog_bytes();
  if (superblock.shard_count != plan.shard_count) return "the count of shards";
  if (superblock.worker_count != plan.worker_count) return "the count of workers";
  if (superblock.ingest_count != plan.ingest_count) return "the count of ingest threads";
  if (!std::equal(catalog.begin(), catalog.end(), plan.catalog.begin(), plan.catalog.end())) {
    return "events or features";
  }
  if (found.blocks_per_shard != planned.blocks_per_shard ||
      found.main_buckets != planned.main_buckets ||
      found.overflow_buckets != planned.overflow_buckets || found.key_bytes != planned.key_bytes ||
      found.frame_bytes != planned.frame_bytes || superblock.reuse_blocks != plan.reuse_blocks) {
    return "the size of the profile table";
  }
  if (superblock.ring_bytes != plan.ring_bytes || superblock.log_bytes != plan.log_bytes ||
      superblock.return_bytes != plan.return_bytes ||
      superblock.verdict_bytes != plan.verdict_bytes ||
      superblock.dedup_window != plan.dedup_window || !has_files(segment, plan)) {
    return "a size";
  }
  if (!has_settings(segment, plan)) return "a setting";
  if (!has_group(segment, plan.readers_group)) return "the readers' group";
  return {};
}

}  // namespace deja
