// The loop's operations where io_uring is refused: epoll tells what can be done, and this ring does
// it with the calls that have always been there. See ingest/loop_ring.h for who may call what.
//
// Sends, shutdowns, closes and cancels happen when they are asked for, and their completions wait
// in a queue; receives and accepts happen while completions are taken, so that one receive buffer
// serves all connections and -ENOBUFS never comes. A send that the socket does not take waits for
// EPOLLOUT.
//
// Invariants
//  1. A descriptor is watched for exactly what is under way on it, level-triggered, and not at all
//     when nothing is: epoll tells of hang-ups unasked, and would not let a paused loop sleep.
//  2. No call blocks but the epoll_wait of submit_and_wait(): sockets are read and written with
//     MSG_DONTWAIT, listeners are non-blocking, since another thread may have taken the connection.
//  3. An event for a descriptor that was closed, and perhaps given away again, since epoll told of
//     it is harmless: whatever is tried on its account finds nothing to do.
#pragma once

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ingest/loop_ring.h"

namespace deja {

class EpollRing final : public LoopRing {
 public:
  [[nodiscard]] static Result<std::unique_ptr<EpollRing>> create(const Options& options);
  ~EpollRing() override;

  [[nodiscard]] IoBackend backend() const override { return IoBackend::kEpoll; }
  [[nodiscard]] Status enable() override { return Done{}; }
  void prepare_listener(int listener) override;
  void accept(int listener, std::uint64_t user_data) override;
  void receive(int socket, std::uint64_t user_data) override;
  void poll_readable(int descriptor, std::uint64_t user_data) override;
  void send(int socket, std::span<const std::uint8_t> bytes, std::uint64_t user_data) override;
  void shutdown_write(int socket, std::uint64_t user_data) override;
  void close(int descriptor, std::uint64_t user_data) override;
  void cancel(int descriptor, std::uint64_t target) override;
  void submit() override;
  void submit_and_wait(std::int64_t bound_ns) override;
  /// A system call, unless something is there already.
  [[nodiscard]] bool ready() override;
  std::uint32_t take_completions(std::uint32_t count_max, CompletionHandler& handler) override;

 private:
  /// What is under way on a descriptor: the user_data, kNobody where nothing is.
  struct Watch {
    std::uint64_t accepting = kNobody;
    std::uint64_t receiving = kNobody;
    std::uint64_t polling = kNobody;
    std::uint64_t sending = kNobody;
    std::span<const std::uint8_t> unsent;
    std::uint32_t interest = 0;  // what epoll was told; 0: it does not know the descriptor
  };

  EpollRing(int epoll, const Options& options);
  [[nodiscard]] Watch& watch(int descriptor);
  [[nodiscard]] int update(int descriptor);
  void begin(int descriptor, std::uint64_t Watch::*operation, std::uint64_t user_data);
  void queue(std::uint64_t user_data, std::int32_t result);
  [[nodiscard]] bool has_events() const { return next_event_ < event_count_; }
  void look(int timeout_ms);

  // Each does what one event allows; returns how many completions it handed over.
  std::uint32_t serve(const epoll_event& event, CompletionHandler& handler);
  std::uint32_t serve_accept(int listener, CompletionHandler& handler);
  std::uint32_t serve_receive(int socket, CompletionHandler& handler);
  std::uint32_t serve_send(int socket, CompletionHandler& handler);

  int epoll_;
  std::vector<Watch> watches_;  // by descriptor
  std::vector<std::uint8_t> buffer_;
  std::vector<LoopCompletion> queued_;
  std::size_t next_queued_ = 0;
  std::vector<epoll_event> events_;
  std::size_t event_count_ = 0;
  std::size_t next_event_ = 0;
};

}  // namespace deja
