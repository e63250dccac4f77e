// Two processes, each pinned to a core, hand records over: how many in a second, and how long one
// takes there and back. The child is forked for each measurement and ends with it; neither waits
// longer than a minute. Lanes: bench/support/ring_lanes.h. One thread in either process.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <utility>

#include "bench/support/core_distance.h"
#include "bench/support/ring_lanes.h"
#include "bench/support/samples.h"
#include "shm/base/clock.h"

namespace deja::bench {

/// The other process of a measurement.
class OtherProcess {
 public:
  template <typename Work>
  OtherProcess(const TwoCores& cores, Work&& work) {
    if (pin_this_thread(cores.here) != 0) give_up("can't be pinned to a core");
    child_ = fork();
    if (child_ < 0) give_up("can't fork");
    if (child_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (pin_this_thread(cores.there) != 0) _exit(1);
      alarm(kBoundS);
      work(*shared_);
      _exit(0);
    }
    alarm(kBoundS);
    while (shared_->ready.load(std::memory_order_acquire) == 0) {
    }
  }
  ~OtherProcess() { end(); }
  OtherProcess(const OtherProcess&) = delete;
  OtherProcess& operator=(const OtherProcess&) = delete;

  struct Shared {
    alignas(kCacheLineBytes) std::atomic<std::uint32_t> ready{0};
    double result = 0;
  };
  /// What it left in its `result`, when it has ended.
  [[nodiscard]] double result() {
    end();
    return shared_->result;
  }

 private:
  void end() {
    if (child_ < 0) return;
    int status = 0;
    const bool ended = waitpid(std::exchange(child_, -1), &status, 0) > 0;
    alarm(0);
    if (!ended || status != 0) give_up("the other process failed");
  }

  static constexpr unsigned kBoundS = 60;
  SharedMemory memory_{sizeof(Shared)};
  Shared* shared_ = new (memory_.at(0)) Shared;
  pid_t child_ = -1;
};

/// The compiler may not leave out what nobody looks at.
inline void used(const void* bytes) {
  __asm__ __volatile__("" : : "r"(bytes) : "memory");
}

template <typename T>
[[nodiscard]] T some_record() {
  T record{};
  for (std::size_t at = 0; at < sizeof record.rest; ++at) {
    record.rest[at] = static_cast<std::uint8_t>(at * 7 + 3);
  }
  return record;
}

/// Takes record `number`, which has to be whole.
template <typename Receiver, typename T>
void take_whole(Receiver& receiver, std::uint64_t number, const T& source, bool whole = true) {
  T record;
  while (!receiver.take(record)) {
  }
  used(&record);
  const bool right = record.number == number &&
                     (!whole || std::memcmp(record.rest, source.rest, sizeof source.rest) == 0);
  if (!right) give_up("a record is not what was sent");
}

/// Million records a second: the median of slices of two laps of the lane's memory, by the
/// receiver's clock, so that a slice in which somebody else had a core says little. Before them a
/// lap in which every byte is looked at.
template <template <typename, std::uint64_t> typename Lane, typename T, std::uint64_t kCapacity>
[[nodiscard]] double million_per_s(Lane<T, kCapacity>& lane, const TwoCores& cores,
                                   std::uint64_t slices, std::uint32_t batch) {
  using Way = Lane<T, kCapacity>;
  constexpr std::uint64_t kLap = kCapacity / sizeof(T) + 2;
  const T source = some_record<T>();
  OtherProcess other(cores, [&](OtherProcess::Shared& shared) {
    lane.map_all_pages();
    typename Way::Receiver receiver(lane, batch);
    shared.ready.store(1, std::memory_order_release);
    for (std::uint64_t number = 0; number < kLap; ++number) take_whole(receiver, number, source);
    Samples rates;
    std::uint64_t number = kLap;
    for (std::uint64_t slice = 0; slice < slices; ++slice) {
      const std::int64_t begin_ns = steady_ns();
      for (const std::uint64_t end = number + 2 * kLap; number < end; ++number) {
        take_whole(receiver, number, source, false);
      }
      rates.add(2e3 * kLap / static_cast<double>(steady_ns() - begin_ns));
    }
    shared.result = rates.median();
  });
  {
    typename Way::Sender sender(lane, batch);
    for (std::uint64_t number = 0; number < (1 + 2 * slices) * kLap; ++number) {
      while (!sender.put(number, source)) {
      }
    }
    sender.flush();
  }
  return other.result();
}

/// Nanoseconds of a lone record there and back, both copied out: the median of slices of a hundred.
/// Nothing else is sent meanwhile, so whatever would wait for a batch to fill would wait for ever.
template <typename Way, typename T>
[[nodiscard]] double there_and_back_ns(Way& there, Way& back, const T& source,
                                       const TwoCores& cores, std::uint64_t slices,
                                       std::uint32_t batch) {
  constexpr std::uint64_t kTripsOfASlice = 100;
  const std::uint64_t trips = slices * kTripsOfASlice;
  Samples times;
  OtherProcess other(cores, [&](OtherProcess::Shared& with) {
    there.map_all_pages();
    back.map_all_pages();
    typename Way::Receiver receiver(there, batch);
    typename Way::Sender sender(back, batch);
    with.ready.store(1, std::memory_order_release);
    for (std::uint64_t number = 0; number < trips; ++number) {
      take_whole(receiver, number, source, false);
      while (!sender.put(number, source)) {
      }
      sender.flush();
    }
  });
  typename Way::Sender sender(there, batch);
  typename Way::Receiver receiver(back, batch);
  for (std::uint64_t number = 0; number < trips;) {
    const std::int64_t begin_ns = steady_ns();
    for (const std::uint64_t end = number + kTripsOfASlice; number < end; ++number) {
      while (!sender.put(number, source)) {
      }
      sender.flush();
      take_whole(receiver, number, source, false);
    }
    times.add(static_cast<double>(steady_ns() - begin_ns) / kTripsOfASlice);
  }
  return times.median();
}

}  // namespace deja::bench
