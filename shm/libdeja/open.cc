// Attaching: superblock first, then everything that it names, each count checked against the size
// of its file before it is used. System calls and malloc happen here and nowhere else.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <new>

#include "shm/layout_hash.h"
#include "shm/libdeja/handle.h"

namespace deja::libdeja {
namespace {

constexpr std::uint64_t kCatalogBytesMax = std::uint64_t{64} << 20U;
constexpr std::uint32_t kWorkersMax = 4096;
constexpr int kOpenAttempts = 100;

deja_status status_of_errno(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return DEJA_ABSENT;
    case EACCES:
    case EPERM:
      return DEJA_DENIED;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
      return DEJA_RESOURCES;
    default:
      return DEJA_DAMAGED;
  }
}

void unmap(Mapping& mapping) {
  if (mapping.data != nullptr) munmap(const_cast<std::byte*>(mapping.data), mapping.bytes);
  mapping = Mapping{};
}

deja_status map_file(const char* path, std::uint64_t bytes_min, Mapping& mapping) {
  if (path[0] == '\0') return DEJA_MISUSE;
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return status_of_errno(errno);
  struct stat facts {};
  deja_status status = DEJA_DAMAGED;
  if (fstat(file, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_size > 0 &&
      static_cast<std::uint64_t>(facts.st_size) >= bytes_min) {
    const auto bytes = static_cast<std::size_t>(facts.st_size);
    void* memory = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) {
      status = status_of_errno(errno);
    } else {
      mapping = {static_cast<const std::byte*>(memory), bytes};
      status = DEJA_OK;
    }
  }
  close(file);
  return status;
}

void detach(Attachment& attachment) {
  unmap(attachment.superblock);
  for (std::uint32_t worker = 0; worker < attachment.geometry.worker_count; ++worker) {
    if (attachment.profiles != nullptr) unmap(attachment.profiles[worker]);
    if (attachment.consumed != nullptr) unmap(attachment.consumed[worker]);
  }
  std::free(attachment.profiles);
  std::free(attachment.consumed);
  std::free(attachment.shards);
  std::free(attachment.catalog);
  std::free(attachment.features);
  attachment = Attachment{};
}

/// Copies what a reader needs of the superblock and checks it for itself.
deja_status check_superblock(Attachment& into) {
  const SuperblockLayout& header = into.header();
  // SYNC(superblock.magic): everything else in there was stored before.
  const std::uint64_t magic = header.magic.load(std::memory_order_acquire);
  if (magic == 0) return DEJA_ABSENT;  // still being made
  if (magic != kSuperblockMagic) return DEJA_DAMAGED;
  if (header.layout_version > kLayoutVersion) return DEJA_NEWER;
  if (header.layout_version != kLayoutVersion || header.layout_hash != layout_hash() ||
      header.shard_function != ShardFunction::kMurmur2) {
    return DEJA_DAMAGED;
  }
  if (into.ended()) return DEJA_STALE;
  TableGeometry geometry;
  geometry.shard_count = header.shard_count;
  geometry.worker_count = header.worker_count;
  geometry.blocks_per_shard = header.blocks_per_shard;
  geometry.main_buckets = header.main_buckets;
  geometry.overflow_buckets = header.overflow_buckets;
  geometry.key_bytes = header.key_bytes;
  geometry.frame_bytes = header.frame_bytes;
  if (!geometry_is_sane(geometry) || geometry.worker_count > kWorkersMax ||
      header.incarnation == 0 || header.ingest_count == 0 || header.ingest_count > kWorkersMax) {
    return DEJA_DAMAGED;
  }
  into.geometry = geometry;
  into.ingest_count = header.ingest_count;
  into.incarnation = header.incarnation;
  into.secret = {{header.hash_secret[0], header.hash_secret[1]}};
  return DEJA_OK;
}

deja_status attach_catalog(const char* directory, Attachment& into) {
  const std::uint64_t bytes = into.header().catalog_bytes;
  if (bytes == 0 || bytes > kCatalogBytesMax) return DEJA_DAMAGED;
  Mapping file;
  const deja_status status =
      map_file(segment_file(directory, "catalog", into.incarnation).text, bytes, file);
  if (status != DEJA_OK) return status;
  // A copy: what was checked can't change afterwards.
  into.catalog = static_cast<char*>(std::malloc(bytes));
  if (into.catalog != nullptr) std::memcpy(into.catalog, file.data, bytes);
  unmap(file);
  bool no_memory = into.catalog == nullptr;
  if (!no_memory &&
      read_catalog(into.catalog, bytes, into.geometry.frame_bytes, into, &no_memory)) {
    return DEJA_OK;
  }
  // The attachment owns the copy, whatever comes of it: NOLINTNEXTLINE(clang-analyzer-unix.Malloc)
  return no_memory ? DEJA_RESOURCES : DEJA_DAMAGED;
}

deja_status attach_worker(const char* directory, std::uint32_t worker, Attachment& into) {
  char name[32];
  std::snprintf(name, sizeof name, "profiles-%u", worker);
  const TableGeometry& geometry = into.geometry;
  Mapping& profiles = into.profiles[worker];
  deja_status status = map_file(segment_file(directory, name, into.incarnation).text, 1, profiles);
  if (status != DEJA_OK) return status;
  // Divided and not multiplied: nothing here can overflow.
  if (geometry.shard_bytes() > profiles.bytes / geometry.shards_of(worker)) return DEJA_DAMAGED;

  std::snprintf(name, sizeof name, "consumed-%u", worker);
  Mapping& consumed = into.consumed[worker];
  status = map_file(segment_file(directory, name, into.incarnation).text,
                    consumed_file_bytes(into.ingest_count), consumed);
  return status;
}

deja_status attach_once(const char* directory, Attachment& into) {
  char path[kPathBytesMax];
  const int size = std::snprintf(path, sizeof path, "%s/superblock", directory);
  if (size < 0 || static_cast<std::size_t>(size) >= sizeof path) return DEJA_MISUSE;
  deja_status status = map_file(path, sizeof(SuperblockLayout), into.superblock);
  if (status == DEJA_OK) status = check_superblock(into);
  if (status == DEJA_OK) status = attach_catalog(directory, into);
  if (status != DEJA_OK) return status;

  const TableGeometry& geometry = into.geometry;
  into.profiles = static_cast<Mapping*>(std::calloc(geometry.worker_count, sizeof(Mapping)));
  into.consumed = static_cast<Mapping*>(std::calloc(geometry.worker_count, sizeof(Mapping)));
  into.shards =
      static_cast<const std::byte**>(std::calloc(geometry.shard_count, sizeof(std::byte*)));
  if (into.profiles == nullptr || into.consumed == nullptr || into.shards == nullptr) {
    return DEJA_RESOURCES;
  }
  for (std::uint32_t worker = 0; worker < geometry.worker_count; ++worker) {
    status = attach_worker(directory, worker, into);
    if (status != DEJA_OK) return status;
  }
  for (std::uint32_t shard = 0; shard < geometry.shard_count; ++shard) {
    into.shards[shard] =
        into.profiles[geometry.owner_of(shard)].data + geometry.shard_offset(shard);
  }
  return DEJA_OK;
}

/// A file missing behind a good superblock means that a newer one is just being renamed in.
deja_status attach(const char* directory, int attempts, Attachment& into) {
  for (int attempt = 1;; ++attempt) {
    const deja_status status = attach_once(directory, into);
    if (status == DEJA_OK) return DEJA_OK;
    const bool on_its_way =
        into.superblock.data != nullptr && (status == DEJA_ABSENT || status == DEJA_STALE);
    detach(into);
    if (!on_its_way) return status;
    if (attempt == attempts) return DEJA_ABSENT;
    const timespec nap{0, 1'000'000};
    nanosleep(&nap, nullptr);
  }
}

deja_status attach_appliance(const deja_appliance& appliance, int attempts, Attachment& into) {
  const SegmentPath directory = segment_directory(appliance.directory, appliance.name);
  return directory.text[0] == '\0' ? DEJA_MISUSE : attach(directory.text, attempts, into);
}

bool copy_text(const char* from, char* into, std::size_t capacity) {
  const std::size_t size = strnlen(from, capacity);
  if (size == 0 || size == capacity) return false;
  std::memcpy(into, from, size + 1);
  return true;
}

}  // namespace
}  // namespace deja::libdeja

