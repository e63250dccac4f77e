// The files of an appliance by name. `<directory>/deja-<appliance>/`; every file but the superblock
// and the bells' FIFOs carries the incarnation. Libc alone.
//
//   file                writer        mapped by                  layout
//   superblock          supervisor    everybody                  shm/superblock.h
//   catalog             supervisor    everybody                  shm/catalog.capnp
//   settings            supervisor    the service                shm/settings.capnp
//   profiles-<w>        worker w      everybody                  shm/table_geometry.h
//   consumed-<w>        worker w      everybody                  ring/positions.h
//   process-<name>      that process  the service                shm/process_file.h
//   worker-<w>          worker w      the service                ring/positions.h
//   ids-<w>             worker w      that worker                workers/id_set.h
//   log-<w>             worker w      the service                ring/log_record.h
//   verdict-<w>-<i>     worker w      the service                ring/verdict.h
//   ring-<i>-<w>        ingest        the service                ring/spsc_ring.h
//   ingest-<i>          ingest        the service                ring/positions.h
//   keeper              keeper        the service                ring/positions.h
//   durable             keeper        the service                ring/positions.h
//   return-<w>          keeper        the service                ring/return_record.h
//   trace               deja trace    the service                ring/trace_layout.h
//   trace-ingest-<i>    ingest        the service                ring/trace_layout.h
//   trace-worker-<w>    worker w      the service                ring/trace_layout.h
//   trace-keeper        keeper        the service                ring/trace_layout.h
//   bell-<name>         the sleeper   the service                ring/bell.h
//   bell-<name>.fifo    —             the service                a FIFO, without incarnation
//   asked               the keeper    readers write to it        a socket: shm/ask_layout.h
//   <process>.lock      —             nobody                     shm/place_lock.h, likewise
#pragma once

#include <cstdint>
#include <cstdio>

namespace deja {

inline constexpr std::size_t kPathBytesMax = 256;
inline constexpr const char* kSuperblockFile = "superblock";

/// A path on the stack, so that libdeja can use it too.
struct SegmentPath {
  char text[kPathBytesMax];
};

/// "<directory>/deja-<appliance>"; empty text when it does not fit.
[[nodiscard]] inline SegmentPath segment_directory(const char* directory, const char* appliance) {
  SegmentPath path{};
  const int size = std::snprintf(path.text, sizeof path.text, "%s/deja-%s", directory, appliance);
  if (size < 0 || static_cast<std::size_t>(size) >= sizeof path.text) path.text[0] = '\0';
  return path;
}

/// "<segment directory>/<name>.<incarnation>"; empty text when it does not fit.
[[nodiscard]] inline SegmentPath segment_file(const char* segment_directory, const char* name,
                                              std::uint64_t incarnation) {
  SegmentPath path{};
  const int size = std::snprintf(path.text, sizeof path.text, "%s/%s.%llu", segment_directory, name,
                                 static_cast<unsigned long long>(incarnation));
  if (size < 0 || static_cast<std::size_t>(size) >= sizeof path.text) path.text[0] = '\0';
  return path;
}

}  // namespace deja
