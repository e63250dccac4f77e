// The io_uring of one loop: set-up with what the kernel offers, the ring of receive buffers, and
// the few operations that the loop submits. ingest's only home of liburing. The thread that made it
// alone may use it. Allocates in create() only.
//
// Receives take their memory from one ring of provided buffers shared by all connections, so an
// idle connection holds none: a completion names the buffer, which goes back once its bytes were
// handed over.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "shm/base/result.h"

namespace deja {

class LoopRing {
 public:
  struct Options {
    std::uint32_t entries = 1024;        ///< of the submission queue; a power of two
    std::uint32_t buffer_count = 256;    ///< a power of two, at most 32768
    std::uint32_t buffer_bytes = 16384;  ///< of one receive at most
  };
  /// Asks for SINGLE_ISSUER and DEFER_TASKRUN and makes do without where the kernel says no.
  [[nodiscard]] static Result<std::unique_ptr<LoopRing>> create(const Options& options);
  ~LoopRing();
  LoopRing(const LoopRing&) = delete;
  LoopRing& operator=(const LoopRing&) = delete;

  /// Multishot: completions come until one without IORING_CQE_F_MORE.
  void accept(int listener, std::uint64_t user_data);
  void receive(int socket, std::uint64_t user_data);
  void poll_readable(int descriptor, std::uint64_t user_data);
  /// `bytes` stay untouched until the completion.
  void send(int socket, std::span<const std::uint8_t> bytes, std::uint64_t user_data);
  void shutdown_write(int socket, std::uint64_t user_data);
  void close(int descriptor, std::uint64_t user_data);
  /// Cancels the operation submitted with `target`.
  void cancel(std::uint64_t target, std::uint64_t user_data);

  /// Submits what is queued and runs the kernel's deferred work, without waiting; costs a system
  /// call only when there is something to submit or to run.
  void submit();
  /// Submits, then waits for a completion, `bound_ns` at most.
  void submit_and_wait(std::int64_t bound_ns);
  /// Whether a completion is there or only needs submit() to be. No system call.
  [[nodiscard]] bool ready() const;

  /// Calls `handle(user_data, result, flags)` for up to `count_max` completions; returns how many.
  template <typename Handle>
  std::uint32_t take_completions(std::uint32_t count_max, Handle&& handle) {
    std::uint32_t count = 0;
    io_uring_cqe* completion = nullptr;
    while (count < count_max && io_uring_cq_ready(&ring_) != 0) {
      if (io_uring_peek_cqe(&ring_, &completion) != 0) break;
      const std::uint64_t user_data = completion->user_data;
      const std::int32_t result = completion->res;
      const std::uint32_t flags = completion->flags;
      io_uring_cqe_seen(&ring_, completion);
      handle(user_data, result, flags);
      ++count;
    }
    return count;
  }

  /// The first `bytes` bytes of the receive buffer that a completion's flags name.
  [[nodiscard]] std::span<const std::uint8_t> buffer(std::uint32_t flags, std::size_t bytes) const;
  /// Gives that buffer back to the kernel.
  void return_buffer(std::uint32_t flags);

 private:
  LoopRing() = default;
  [[nodiscard]] Status set_up(const Options& options);
  [[nodiscard]] io_uring_sqe* next_entry();
  void add_buffer(std::uint16_t number);

  io_uring ring_{};
  bool ring_made_ = false;
  io_uring_buf_ring* buffer_ring_ = nullptr;
  std::size_t buffer_ring_bytes_ = 0;
  std::uint8_t* buffers_ = nullptr;
  std::uint32_t buffer_count_ = 0;
  std::uint32_t buffer_bytes_ = 0;
};

}  // namespace deja
