#include "shm/segment.h"

#include <sys/stat.h>

#include "shm/catalog_check.h"
#include "shm/layout_hash.h"
#include "shm/segment_names.h"
#include "shm/table_layout.h"

namespace deja {
namespace {

/// What a superblock says, before anything is computed from it.
Status check_superblock(const SuperblockLayout& superblock, const std::string& path) {
  // SYNC(superblock.magic): may now read everything stored before it.
  if (superblock.magic.load(std::memory_order_acquire) != kSuperblockMagic) {
    return Error{path + " is not a superblock", 0, "Remove it and start the appliance again"};
  }
  if (superblock.layout_version != kLayoutVersion || superblock.layout_hash != layout_hash()) {
    return Error{path + " has another layout (version " +
                     std::to_string(superblock.layout_version) + ") than this program (" +
                     std::to_string(kLayoutVersion) + ")",
                 0, "Use programs of one build on one segment"};
  }
  return Done{};
}

TableGeometry geometry_of(const SuperblockLayout& superblock) {
  TableGeometry geometry;
  geometry.shard_count = superblock.shard_count;
  geometry.worker_count = superblock.worker_count;
  geometry.blocks_per_shard = superblock.blocks_per_shard;
  geometry.main_buckets = superblock.main_buckets;
  geometry.overflow_buckets = superblock.overflow_buckets;
  geometry.key_bytes = superblock.key_bytes;
  geometry.frame_bytes = superblock.frame_bytes;
  return geometry;
}

}  // namespace

Segment::Segment(std::string directory, MappedFile superblock, MappedFile catalog,
                 MappedFile settings)
    : directory_(std::move(directory)),
      superblock_(std::move(superblock)),
      catalog_file_(std::move(catalog)),
      settings_file_(std::move(settings)),
      geometry_(geometry_of(*superblock_.at<SuperblockLayout>())) {}

Result<Segment> Segment::open(const std::string& segment_directory) {
  const std::string path = segment_directory + "/" + kSuperblockFile;
  Result<MappedFile> superblock_file =
      MappedFile::open(path, MappedFile::Mode::kReadOnly, sizeof(SuperblockLayout));
  if (!superblock_file.ok()) {
    Error error = superblock_file.error();
    if (error.error_number == ENOENT) error.remedy = "Start it with: deja serve -c shop.toml";
    return error;
  }
  const auto& superblock = *superblock_file->at<const SuperblockLayout>();
  if (Status sane = check_superblock(superblock, path); !sane.ok()) return sane.error();
  const TableGeometry geometry = geometry_of(superblock);
  if (!geometry_is_sane(geometry) || superblock.ingest_count == 0 ||
      superblock.ingest_count > 1024) {
    return Error{path + " has counts that make no sense", 0,
                 "The segment is damaged: stop the appliance and start it again"};
  }
  const auto file_of = [&](const std::string& name, std::uint64_t bytes_min) {
    return MappedFile::open(
        segment_file(segment_directory.c_str(), name.c_str(), superblock.incarnation).text,
        MappedFile::Mode::kReadOnly, bytes_min);
  };
  for (std::uint32_t worker = 0; worker < geometry.worker_count; ++worker) {
    struct stat status {};
    const SegmentPath profiles = segment_file(
        segment_directory.c_str(), profiles_file(worker).c_str(), superblock.incarnation);
    if (stat(profiles.text, &status) != 0)
      return system_error(std::string("open ") + profiles.text);
    if (static_cast<std::uint64_t>(status.st_size) < geometry.file_bytes(worker)) {
      return Error{std::string(profiles.text) + " is shorter than its superblock says", 0,
                   "The segment is damaged: stop the appliance and start it again"};
    }
  }
  Result<MappedFile> catalog = file_of("catalog", superblock.catalog_bytes);
  if (!catalog.ok()) return catalog.error();
  Result<MappedFile> settings = file_of("settings", 8);
  if (!settings.ok()) return settings.error();

  Segment segment(segment_directory, std::move(*superblock_file), std::move(*catalog),
                  std::move(*settings));
  const auto words_of = [](const MappedFile& file) {
    return kj::ArrayPtr<const capnp::word>(file.at<const capnp::word>(),
                                           file.bytes() / sizeof(capnp::word));
  };
  const auto damaged = [&](const char* file, const std::string& what) {
    return Error{std::string("read the ") + file + " of " + segment_directory + ": " + what, 0,
                 "The segment is damaged: stop the appliance and start it again"};
  };
  try {
    capnp::ReaderOptions options;
    options.traversalLimitInWords = 1ULL << 40U;  // read again and again, and our own
    segment.catalog_reader_ =
        std::make_unique<capnp::FlatArrayMessageReader>(words_of(segment.catalog_file_), options);
    segment.settings_reader_ =
        std::make_unique<capnp::FlatArrayMessageReader>(words_of(segment.settings_file_), options);
    const Status catalog_read = check_readable(segment.catalog());
    if (!catalog_read.ok()) return damaged("catalog", catalog_read.error().operation);
    const Status settings_read = check_readable(segment.settings());
    if (!settings_read.ok()) return damaged("settings", settings_read.error().operation);
  } catch (const kj::Exception& damage) {
    return damaged("catalog and the settings", damage.getDescription().cStr());
  }
  return segment;
}

schema::Catalog::Reader Segment::catalog() const {
  return catalog_reader_->getRoot<schema::Catalog>();
}

schema::Settings::Reader Segment::settings() const {
  return settings_reader_->getRoot<schema::Settings>();
}

std::span<const std::uint8_t> Segment::catalog_bytes() const {
  return {catalog_file_.data(), superblock().catalog_bytes};
}

std::string Segment::path(const std::string& name) const {
  return segment_file(directory_.c_str(), name.c_str(), superblock().incarnation).text;
}

std::string Segment::stable_path(const std::string& name) const {
  return directory_ + "/" + name;
}

Result<MappedFile> Segment::map(const std::string& name, MappedFile::Mode mode) const {
  return MappedFile::open(path(name), mode);
}

Result<MappedFile> Segment::map_superblock_for_writing() const {
  return MappedFile::open(stable_path(kSuperblockFile), MappedFile::Mode::kReadWrite,
                          sizeof(SuperblockLayout));
}

}  // namespace deja
