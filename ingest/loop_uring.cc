#include "ingest/loop_uring.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
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
  return {operation, error_number, io_refusal(error_number)};
}

}  // namespace

Result<std::unique_ptr<UringRing>> UringRing::create(const Options& options) {
  std::unique_ptr<UringRing> ring(new UringRing());
  Status made = ring->set_up(options);
  if (!made) return made.error();
  return ring;
}

Status UringRing::set_up(const Options& options) {
  // Best first. DEFER_TASKRUN (6.1) runs the kernel's part of a receive when we ask, instead of
  // interrupting us; TASKRUN_FLAG tells without a system call that there is something to run.
  const unsigned wishes[] = {
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
      IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, 0};
  int result = -EINVAL;
  for (std::size_t wish = 0; wish < std::size(wishes) && result == -EINVAL; ++wish) {
    io_uring_params parameters{};
    parameters.flags =
        wishes[wish] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED;
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
  return restrict_operations();
}

Status UringRing::restrict_operations() {
  constexpr std::array kOperations = {IORING_OP_ACCEPT,      IORING_OP_RECV,  IORING_OP_SEND,
                                      IORING_OP_SHUTDOWN,    IORING_OP_CLOSE, IORING_OP_POLL_ADD,
                                      IORING_OP_ASYNC_CANCEL};
  std::array<io_uring_restriction, kOperations.size() + 2> restrictions{};
  std::size_t at = 0;
  for (const auto operation : kOperations) {
    restrictions[at].opcode = IORING_RESTRICTION_SQE_OP;
    restrictions[at++].sqe_op = static_cast<std::uint8_t>(operation);
  }
  restrictions[at].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
  restrictions[at++].sqe_flags = static_cast<std::uint8_t>(IOSQE_BUFFER_SELECT);
  // Nothing is registered any more once the ring is enabled. To allow none at all can't be said;
  // to ask what the kernel knows harms nobody.
  restrictions[at].opcode = IORING_RESTRICTION_REGISTER_OP;
  restrictions[at++].register_op = static_cast<std::uint8_t>(IORING_REGISTER_PROBE);
  // By system call: Debian's shared liburing 2.3 does not export the wrapper.
  if (syscall(__NR_io_uring_register, ring_.ring_fd, IORING_REGISTER_RESTRICTIONS,
              restrictions.data(), at) != 0) {
    return ring_error("restrict io_uring to the operations of the loop", errno);
  }
  return Done{};
}

Status UringRing::enable() {
  // With SINGLE_ISSUER the ring belongs to the thread that enables it.
  if (syscall(__NR_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0) !=
      0) {
    return ring_error("enable io_uring", errno);
  }
  return Done{};
}

UringRing::~UringRing() {
  if (ring_made_) io_uring_queue_exit(&ring_);
  if (buffer_ring_ != nullptr) munmap(buffer_ring_, buffer_ring_bytes_);
  if (buffers_ != nullptr) munmap(buffers_, std::size_t{buffer_count_} * buffer_bytes_);
}

io_uring_sqe* UringRing::next_entry() {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  while (entry == nullptr) {  // the queue is full: the kernel takes all of it at once
    io_uring_submit(&ring_);
    entry = io_uring_get_sqe(&ring_);
  }
  return entry;
}

void UringRing::accept(int listener, std::uint64_t user_data) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_multishot_accept(entry, listener, nullptr, nullptr, SOCK_CLOEXEC);
  entry->user_data = user_data;
}

void UringRing::receive(int socket, std::uint64_t user_data) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_recv_multishot(entry, socket, nullptr, 0, 0);
  entry->flags |= static_cast<std::uint8_t>(IOSQE_BUFFER_SELECT);
  entry->buf_group = kBufferGroup;
  entry->user_data = user_data;
}

void UringRing::poll_readable(int descriptor, std::uint64_t user_data) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_poll_multishot(entry, descriptor, POLLIN);
  entry->user_data = user_data;
}

void UringRing::send(int socket, std::span<const std::uint8_t> bytes, std::uint64_t user_data) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_send(entry, socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  entry->user_data = user_data;
}

void UringRing::shutdown_write(int socket, std::uint64_t user_data) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_shutdown(entry, socket, SHUT_WR);
  entry->user_data = user_data;
}

void UringRing::close(int descriptor, std::uint64_t user_data) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_close(entry, descriptor);
  entry->user_data = user_data;
}

void UringRing::cancel(int /*descriptor*/, std::uint64_t target) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_cancel64(entry, target, 0);
  entry->user_data = kNobody;
}

void UringRing::submit() {
  constexpr unsigned kNeedsKernel = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
  const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
  if (io_uring_sq_ready(&ring_) == 0 && (flags & kNeedsKernel) == 0) return;
  io_uring_submit_and_get_events(&ring_);
}

void UringRing::submit_and_wait(std::int64_t bound_ns) {
  __kernel_timespec bound{};
  bound.tv_sec = bound_ns / 1'000'000'000;
  bound.tv_nsec = bound_ns % 1'000'000'000;
  io_uring_cqe* completion = nullptr;
  // Its result says no more than the queue does: a time-out and a signal are as good as a wake-up.
  (void)io_uring_submit_and_wait_timeout(&ring_, &completion, 1, &bound, nullptr);
}

bool UringRing::ready() {
  constexpr unsigned kNeedsKernel = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
  return io_uring_cq_ready(&ring_) != 0 ||
         (__atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED) & kNeedsKernel) != 0;
}

std::uint32_t UringRing::take_completions(std::uint32_t count_max, CompletionHandler& handler) {
  std::uint32_t count = 0;
  io_uring_cqe* entry = nullptr;
  if (io_uring_cq_ready(&ring_) == 0) submit();  // what is ready in the kernel alone
  while (count < count_max && io_uring_cq_ready(&ring_) != 0) {
    if (io_uring_peek_cqe(&ring_, &entry) != 0) break;
    const std::uint32_t flags = entry->flags;
    LoopCompletion completion{entry->user_data, entry->res, (flags & IORING_CQE_F_MORE) != 0, {}};
    io_uring_cqe_seen(&ring_, entry);
    ++count;
    const bool has_buffer = (flags & IORING_CQE_F_BUFFER) != 0;
    const std::size_t buffer = flags >> IORING_CQE_BUFFER_SHIFT;
    if (has_buffer && completion.result > 0) {
      completion.bytes = {buffers_ + buffer * buffer_bytes_,
                          static_cast<std::size_t>(completion.result)};
    }
    if (completion.user_data != kNobody) handler.on_completion(completion);
    if (has_buffer) add_buffer(static_cast<std::uint16_t>(buffer));
  }
  return count;
}

void UringRing::add_buffer(std::uint16_t number) {
  io_uring_buf_ring_add(buffer_ring_, buffers_ + std::size_t{number} * buffer_bytes_, buffer_bytes_,
                        number, io_uring_buf_ring_mask(buffer_count_), 0);
  io_uring_buf_ring_advance(buffer_ring_, 1);
}

}  // namespace deja