using namespace deja::libdeja;

deja_status deja_open(const char* name, const char* directory, deja_appliance** appliance) {
  if (appliance == nullptr) return DEJA_MISUSE;
  *appliance = nullptr;
  if (name == nullptr) return DEJA_MISUSE;
  void* memory = std::calloc(1, sizeof(deja_appliance));
  if (memory == nullptr) return DEJA_RESOURCES;
  auto* opened = new (memory) deja_appliance();
  deja_status status = DEJA_MISUSE;
  if (copy_text(name, opened->name, sizeof opened->name) &&
      copy_text(directory == nullptr ? "/dev/shm" : directory, opened->directory,
                sizeof opened->directory) &&
      std::strchr(name, '/') == nullptr) {
    status = attach_appliance(*opened, kOpenAttempts, opened->attachment);
  }
  if (status != DEJA_OK) {
    std::free(opened);
    return status;
  }
  *appliance = opened;
  return DEJA_OK;
}

void deja_close(deja_appliance* appliance) {
  if (appliance == nullptr) return;
  detach(appliance->attachment);
  std::free(appliance);
}

deja_status deja_reattach(deja_appliance* appliance) {
  if (appliance == nullptr) return DEJA_MISUSE;
  if (!appliance->attachment.ended()) return DEJA_OK;
  Attachment fresh;
  const deja_status status = attach_appliance(*appliance, 1, fresh);
  if (status != DEJA_OK) return status;
  detach(appliance->attachment);
  appliance->attachment = fresh;
  return DEJA_OK;
}

deja_status deja_state(const deja_appliance* appliance) {
  if (appliance == nullptr) return DEJA_MISUSE;
  return appliance->attachment.ended() ? DEJA_STALE : DEJA_OK;
}

void deja_allow_stale(deja_appliance* appliance, int allow) {
  if (appliance != nullptr) appliance->allow_stale = allow != 0;
}

uint64_t deja_incarnation(const deja_appliance* appliance) {
  return appliance == nullptr ? 0 : appliance->attachment.incarnation;
}

int64_t deja_heartbeat_us(const deja_appliance* appliance) {
  if (appliance == nullptr) return 0;
  return appliance->attachment.header().heartbeat_us.load(std::memory_order_relaxed);
}

uint64_t deja_busy_count(const deja_appliance* appliance) {
  return appliance == nullptr ? 0 : appliance->busy_count.load(std::memory_order_relaxed);
}
