// The io_uring of one loop: set-up with what the kernel offers, the ring of receive buffers, and
// the few operations that the loop submits. ingest's only home of liburing. See
// ingest/loop_ring.h for who may call what.
//
// Receives take their memory from one ring of provided buffers shared by all connections, so an
// idle connection holds none: a completion names the buffer, which goes back once its bytes were
// handed over.
//
// The ring is made disabled, restricted to the operations below, and then enabled: a filter of
// system calls does not see what a ring does, so the ring itself has to refuse an openat.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ingest/loop_ring.h"

namespace deja {

class UringRing final : public LoopRing {
 public:
  /// Asks for SINGLE_ISSUER and DEFER_TASKRUN and makes do without where the kernel says no.
  [[nodiscard]] static Result<std::unique_ptr<UringRing>> create(const Options& options);
  ~UringRing() override;

  [[nodiscard]] IoBackend backend() const override { return IoBackend::kUring; }
  [[nodiscard]] bool misses_ends() const override { return true; }
  [[nodiscard]] Status enable() override;
  void accept(int listener, std::uint64_t user_data) override;
  void receive(int socket, std::uint64_t user_data) override;
  void poll_readable(int descriptor, std::uint64_t user_data) override;
  void send(int socket, std::span<const std::uint8_t> bytes, std::uint64_t user_data) override;
  void shutdown_write(int socket, std::uint64_t user_data) override;
  void close(int descriptor, std::uint64_t user_data) override;
  void cancel(int descriptor, std::uint64_t target) override;
  /// Costs a system call only when there is something to submit or to run.
  void submit() override;
  void submit_and_wait(std::int64_t bound_ns) override;
  /// No system call.
  [[nodiscard]] bool ready() override;
  std::uint32_t take_completions(std::uint32_t count_max, CompletionHandler& handler) override;

 private:
  friend class UringRingPeer;  // a test that submits what the product never does

  UringRing() = default;
  [[nodiscard]] Status set_up(const Options& options);
  [[nodiscard]] Status restrict_operations();
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
