#include "shm/segment.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "shm/base/clock.h"
#include "shm/consumed_layout.h"
#include "shm/layout_hash.h"
#include "shm/process_file.h"
#include "shm/segment_names.h"

namespace deja {
namespace {

constexpr const char* kSuperblockName = "superblock";

std::string profiles_name(std::uint32_t worker) {
  return "profiles-" + std::to_string(worker);
}

/// Removes what it was told of unless told that all went well.
class Undo {
 public:
  ~Undo() {
    for (const std::string& path : paths_) unlink(path.c_str());
  }
  void add(std::string path) { paths_.push_back(std::move(path)); }
  void keep_all() { paths_.clear(); }

 private:
  std::vector<std::string> paths_;
};

Result<gid_t> group_of(const std::string& name) {
  if (name.empty()) return static_cast<gid_t>(-1);
  const group* entry = getgrnam(name.c_str());
  if (entry == nullptr) {
    return Error{"look up the group '" + name + "'", 0,
                 "Create it (groupadd), or correct [appliance] readers_group"};
  }
  return entry->gr_gid;
}

Status make_directory(const std::string& path, gid_t readers_group) {
  if (mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) {
    return system_error("create the directory " + path,
                        "Choose an [appliance] directory that the service may write to");
  }
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return system_error("look at " + path);
  // In a directory that everybody may write to, somebody else's is a trap.
  if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid()) {
    return Error{path + " is not a directory of this user", 0,
                 "Remove it, or run as the user that made it"};
  }
  if (chmod(path.c_str(), 0750) != 0) return system_error("set the rights of " + path);
  if (readers_group != static_cast<gid_t>(-1) &&
      chown(path.c_str(), static_cast<uid_t>(-1), readers_group) != 0) {
    return system_error("give " + path + " to the readers' group",
                        "The service's user must be a member of [appliance] readers_group");
  }
  return Done{};
}

/// 16 bytes that tell this boot from others: a segment on disk may outlive the host's memory.
void read_boot_id(std::uint8_t* into) {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string text;
  file >> text;
  unsigned at = 0;
  int high = -1;
  for (const char c : text) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : (c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1);
    if (digit < 0) continue;
    if (high < 0) {
      high = digit;
    } else if (at < 16) {
      into[at++] = static_cast<std::uint8_t>(high * 16 + digit);
      high = -1;
    }
  }
}

std::uint64_t hash_bytes(const std::vector<std::uint8_t>& bytes) {
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a: to tell catalogs apart, nothing more
  for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 1099511628211ULL;
  return hash;
}

/// Files of `directory` whose name ends in ".<incarnation>".
std::vector<std::string> files_of(const std::string& directory, std::uint64_t incarnation) {
  std::vector<std::string> paths;
  const std::string ending = "." + std::to_string(incarnation);
  DIR* open_directory = opendir(directory.c_str());
  if (open_directory == nullptr) return paths;
  while (const dirent* entry = readdir(open_directory)) {
    const std::string_view name = entry->d_name;
    if (name.size() > ending.size() && name.ends_with(ending)) {
      paths.push_back(directory + "/" + std::string(name));
    }
  }
  closedir(open_directory);
  return paths;
}

std::string human_bytes(std::uint64_t bytes) {
  char text[32];
  if (bytes >= (1ULL << 30U)) {
    std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(bytes) / (1ULL << 30U));
  } else {
    std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1ULL << 20U));
  }
  return text;
}

std::string shmem_enabled() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
  std::string text;
  std::getline(file, text);
  const auto begin = text.find('[');
  const auto end = text.find(']');
  if (begin == std::string::npos || end == std::string::npos) return "unknown";
  return text.substr(begin + 1, end - begin - 1);
}

