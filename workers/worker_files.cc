#include "workers/worker_files.h"

#include <optional>
#include <string>
#include <utility>

#include "ring/spsc_ring.h"
#include "shm/process_file.h"
#include "workers/id_set.h"

namespace deja {
namespace {

/// Maps files one by one and remembers the first fault.
class Mapper {
 public:
  explicit Mapper(const Segment& segment) : segment_(segment) {}

  void map(std::optional<MappedFile>& into, const std::string& name, MappedFile::Mode mode,
           std::uint64_t bytes_min) {
    if (fault_) return;
    Result<MappedFile> file = segment_.map(name, mode);
    if (!file.ok()) {
      fault_ = file.error();
    } else if (file->bytes() < bytes_min) {
      fault_ = Error{"map " + name + ": it has " + std::to_string(file->bytes()) + " bytes of " +
                         std::to_string(bytes_min),
                     0, "Start the appliance again with programs of one build"};
    } else {
      into.emplace(std::move(*file));
    }
  }
  void append(std::vector<MappedFile>& into, const std::string& name, MappedFile::Mode mode,
              std::uint64_t bytes_min) {
    std::optional<MappedFile> file;
    map(file, name, mode, bytes_min);
    if (file) into.push_back(std::move(*file));
  }
  [[nodiscard]] const std::optional<Error>& fault() const { return fault_; }

 private:
  const Segment& segment_;
  std::optional<Error> fault_;
};

}  // namespace

Result<WorkerFiles> WorkerFiles::map(const Segment& segment, std::uint32_t worker) {
  constexpr auto kOwn = MappedFile::Mode::kReadWrite;
  constexpr auto kOthers = MappedFile::Mode::kReadOnly;
  const SuperblockLayout& superblock = segment.superblock();
  const TableGeometry& geometry = segment.geometry();
  const std::uint32_t rings = superblock.ingest_count;
  const std::string number = std::to_string(worker);
  const std::uint64_t id_bytes = id_set_bytes(static_cast<std::uint32_t>(superblock.dedup_window)) *
                                 geometry.shards_of(worker);

  std::optional<MappedFile> profiles, consumed, positions, ids, log, process, trace, returned,
      keeper;
  std::vector<MappedFile> verdicts, ring_files, ingest, traced;
  Mapper mapper(segment);
  mapper.map(profiles, "profiles-" + number, kOwn, geometry.file_bytes(worker));
  mapper.map(consumed, "consumed-" + number, kOwn, consumed_file_bytes(rings));
  mapper.map(positions, "worker-" + number, kOwn, worker_file_bytes(rings));
  mapper.map(ids, "ids-" + number, kOwn, id_bytes);
  mapper.map(log, "log-" + number, kOwn, ring_file_bytes(superblock.log_bytes));
  mapper.map(process, "process-worker-" + number, kOwn, ProcessFile::file_bytes());
  mapper.map(trace, "trace-worker-" + number, kOwn, trace_worker_bytes(rings));
  mapper.map(returned, "return-" + number, kOthers, ring_file_bytes(superblock.return_bytes));
  mapper.map(keeper, "keeper", kOthers,
             keeper_file_bytes(superblock.worker_count, superblock.shard_count));
  for (std::uint32_t ring = 0; ring < rings; ++ring) {
    const std::string other = std::to_string(ring);
    mapper.append(verdicts, "verdict-" + number + "-" + other, kOwn,
                  ring_file_bytes(superblock.verdict_bytes));
    mapper.append(ring_files, "ring-" + other + "-" + number, kOthers,
                  ring_file_bytes(superblock.ring_bytes));
    mapper.append(ingest, "ingest-" + other, kOthers, ingest_file_bytes(superblock.worker_count));
    mapper.append(traced, "trace-ingest-" + other, kOthers,
                  trace_ingest_bytes(superblock.worker_count));
  }
  if (mapper.fault()) return *mapper.fault();
  return WorkerFiles{std::move(*profiles), std::move(*consumed), std::move(*positions),
                     std::move(*ids),      std::move(*log),      std::move(*process),
                     std::move(*trace),    std::move(verdicts),  std::move(ring_files),
                     std::move(ingest),    std::move(traced),    std::move(*returned),
                     std::move(*keeper)};
}

}  // namespace deja
