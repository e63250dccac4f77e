#include "tools/trace/trace_lease.h"

#include <unistd.h>

#include <cmath>
#include <string>

#include "shm/base/clock.h"

namespace deja {
namespace {

std::uint64_t threshold_of(double sample) {
  if (!(sample > 0)) return 0;
  return sample >= 1 ? ~std::uint64_t{0} : static_cast<std::uint64_t>(std::ldexp(sample, 64));
}

}  // namespace

Result<TraceLease> TraceLease::take(const Segment& segment) {
  auto place = PlaceLock::take(segment.stable_path(place_file("trace")));
  if (!place.ok()) {
    Error error = place.error();
    if (error.error_number == EAGAIN) {
      error = {"events of this appliance are followed already (" + error.operation + ")", 0,
               "There can be one deja trace at a time: end the other one first"};
    } else if (error.error_number == EACCES) {
      error.remedy = "Run as the service's user: what an event leaves is nobody else's";
    }
    return error;
  }
  const SuperblockLayout& superblock = segment.superblock();
  auto file =
      MappedFile::open(segment.path(kTraceControlFile), MappedFile::Mode::kReadWrite,
                       trace_control_bytes(superblock.worker_count, superblock.ingest_count));
  if (!file.ok()) {
    Error error = file.error();
    if (error.error_number == EACCES) {
      error.remedy = "Run as the service's user: what an event leaves is nobody else's";
    }
    return error;
  }
  TraceLease lease(std::move(*place), std::move(*file));
  if (lease.control().until_ns.exchange(0, std::memory_order_relaxed) > steady_ns()) {
    usleep(kTraceNoticedNs / 1000);
  }
  return lease;
}

TraceLease::~TraceLease() {
  if (file_.data() != nullptr) control().until_ns.store(0, std::memory_order_relaxed);
}

void TraceLease::follow(const Followed& what) {
  TraceControlLayout& into = control();
  into.threshold.store(threshold_of(what.sample), std::memory_order_relaxed);
  into.user_hash.store(what.user_hash, std::memory_order_relaxed);
  into.flags.store((what.has_user ? kTraceUser : 0) | (what.requests ? kTraceRequests : 0),
                   std::memory_order_relaxed);
}

void TraceLease::renew() {
  control().until_ns.store(steady_ns() + kTraceLeaseNs, std::memory_order_release);
}

void TraceLease::collected(std::uint32_t lane, std::uint64_t number) {
  // SYNC(trace.collected): nobody here reads the slots before it any more.
  control().collected()[lane].store(number, std::memory_order_release);
}

}  // namespace deja
