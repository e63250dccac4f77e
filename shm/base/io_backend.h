// Which way a process may take to the kernel's sockets and files: io_uring, or the calls that have
// always been there. Found out by trying: a small ring is made, asked for what Deja uses of it
// (kernel 6.0: provided buffers, multishot receive), given one no-op and closed again. By raw
// system calls, so that whoever asks needs no liburing. Start-up code; any thread.
//
// DEJA_IO=uring or DEJA_IO=epoll in the environment settles it without a look; "epoll" means: no
// io_uring anywhere in that process.
#pragma once

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace deja {

enum class IoBackend : std::uint8_t { kUring, kEpoll };

[[nodiscard]] inline const char* io_backend_name(IoBackend backend) {
  return backend == IoBackend::kUring ? "uring" : "epoll";
}

/// Whether DEJA_IO names a backend: then there is nothing to fall back to.
[[nodiscard]] inline bool io_backend_is_forced() {
  const char* wish = std::getenv("DEJA_IO");
  return wish != nullptr &&
         (std::string_view(wish) == "uring" || std::string_view(wish) == "epoll");
}

/// What io_uring's refusal with `error_number` means, for a line that a person reads.
[[nodiscard]] inline std::string io_refusal(int error_number) {
  const std::string reason = std::string(" (") + std::strerror(error_number) + ")";
  if (error_number == ENOMEM) {
    return "io_uring may not have its memory" + reason +
           ": raise RLIMIT_MEMLOCK to 8 MiB (ulimit -l 8192; systemd: LimitMEMLOCK=8M; docker run "
           "--ulimit memlock=8388608)";
  }
  if (error_number == EINVAL) return "io_uring of kernel 6.0 or newer is not here" + reason;
  return "io_uring is refused here" + reason;
}

/// Makes a ring, uses it and closes it: 0, or the errno of what was refused.
[[nodiscard]] inline int try_io_uring() {
  constexpr unsigned kEntries = 8;
  constexpr std::size_t kPageBytes = 4096;
  // What is mapped and opened here goes when the probe is over, however it ends.
  struct Probe {
    int descriptor = -1;
    std::array<void*, 3> memory{};
    std::array<std::size_t, 3> bytes{};
    ~Probe() {
      for (std::size_t at = 0; at < memory.size(); ++at) {
        if (memory[at] != nullptr) munmap(memory[at], bytes[at]);
      }
      if (descriptor >= 0) close(descriptor);
    }
    std::uint8_t* map(std::size_t slot, std::size_t size, int flags, int file, off_t offset) {
      void* mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, file, offset);
      if (mapped == MAP_FAILED) return nullptr;
      memory[slot] = mapped;
      bytes[slot] = size;
      return static_cast<std::uint8_t*>(mapped);
    }
  } probe;

  io_uring_params parameters{};
  parameters.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  parameters.cq_entries = kEntries * 4;
  probe.descriptor = static_cast<int>(syscall(__NR_io_uring_setup, kEntries, &parameters));
  if (probe.descriptor < 0) return errno;
  if ((parameters.features & IORING_FEAT_SINGLE_MMAP) == 0) return EINVAL;

  std::uint8_t* buffers = probe.map(0, kPageBytes, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (buffers == nullptr) return errno;
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uint64_t>(buffers);
  registration.ring_entries = kEntries;
  if (syscall(__NR_io_uring_register, probe.descriptor, IORING_REGISTER_PBUF_RING, &registration,
              1) != 0) {
    return errno;
  }
  // Multishot receive can't be asked for; this operation came with it.
  constexpr unsigned kAsked = IORING_OP_SEND_ZC + 1;
  alignas(io_uring_probe)
      std::array<std::uint8_t, sizeof(io_uring_probe) + kAsked * sizeof(io_uring_probe_op)>
          known{};
  if (syscall(__NR_io_uring_register, probe.descriptor, IORING_REGISTER_PROBE, known.data(),
              kAsked) != 0) {
    return errno;
  }
  const auto* operations =
      reinterpret_cast<const io_uring_probe_op*>(known.data() + sizeof(io_uring_probe));
  if ((operations[IORING_OP_SEND_ZC].flags & IO_URING_OP_SUPPORTED) == 0) return EINVAL;

  std::uint8_t* entries =
      probe.map(1, parameters.sq_entries * sizeof(io_uring_sqe), MAP_SHARED | MAP_POPULATE,
                probe.descriptor, static_cast<off_t>(IORING_OFF_SQES));
  if (entries == nullptr) return errno;
  std::uint8_t* ring = probe.map(
      2,
      std::max<std::size_t>(parameters.sq_off.array + parameters.sq_entries * sizeof(std::uint32_t),
                            parameters.cq_off.cqes + parameters.cq_entries * sizeof(io_uring_cqe)),
      MAP_SHARED | MAP_POPULATE, probe.descriptor, IORING_OFF_SQ_RING);
  if (ring == nullptr) return errno;
  // The entries are zero, and zero is the no-op.
  *reinterpret_cast<std::uint32_t*>(ring + parameters.sq_off.array) = 0;
  __atomic_store_n(reinterpret_cast<std::uint32_t*>(ring + parameters.sq_off.tail), 1U,
                   __ATOMIC_RELEASE);
  const long submitted =
      syscall(__NR_io_uring_enter, probe.descriptor, 1, 1, IORING_ENTER_GETEVENTS, nullptr, 0);
  if (submitted < 0) return errno;
  const auto* completion = reinterpret_cast<const io_uring_cqe*>(ring + parameters.cq_off.cqes);
  return submitted == 1 && completion->res == 0 ? 0 : EINVAL;
}

/// The backend that this process shall use. `why` is a sentence without its end for the log, empty
/// where io_uring is simply there.
[[nodiscard]] inline IoBackend choose_io_backend(std::string& why) {
  why.clear();
  if (const char* wish = std::getenv("DEJA_IO")) {
    const std::string_view name = wish;
    if (name == "uring" || name == "epoll") {
      why = "DEJA_IO says so";
      return name == "uring" ? IoBackend::kUring : IoBackend::kEpoll;
    }
    why = "DEJA_IO can be uring or epoll and is neither";
  }
  const int refused = try_io_uring();
  if (refused == 0) return IoBackend::kUring;
  why = io_refusal(refused);
  return IoBackend::kEpoll;
}

}  // namespace deja
