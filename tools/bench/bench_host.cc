#include "tools/bench/bench_host.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "shm/base/clock.h"
#include "shm/base/descriptor.h"

namespace deja {
namespace {

constexpr std::size_t kWriteBytes = 4096;
constexpr std::int64_t kSyncBoundNs = 3'000'000'000;

double reading_ns(clockid_t clock, bool quick) {
  const int count = quick ? 1000 : 200'000;
  std::vector<double> times_ns;
  for (int round = 0; round < 7; ++round) {
    const std::int64_t begin_ns = steady_ns();
    std::int64_t seen = 0;
    for (int reading = 0; reading < count; ++reading) seen ^= clock_ns(clock);
    asm volatile("" : : "r"(seen));
    times_ns.push_back(static_cast<double>(steady_ns() - begin_ns) / count);
  }
  return median(times_ns);
}

/// A file that is gone when it is closed, or when we are killed.
Result<Descriptor> unnamed_file(const std::string& directory) {
  std::string path = directory + "/deja-bench-XXXXXX";
  Descriptor file(mkostemp(path.data(), O_CLOEXEC));
  if (!file.open()) {
    return system_error("make a file in " + directory,
                        "--durability names the [durability] directory of the appliance to be.");
  }
  unlink(path.c_str());
  return file;
}

}  // namespace

void measure_clocks(bool quick, BenchFindings& into) {
  into.measured.push_back(
      {"clock_monotonic",
       "read the clock",
       "ns",
       reading_ns(CLOCK_MONOTONIC, quick),
       {},
       "20 to 50 ns where the kernel reads it without a system call; hundreds mean that it has "
       "turned away from the processor's counter (look at "
       "/sys/devices/system/clocksource/clocksource0/current_clocksource)."});
  into.measured.push_back(
      {"clock_coarse",
       "read the coarse clock",
       "ns",
       reading_ns(CLOCK_REALTIME_COARSE, quick),
       {},
       "deja_now_us(): some nanoseconds, and 1 to 4 ms old. Windows and ages want no better."});
}

void measure_memory(bool quick, BenchFindings& into) {
  const std::size_t bytes = std::size_t{quick ? 1U : 64U} << 20U;
  std::vector<char> from(bytes, 1);
  std::vector<char> to(bytes, 2);
  std::vector<double> gigabytes_per_s;
  for (int round = 0; round < (quick ? 2 : 15); ++round) {
    const std::int64_t begin_ns = steady_ns();
    std::memcpy(to.data(), from.data(), bytes);
    asm volatile("" : : "r"(to.data()) : "memory");
    gigabytes_per_s.push_back(static_cast<double>(bytes) /
                              static_cast<double>(steady_ns() - begin_ns));
  }
  into.measured.push_back(
      {"copy_bandwidth",
       "copy memory, one core",
       "GB/s",
       median(gigabytes_per_s),
       {},
       "5 to 20 GB/s. A profile is copied once for each read and once for each event: a million of "
       "1 KiB is 1 GB/s."});
}

Status measure_sync(const std::string& directory, bool quick, BenchFindings& into) {
  const Result<Descriptor> file = unnamed_file(directory);
  if (!file.ok()) return file.error();
  const int count = quick ? 5 : 1000;
  const std::vector<char> bytes(kWriteBytes, 'd');
  // Allocated ahead, as the journal's segments are: a growing file syncs its size as well.
  static_cast<void>(posix_fallocate(file->number(), 0, static_cast<off_t>(kWriteBytes) * count));
  std::vector<double> times_ns;
  const std::int64_t bound_ns = steady_ns() + kSyncBoundNs;
  for (int write = 0; write < count && steady_ns() < bound_ns; ++write) {
    const std::int64_t begin_ns = steady_ns();
    if (pwrite(file->number(), bytes.data(), kWriteBytes,
               static_cast<off_t>(kWriteBytes) * write) != static_cast<ssize_t>(kWriteBytes) ||
        fdatasync(file->number()) != 0) {
      return system_error("write and sync a file in " + directory, "Is there room?");
    }
    times_ns.push_back(static_cast<double>(steady_ns() - begin_ns));
  }
  struct statfs facts {};
  const bool in_memory = fstatfs(file->number(), &facts) == 0 &&
                         (static_cast<unsigned long>(facts.f_type) == TMPFS_MAGIC ||
                          static_cast<unsigned long>(facts.f_type) == RAMFS_MAGIC);
  const double p99_ns = quantile(times_ns, 0.99);
  into.measured.push_back(
      {"sync", "make 4 KiB durable", "ns", median(times_ns), p99_ns,
       in_memory
           ? "This directory lies in memory: nothing there outlives the power. Name a disk "
             "with --durability."
           : "A durable ack waits for one of these, and shares it with all events of the same "
             "moment (group_commit): 20 to 100 µs on a disk with a protected cache, 0.5 to 5 ms "
             "without one. Less than 10 µs: look whether anything is written at all."});
  return Done{};
}

}  // namespace deja
