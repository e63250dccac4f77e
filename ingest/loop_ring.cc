#include "ingest/loop_ring.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <iterator>
#include <utility>

namespace deja {
namespace {

constexpr std::uint16_t kBufferGroup = 1;

void* map_memory(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

Error ring_error(const char* operation, int error_number) {
  if (error_number == ENOMEM) {
    return {operation, error_number,
            "Some kernels count the rings of an ordinary user as locked memory: raise its "
            "RLIMIT_MEMLOCK to 8 MiB (ulimit -l 8192; systemd: LimitMEMLOCK=8M; docker run "
            "--ulimit memlock=8388608)"};
  }
  return {operation, error_number,
          "Deja needs io_uring of kernel 6.0 or newer; see /proc/sys/kernel/io_uring_disabled and "
          "the container's seccomp profile"};
}

}  // namespace

Result<std::unique_ptr<LoopRing>> LoopRing::create(const Options& options) {
  std::unique_ptr<LoopRing> ring(new LoopRing());
  Status made = ring->set_up(options);
  if (!made) return made.error();
  return ring;
}

Status LoopRing::set_up(const Options& options) {
  // Best first. DEFER_TASKRUN (6.1) runs the kernel's part of a receive when we ask, instead of
  // interrupting us; TASKRUN_FLAG tells without a system call that there is something to run.
  const unsigned wishes[] = {
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
      IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, 0};
  int result = -EINVAL;
  for (std::size_t wish = 0; wish < std::size(wishes) && result == -EINVAL; ++wish) {
    io_uring_params parameters{};
    parameters.flags = wishes[wish] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    parameters.cq_entries = options.entries * 4;
    result = io_uring_queue_init_params(options.entries, &ring_, &parameters);
  }
  if (result < 0) return ring_error("set up io_uring", -result);
  ring_made_ = true;

  buffer_count_ = options.buffer_count;
  buffer_bytes_ = options.buffer_bytes;
  buffer_ring_bytes_ = buffer_count_ * sizeof(io_uring_buf);
  buffer_ring_ = static_cast<io_uring_buf_ring*>(map_memory(buffer_ring_bytes_));
  buffers_ = static_cast<std::uint8_t*>(map_memory(std::size_t{buffer_count_} * buffer_bytes_));
  if (buffer_ring_ == nullptr || buffers_ == nullptr) {
    return system_error("allocate the receive buffers", "Free some memory and start again");
  }
  io_uring_buf_ring_init(buffer_ring_);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uint64_t>(buffer_ring_);
  registration.ring_entries = buffer_count_;
  registration.bgid = kBufferGroup;
  result = io_uring_register_buf_ring(&ring_, &registration, 0);
  if (result < 0) return ring_error("register the receive buffers with io_uring", -result);
  for (std::uint32_t number = 0; number < buffer_count_; ++number) {
    add_buffer(static_cast<std::uint16_t>(number));
  }
  return Done{};
}

LoopRing::~LoopRing() {
  if (ring_made_) io_uring_queue_exit(&ring_);
  if (buffer_ring_ != nullptr) munmap(buffer_ring_, buffer_ring_bytes_);
  if (buffers_ != nullptr) munmap(buffers_, std::size_t{buffer_count_} * buffer_bytes_);
}

io_uring_sqe* LoopRing::next_entry() {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  while (entry == nullptr) {  // the queue is full: the kernel takes all of it at once
    io_uring_submit(&ring_);
    entry = io_uring_get_sqe(&ring_);
  }
  return entry;
}

void LoopRing::accept(int listener, std::uint64_t user_data) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_multishot_accept(entry, listener, nullptr, nullptr, SOCK_CLOEXEC);
  entry->user_data = user_data;
}

void LoopRing::receive(int socket, std::uint64_t user_data) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_recv_multishot(entry, socket, nullptr, 0, 0);
  entry->flags |= static_cast<std::uint8_t>(IOSQE_BUFFER_SELECT);
  entry->buf_group = kBufferGroup;
  entry->user_data = user_data;
}

void LoopRing::poll_readable(int descriptor, std::uint64_t user_data) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_poll_multishot(entry, descriptor, POLLIN);
  entry->user_data = user_data;
}

void LoopRing::send(int socket, std::span<const std::uint8_t> bytes, std::uint64_t user_data) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_send(entry, socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  entry->user_data = user_data;
}

void LoopRing::shutdown_write(int socket, std::uint64_t user_data) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_shutdown(entry, socket, SHUT_WR);
  entry->user_data = user_data;
}

void LoopRing::close(int descriptor, std::uint64_t user_data) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_close(entry, descriptor);
  entry->user_data = user_data;
}

void LoopRing::cancel(std::uint64_t target, std::uint64_t user_data) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_cancel64(entry, target, 0);
  entry->user_data = user_data;
}

void LoopRing::submit() {
  constexpr unsigned kNeedsKernel = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
  const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
  if (io_uring_sq_ready(&ring_) == 0 && (flags & kNeedsKernel) == 0) return;
  io_uring_submit_and_get_events(&ring_);
}

void LoopRing::submit_and_wait(std::int64_t bound_ns) {
  __kernel_timespec bound{};
  bound.tv_sec = bound_ns / 1'000'000'000;
  bound.tv_nsec = bound_ns % 1'000'000'000;
  io_uring_cqe* completion = nullptr;
  // Its result says no more than the queue does: a time-out and a signal are as good as a wake-up.
  (void)io_uring_submit_and_wait_timeout(&ring_, &completion, 1, &bound, nullptr);
}

bool LoopRing::ready() const {
  constexpr unsigned kNeedsKernel = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
  return io_uring_cq_ready(&ring_) != 0 ||
         (__atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED) & kNeedsKernel) != 0;
}

std::span<const std::uint8_t> LoopRing::buffer(std::uint32_t flags, std::size_t bytes) const {
  const std::size_t number = flags >> IORING_CQE_BUFFER_SHIFT;
  return {buffers_ + number * buffer_bytes_, bytes};
}

void LoopRing::return_buffer(std::uint32_t flags) {
  add_buffer(static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT));
}

void LoopRing::add_buffer(std::uint16_t number) {
  io_uring_buf_ring_add(buffer_ring_, buffers_ + std::size_t{number} * buffer_bytes_, buffer_bytes_,
                        number, io_uring_buf_ring_mask(buffer_count_), 0);
  io_uring_buf_ring_advance(buffer_ring_, 1);
}

}  // namespace deja
