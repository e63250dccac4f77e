#include "shm/mapped_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "shm/base/cache_line.h"

namespace deja {
namespace {

namespace interprocess = boost::interprocess;

/// A descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int number() const { return number_; }

 private:
  int number_;
};

/// The unit in which the file system gives memory: files are multiples of it.
std::uint64_t page_bytes_of(int descriptor) {
  struct statfs system {};
  if (fstatfs(descriptor, &system) == 0 && system.f_type == HUGETLBFS_MAGIC) {
    return static_cast<std::uint64_t>(system.f_bsize);
  }
  return static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::string mib(std::uint64_t bytes) {
  return std::to_string((bytes + (1U << 20U) - 1) >> 20U) + " MiB";
}

/// Allocates before anything is mapped: a shortage is found here and not as SIGBUS.
Status allocate(int descriptor, const MappedFile::Create& options, std::uint64_t bytes) {
  // Not found out by taking all there is first; a file system without a limit of its own says 0.
  struct statvfs room {};
  int error = fstatvfs(descriptor, &room) != 0 ? errno : 0;
  if (error == 0 && room.f_blocks != 0 && room.f_bavail < bytes / room.f_frsize) error = ENOSPC;
  for (std::uint64_t at = 0; at < bytes && error == 0; at += MappedFile::kAllocatedAtOnce) {
    const std::uint64_t part = std::min(MappedFile::kAllocatedAtOnce, bytes - at);
    error = posix_fallocate(descriptor, static_cast<off_t>(at), static_cast<off_t>(part));
    options.between();
  }
  if (error == 0) return Done{};
  return Error{"allocate " + mib(bytes) + " for " + options.path, error,
               error == ENOSPC || error == ENOMEM
                   ? "Lower [appliance] profiles, or give the file system of its directory more "
                     "room (for /dev/shm: mount -o remount,size=…)"
                   : "Choose an [appliance] directory on tmpfs or hugetlbfs"};
}

Status set_rights(int descriptor, const MappedFile::Create& options) {
  const mode_t mode = options.audience == Audience::kReaders ? 0640 : 0600;
  // fchmod, since open's mode is subject to the umask.
  if (fchmod(descriptor, mode) != 0) return system_error("set the rights of " + options.path);
  if (options.audience == Audience::kReaders && options.readers_group != static_cast<gid_t>(-1) &&
      fchown(descriptor, static_cast<uid_t>(-1), options.readers_group) != 0) {
    return system_error("give " + options.path + " to the readers' group",
                        "The service's user must be a member of [appliance] readers_group");
  }
  return Done{};
}

/// Touches every page now, so that no first touch happens on the way of an event.
void prefault(std::uint8_t* data, std::uint64_t bytes) {
#ifdef MADV_POPULATE_WRITE
  if (madvise(data, bytes, MADV_POPULATE_WRITE) == 0) return;
#endif
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  for (std::uint64_t at = 0; at < bytes; at += page) {
    auto* byte = const_cast<volatile std::uint8_t*>(data + at);
    *byte = 0;
  }
}

}  // namespace

struct MappedFile::Mapping {
  interprocess::mapped_region region;
};

MappedFile::MappedFile() = default;
MappedFile::MappedFile(MappedFile&& other) noexcept
    : mapping_(std::move(other.mapping_)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}
MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  mapping_ = std::move(other.mapping_);
  data_ = std::exchange(other.data_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}
MappedFile::~MappedFile() = default;

Result<MappedFile> MappedFile::create(const Create& options) {
  {
    const Descriptor file(
        ::open(options.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file.number() < 0) return system_error("create " + options.path);
    const std::uint64_t bytes = round_up(options.bytes, page_bytes_of(file.number()));
    Status made = set_rights(file.number(), options);
    if (made.ok()) made = allocate(file.number(), options, bytes);
    if (!made.ok()) {
      unlink(options.path.c_str());
      return made.error();
    }
  }
  Result<MappedFile> mapped = open(options.path, Mode::kReadWrite, options.bytes);
  if (!mapped.ok()) {
    unlink(options.path.c_str());
    return mapped;
  }
  if (options.huge_pages != HugePages::kOff) {
    // Whether this does anything depends on shmem_enabled: placement() looks at what was given.
    (void)madvise(mapped->data_, mapped->bytes_, MADV_HUGEPAGE);
  }
  for (std::uint64_t at = 0; at < mapped->bytes_; at += kAllocatedAtOnce) {
    prefault(mapped->data_ + at, std::min(kAllocatedAtOnce, mapped->bytes_ - at));
    options.between();
  }
  return mapped;
}

Result<MappedFile> MappedFile::open(const std::string& path, Mode mode, std::uint64_t bytes_min) {
  const bool writable = mode == Mode::kReadWrite;
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return system_error("open " + path);
  if (!S_ISREG(status.st_mode)) return Error{"open " + path + ": not a regular file", 0, {}};
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  if (bytes == 0 || bytes < bytes_min) {
    return Error{"open " + path + ": " + std::to_string(bytes) + " bytes where at least " +
                     std::to_string(bytes_min) + " belong",
                 0, "The segment is damaged: stop the appliance and start it again"};
  }
  try {
    const auto access = writable ? interprocess::read_write : interprocess::read_only;
    const interprocess::file_mapping file(path.c_str(), access);
    MappedFile mapped;
    mapped.mapping_ =
        std::make_unique<Mapping>(Mapping{interprocess::mapped_region(file, access, 0, bytes)});
    mapped.data_ = static_cast<std::uint8_t*>(mapped.mapping_->region.get_address());
    mapped.bytes_ = bytes;
    return mapped;
  } catch (const interprocess::interprocess_exception& failure) {
    return Error{"map " + path, failure.get_native_error(),
                 "Check the file's rights, and that memory for it is left"};
  }
}

int MappedFile::lock_memory() const {
  return mlock(data_, bytes_) == 0 ? 0 : errno;
}

Placement MappedFile::placement() const {
  Placement placement;
  placement.bytes = bytes_;
  std::FILE* smaps = std::fopen("/proc/self/smaps", "re");
  if (smaps == nullptr) return placement;
  char line[512];
  bool ours = false;
  while (std::fgets(line, sizeof line, smaps) != nullptr) {
    unsigned long begin = 0;
    unsigned long end = 0;
    char dash = 0;
    unsigned long kib = 0;
    char field[64];
    if (std::sscanf(line, "%lx%c%lx ", &begin, &dash, &end) == 3 && dash == '-') {
      const auto address = reinterpret_cast<unsigned long>(data_);
      ours = begin < address + bytes_ && end > address;
    } else if (ours && std::sscanf(line, "%63[^:]: %lu kB", field, &kib) == 2) {
      if (std::strcmp(field, "ShmemPmdMapped") == 0 || std::strcmp(field, "FilePmdMapped") == 0 ||
          std::strcmp(field, "Shared_Hugetlb") == 0 || std::strcmp(field, "Private_Hugetlb") == 0) {
        placement.huge_bytes += std::uint64_t{kib} * 1024;
      } else if (std::strcmp(field, "Locked") == 0) {
        placement.locked_bytes += std::uint64_t{kib} * 1024;
      }
    }
  }
  std::fclose(smaps);
  return placement;
}

}  // namespace deja