void fill_superblock(SuperblockLayout& superblock, const SegmentPlan& plan,
                     const TableGeometry& geometry, std::uint64_t incarnation) {
  superblock.layout_version = kLayoutVersion;
  superblock.layout_hash = layout_hash();
  superblock.incarnation = incarnation;
  read_boot_id(superblock.boot_id);
  superblock.created_us = wall_us();
  superblock.supervisor_pid = getpid();
  CHECK(getrandom(superblock.hash_secret, sizeof superblock.hash_secret, 0) ==
        static_cast<ssize_t>(sizeof superblock.hash_secret));
  superblock.catalog_hash = hash_bytes(plan.catalog);
  superblock.catalog_bytes = plan.catalog.size();
  superblock.ingest_count = plan.ingest_count;
  superblock.worker_count = plan.worker_count;
  superblock.shard_count = plan.shard_count;
  superblock.shard_function = ShardFunction::kMurmur2;
  superblock.blocks_per_shard = geometry.blocks_per_shard;
  superblock.main_buckets = geometry.main_buckets;
  superblock.overflow_buckets = geometry.overflow_buckets;
  superblock.key_bytes = plan.key_bytes;
  superblock.frame_bytes = plan.frame_bytes;
  superblock.reuse_blocks = plan.reuse_blocks;
  superblock.ring_bytes = plan.ring_bytes;
  superblock.log_bytes = plan.log_bytes;
  superblock.return_bytes = plan.return_bytes;
  superblock.verdict_bytes = plan.verdict_bytes;
  superblock.dedup_window = plan.dedup_window;
  std::memcpy(superblock.appliance, plan.appliance.data(),
              std::min(plan.appliance.size(), sizeof superblock.appliance - 1));
  superblock.state.store(SegmentState::kStarting, std::memory_order_relaxed);
  superblock.heartbeat_us.store(superblock.created_us, std::memory_order_relaxed);
  // SYNC(superblock.magic): publishes everything above.
  superblock.magic.store(kSuperblockMagic, std::memory_order_release);
}

Status check_plan(const SegmentPlan& plan) {
  if (plan.appliance.empty() || plan.appliance.size() >= sizeof(SuperblockLayout::appliance)) {
    return Error{"the appliance's name '" + plan.appliance + "' is not 1 to 39 bytes long", 0,
                 "Correct [appliance] name"};
  }
  if (!geometry_is_sane(plan.geometry()) || plan.worker_count > plan.shard_count) {
    return Error{"the table's sizes make no sense together", 0,
                 "There must be at least as many shards as workers, and at least one profile"};
  }
  return Done{};
}

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

/// The previous incarnation of the name steps down: its readers see it, its files go.
void supersede(const std::string& directory, const MappedFile& old_superblock) {
  auto* superblock = old_superblock.at<SuperblockLayout>();
  superblock->state.store(SegmentState::kSuperseded, std::memory_order_release);
  for (const std::string& path : files_of(directory, superblock->incarnation)) {
    unlink(path.c_str());
  }
}

}  // namespace

Result<SegmentReport> create_segment(const SegmentPlan& plan) {
  if (Status sane = check_plan(plan); !sane.ok()) return sane.error();
  const Result<gid_t> readers_group = group_of(plan.readers_group);
  if (!readers_group.ok()) return readers_group.error();
  const std::string directory =
      segment_directory(plan.directory.c_str(), plan.appliance.c_str()).text;
  if (directory.empty()) {
    return Error{"the path of the segment is too long", 0,
                 "Choose a shorter [appliance] directory"};
  }
  if (Status made = make_directory(directory, *readers_group); !made.ok()) return made.error();

  const std::string superblock_path = directory + "/" + kSuperblockName;
  std::unique_ptr<MappedFile> old_superblock;
  if (access(superblock_path.c_str(), F_OK) == 0) {
    Result<MappedFile> mapped =
        MappedFile::open(superblock_path, MappedFile::Mode::kReadWrite, sizeof(SuperblockLayout));
    if (mapped.ok()) old_superblock = std::make_unique<MappedFile>(std::move(*mapped));
  }

  const TableGeometry geometry = plan.geometry();
  auto incarnation = static_cast<std::uint64_t>(wall_us());
  if (old_superblock != nullptr) {
    incarnation = std::max(incarnation, old_superblock->at<SuperblockLayout>()->incarnation + 1);
  }
  SegmentReport report;
  Undo undo;
  const auto create = [&](const std::string& name, std::uint64_t bytes, Audience audience,
                          HugePages huge_pages) -> Result<MappedFile> {
    MappedFile::Create options;
    options.path = segment_file(directory.c_str(), name.c_str(), incarnation).text;
    options.bytes = bytes;
    options.audience = audience;
    options.readers_group = *readers_group;
    options.huge_pages = huge_pages;
    Result<MappedFile> made = MappedFile::create(options);
    if (made.ok()) undo.add(options.path);
    return made;
  };

  for (std::uint32_t worker = 0; worker < plan.worker_count; ++worker) {
    Result<MappedFile> file = create(profiles_name(worker), geometry.file_bytes(worker),
                                     Audience::kReaders, plan.huge_pages);
    if (!file.ok()) return file.error();
    const Placement placement = file->placement();
    report.placement.bytes += placement.bytes;
    report.placement.huge_bytes += placement.huge_bytes;
  }
  if (plan.huge_pages != HugePages::kOff) {
    const bool all = report.placement.huge_bytes * 10 >= report.placement.bytes * 9;
    report.notes.push_back("huge pages: " + human_bytes(report.placement.huge_bytes) + " of " +
                           human_bytes(report.placement.bytes) + " given" +
                           (all ? "" : " (shmem_enabled is " + shmem_enabled() + ")"));
    if (plan.huge_pages == HugePages::kRequire && !all) {
      return Error{"huge_pages = \"require\": the kernel gave " +
                       human_bytes(report.placement.huge_bytes) + " of " +
                       human_bytes(report.placement.bytes) + " in huge pages",
                   0,
                   "Set /sys/kernel/mm/transparent_hugepage/shmem_enabled to advise, or point "
                   "[appliance] directory to a hugetlbfs mount, or use huge_pages = \"try\""};
    }
  }
  for (const auto& [name, bytes, audience] :
       {std::tuple{"catalog", &plan.catalog, Audience::kReaders},
        std::tuple{"settings", &plan.settings, Audience::kService}}) {
    Result<MappedFile> file = create(name, bytes->size(), audience, HugePages::kOff);
    if (!file.ok()) return file.error();
    std::memcpy(file->data(), bytes->data(), bytes->size());
  }
  for (const SegmentFile& planned : plan.files) {
    Result<MappedFile> file =
        create(planned.name, planned.bytes, planned.audience, HugePages::kOff);
    if (!file.ok()) return file.error();
    if (planned.format) planned.format(file->data());
  }
  for (const std::string& name : plan.fifos) {
    const std::string path = directory + "/" + name;
    if (mkfifo(path.c_str(), 0600) != 0 && errno != EEXIST) {
      return system_error("create the FIFO " + path);
    }
  }

  Result<MappedFile> superblock =
      create(kSuperblockName, sizeof(SuperblockLayout), Audience::kReaders, HugePages::kOff);
  if (!superblock.ok()) return superblock.error();
  fill_superblock(*superblock->at<SuperblockLayout>(), plan, geometry, incarnation);
  const std::string made_path = segment_file(directory.c_str(), kSuperblockName, incarnation).text;
  if (rename(made_path.c_str(), superblock_path.c_str()) != 0) {
    return system_error("rename the new superblock to " + superblock_path);
  }
  undo.keep_all();
  if (old_superblock != nullptr) supersede(directory, *old_superblock);
  return report;
}

