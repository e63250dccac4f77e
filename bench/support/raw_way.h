// The least that gets an event from a unix socket to where another process sees it, with as many
// processes as ours and nothing decoded, remembered or applied: one receives and puts the bytes
// into a ring in shared memory, one takes them out and stores a word, and the client polls that
// word.
//
//   client ──unix socket──▶ receiver ──ring──▶ storer ──word──▶ client
//
// Spinning, the two never sleep (and yield where they share a core). Sleeping, the receiver blocks
// in recv() and the storer in read() of an eventfd, which is written to only while it sleeps, by
// the rule of ring/bell.h. Fused, the receiver stores the word itself, and there is no ring. Used
// by one thread; the two are its children.
#pragma once

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "bench/support/parties.h"
#include "ring/spsc_ring.h"
#include "shm/base/cache_line.h"

namespace deja::bench {

class RawWay {
 public:
  enum class Waits { kSpinning, kAsleep, kSpinningFused };

  /// `bytes`: what is sent for an event.
  RawWay(std::vector<std::uint8_t> bytes, const Placement& placement, const std::vector<int>& cores,
         Waits waits)
      : bytes_(std::move(bytes)),
        placement_(placement),
        spins_(waits != Waits::kAsleep),
        fused_(waits == Waits::kSpinningFused) {
    memory_ = mmap(nullptr, sizeof(Shared) + ring_bytes(), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory_ == MAP_FAILED) give_up("no shared memory");
    format_ring(ring(), kRingCapacity);
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) give_up("no pair of sockets");
    bell_ = eventfd(0, 0);
    socket_ = ends[0];
    const bool together = !fused_ && placement.ingest == placement.worker;
    receiver_ = start(cores[placement.ingest], [&] {
      yields_ = together || placement.ingest == placement.client;
      receive(ends[1]);
    });
    if (!fused_) {
      storer_ = start(cores[placement.worker], [&] {
        yields_ = together || placement.worker == placement.client;
        store();
      });
    }
    close(ends[1]);
  }
  ~RawWay() {
    for (const pid_t pid : {receiver_, storer_}) {
      if (pid < 0) continue;
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
    close(socket_);
    close(bell_);
    munmap(memory_, sizeof(Shared) + ring_bytes());
  }
  RawWay(const RawWay&) = delete;
  RawWay& operator=(const RawWay&) = delete;

  [[nodiscard]] Parties parties() const {
    return fused_ ? Parties({receiver_}) : Parties({receiver_, storer_});
  }

  /// One event, in ns.
  double once() {
    const std::uint64_t wanted = ++sent_;
    const std::int64_t begin_ns = steady_ns();
    const ssize_t sent = ::send(socket_, bytes_.data(), bytes_.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(bytes_.size())) give_up("the raw way took no event");
    poll_until(placement_.client_shares(), "the raw way's event did not become visible",
               [&] { return shared().word.load(std::memory_order_acquire) == wanted; });
    return static_cast<double>(steady_ns() - begin_ns);
  }

 private:
  static constexpr std::uint64_t kRingCapacity = std::uint64_t{1} << 20U;

  struct Shared {
    alignas(kCacheLineBytes) std::atomic<std::uint64_t> consumed;
    alignas(kCacheLineBytes) std::atomic<std::uint64_t> word;
    alignas(kCacheLineBytes) std::atomic<std::uint32_t> sleeping;
  };
  [[nodiscard]] static std::uint64_t ring_bytes() { return ring_file_bytes(kRingCapacity); }
  [[nodiscard]] Shared& shared() const { return *static_cast<Shared*>(memory_); }
  [[nodiscard]] std::uint8_t* ring() const {
    return static_cast<std::uint8_t*>(memory_) + sizeof(Shared);
  }

  template <typename Body>
  static pid_t start(int core, Body&& body) {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    static_cast<void>(pin_this_thread(core));
    body();
    _exit(1);
  }
  void wait_a_little() const {
    if (yields_) {
      sched_yield();
    } else {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
  }

  void receive(int socket) const {
    RingProducer producer(ring(), ring_bytes(), &shared().consumed);
    std::uint8_t bytes[16384];
    for (std::uint64_t events = 1;;) {
      const ssize_t count = recv(socket, bytes, sizeof bytes, spins_ ? MSG_DONTWAIT : 0);
      if (count == 0) return;
      if (count < 0) {
        wait_a_little();
        continue;
      }
      if (fused_) {
        shared().word.store(events++, std::memory_order_release);
        continue;
      }
      std::uint8_t* claimed = producer.claim(static_cast<std::uint32_t>(count));
      if (claimed == nullptr) return;
      std::memcpy(claimed, bytes, static_cast<std::size_t>(count));
      static_cast<void>(producer.commit(static_cast<std::uint32_t>(count), 1));
      producer.publish();
      if (spins_) continue;
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (shared().sleeping.load(std::memory_order_relaxed) == 0) continue;
      if (eventfd_write(bell_, 1) != 0) return;
    }
  }

  void store() const {
    RingConsumer consumer(ring(), ring_bytes(), &shared().consumed);
    std::uint8_t bytes[16384];
    for (std::uint64_t count = 0;;) {
      const RingRecord record = consumer.next();
      if (record.outcome == RingRecord::Outcome::kRecord) {
        std::memcpy(bytes, record.payload, record.size_bytes);
        asm volatile("" : : "r"(bytes) : "memory");
        shared().word.store(++count, std::memory_order_release);
        consumer.release(record.end_position);
      } else if (spins_) {
        wait_a_little();
      } else {
        shared().sleeping.store(1, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        eventfd_t rung = 0;
        if (consumer.empty() && eventfd_read(bell_, &rung) != 0) return;
        shared().sleeping.store(0, std::memory_order_relaxed);
      }
    }
  }

  const std::vector<std::uint8_t> bytes_;
  const Placement placement_;
  const bool spins_;
  const bool fused_;
  bool yields_ = false;  // each of the two's own
  void* memory_ = nullptr;
  int socket_ = -1;
  int bell_ = -1;
  pid_t receiver_ = -1;
  pid_t storer_ = -1;
  std::uint64_t sent_ = 0;
};

}  // namespace deja::bench
