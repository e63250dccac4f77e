// Making and replacing a segment: the supervisor's part of shm/segment.h.

#include "shm/segment.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string_view>

#include "shm/base/clock.h"
#include "shm/consumed_layout.h"
#include "shm/layout_hash.h"
#include "shm/process_file.h"
#include "shm/segment_names.h"

namespace deja {
namespace {

Result<gid_t> group_of(const std::string& name) {
  if (name.empty()) return static_cast<gid_t>(-1);
  const group* entry = getgrnam(name.c_str());
  if (entry == nullptr) {
    return Error{"look up the group '" + name + "'", 0,
                 "Create it (groupadd), or correct [appliance] readers_group"};
  }
  return entry->gr_gid;
}

/// Whoever may attach to the segment may look into its directory.
Status open_to_readers(const std::string& path, gid_t readers_group) {
  if (readers_group == static_cast<gid_t>(-1) ||
      chown(path.c_str(), static_cast<uid_t>(-1), readers_group) == 0) {
    return Done{};
  }
  return system_error("give " + path + " to the readers' group",
                      "The service's user must be a member of [appliance] readers_group");
}

Status make_directory(const std::string& path) {
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

}  // namespace

NewSegment::~NewSegment() {
  for (const std::string& path : paths_) unlink(path.c_str());
}

Result<NewSegment> NewSegment::make(const SegmentPlan& plan, const std::function<void()>& between) {
  NewSegment made;
  if (Status filled = made.fill(plan, between); !filled.ok()) return filled.error();
  return made;
}

Status NewSegment::fill(const SegmentPlan& plan, const std::function<void()>& between) {
  if (Status sane = check_plan(plan); !sane.ok()) return sane;
  const Result<gid_t> readers_group = group_of(plan.readers_group);
  if (!readers_group.ok()) return readers_group.error();
  directory_ = segment_directory(plan.directory.c_str(), plan.appliance.c_str()).text;
  if (directory_.empty()) {
    return Error{"the path of the segment is too long", 0,
                 "Choose a shorter [appliance] directory"};
  }
  readers_group_ = *readers_group;
  if (Status made = make_directory(directory_); !made.ok()) return made;

  const std::string superblock_path = directory_ + "/" + kSuperblockFile;
  if (access(superblock_path.c_str(), F_OK) == 0) {
    Result<MappedFile> mapped =
        MappedFile::open(superblock_path, MappedFile::Mode::kReadWrite, sizeof(SuperblockLayout));
    if (mapped.ok()) old_superblock_ = std::make_unique<MappedFile>(std::move(*mapped));
  }

  const TableGeometry geometry = plan.geometry();
  incarnation_ = static_cast<std::uint64_t>(wall_us());
  if (old_superblock_ != nullptr) {
    incarnation_ = std::max(incarnation_, old_superblock_->at<SuperblockLayout>()->incarnation + 1);
  }
  const auto create = [&](const std::string& name, std::uint64_t bytes, Audience audience,
                          HugePages huge_pages) -> Result<MappedFile> {
    MappedFile::Create options;
    options.path = segment_file(directory_.c_str(), name.c_str(), incarnation_).text;
    options.bytes = bytes;
    options.audience = audience;
    options.readers_group = *readers_group;
    options.huge_pages = huge_pages;
    options.between = between;
    Result<MappedFile> made = MappedFile::create(options);
    if (made.ok()) paths_.push_back(options.path);
    return made;
  };

  for (std::uint32_t worker = 0; worker < plan.worker_count; ++worker) {
    Result<MappedFile> file = create(profiles_file(worker), geometry.file_bytes(worker),
                                     Audience::kReaders, plan.huge_pages);
    if (!file.ok()) return file.error();
    const Placement placement = file->placement();
    report_.placement.bytes += placement.bytes;
    report_.placement.huge_bytes += placement.huge_bytes;
  }
  if (plan.huge_pages != HugePages::kOff) {
    const bool all = report_.placement.huge_bytes * 10 >= report_.placement.bytes * 9;
    report_.notes.push_back("huge pages: " + human_bytes(report_.placement.huge_bytes) + " of " +
                            human_bytes(report_.placement.bytes) + " given" +
                            (all ? "" : " (shmem_enabled is " + shmem_enabled() + ")"));
    if (plan.huge_pages == HugePages::kRequire && !all) {
      return Error{"huge_pages = \"require\": the kernel gave " +
                       human_bytes(report_.placement.huge_bytes) + " of " +
                       human_bytes(report_.placement.bytes) + " in huge pages",
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
    const std::string path = directory_ + "/" + name;
    if (mkfifo(path.c_str(), 0600) != 0 && errno != EEXIST) {
      return system_error("create the FIFO " + path);
    }
  }

  Result<MappedFile> superblock =
      create(kSuperblockFile, sizeof(SuperblockLayout), Audience::kReaders, HugePages::kOff);
  if (!superblock.ok()) return superblock.error();
  fill_superblock(*superblock->at<SuperblockLayout>(), plan, geometry, incarnation_);
  return Done{};
}

Status NewSegment::take_name() {
  if (Status opened = open_to_readers(directory_, readers_group_); !opened.ok()) return opened;
  const std::string name = directory_ + "/" + kSuperblockFile;
  // Whoever is killed between here and supersede_old() leaves it to remove_strays() to tell the
  // renderers that have the old one mapped.
  if (old_superblock_ != nullptr) {
    const std::uint64_t old_incarnation = old_superblock_->at<SuperblockLayout>()->incarnation;
    const std::string kept =
        segment_file(directory_.c_str(), kSuperblockFile, old_incarnation).text;
    if (link(name.c_str(), kept.c_str()) != 0 && errno != EEXIST) {
      return system_error("keep the old superblock as " + kept);
    }
  }
  const std::string made = segment_file(directory_.c_str(), kSuperblockFile, incarnation_).text;
  if (rename(made.c_str(), name.c_str()) != 0) {
    return system_error("rename the new superblock to " + name);
  }
  paths_.clear();
  return Done{};
}

void NewSegment::supersede_old() {
  if (old_superblock_ == nullptr) return;
  auto* superblock = old_superblock_->at<SuperblockLayout>();
  superblock->state.store(SegmentState::kSuperseded, std::memory_order_release);
  remove_incarnation(directory_, superblock->incarnation);
  old_superblock_.reset();
}

Result<SegmentReport> create_segment(const SegmentPlan& plan) {
  auto made = NewSegment::make(plan);
  if (!made.ok()) return made.error();
  if (Status named = made->take_name(); !named.ok()) return named.error();
  made->supersede_old();
  return made->report();
}

}  // namespace deja