Status remove_segment(const std::string& directory, const std::string& appliance) {
  const std::string segment = segment_directory(directory.c_str(), appliance.c_str()).text;
  Result<Segment> opened = Segment::open(segment);
  if (!opened.ok()) return opened.error();
  for (const std::string& path : files_of(segment, opened->superblock().incarnation)) {
    unlink(path.c_str());
  }
  unlink((segment + "/" + kSuperblockName).c_str());
  if (DIR* open_directory = opendir(segment.c_str())) {
    while (const dirent* entry = readdir(open_directory)) {
      const std::string_view name = entry->d_name;
      if (name.ends_with(".fifo") || name.ends_with(".lock")) {
        unlink((segment + "/" + std::string(name)).c_str());
      }
    }
    closedir(open_directory);
  }
  // What is not ours keeps the directory, and that is right.
  rmdir(segment.c_str());
  return Done{};
}

Segment::Segment(std::string directory, MappedFile superblock, MappedFile catalog,
                 MappedFile settings)
    : directory_(std::move(directory)),
      superblock_(std::move(superblock)),
      catalog_file_(std::move(catalog)),
      settings_file_(std::move(settings)),
      geometry_(geometry_of(*superblock_.at<SuperblockLayout>())) {}

Result<Segment> Segment::open(const std::string& segment_directory) {
  const std::string path = segment_directory + "/" + kSuperblockName;
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
        segment_directory.c_str(), profiles_name(worker).c_str(), superblock.incarnation);
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
  try {
    capnp::ReaderOptions options;
    options.traversalLimitInWords = 1ULL << 40U;  // read again and again, and our own
    segment.catalog_reader_ =
        std::make_unique<capnp::FlatArrayMessageReader>(words_of(segment.catalog_file_), options);
    segment.settings_reader_ =
        std::make_unique<capnp::FlatArrayMessageReader>(words_of(segment.settings_file_), options);
    (void)segment.catalog().getFeatures();
    (void)segment.settings().getAppliance();
  } catch (const kj::Exception& damage) {
    return Error{"read the catalog of " + segment_directory + ": " + damage.getDescription().cStr(),
                 0, "The segment is damaged: stop the appliance and start it again"};
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
  return MappedFile::open(stable_path(kSuperblockName), MappedFile::Mode::kReadWrite,
                          sizeof(SuperblockLayout));
}

}  // namespace deja
