// What a loop asks of the kernel: operations are submitted with a user_data, completions bring it
// back. Two implementations that behave alike: loop_uring (io_uring) and loop_epoll, which carries
// the operations out itself where io_uring is refused. Made by any thread; from enable() on the
// thread that called it alone may use it. Steady state allocates nothing.
//
// Invariants
//  1. A multishot operation (accept, receive, poll_readable) completes again and again, each time
//     with `more`, until one completion without it; every other operation completes once.
//  2. A completion is handed over by take_completions() only, never from within a submission.
//  3. A receive that finds no buffer ends with -ENOBUFS; one that was cancelled, with -ECANCELED.
//  4. Nothing of kNobody's is reported.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "shm/base/io_backend.h"
#include "shm/base/result.h"

namespace deja {

struct LoopCompletion {
  std::uint64_t user_data = 0;
  std::int32_t result = 0;              ///< as the system call's, or -errno
  bool more = false;                    ///< a multishot operation goes on
  std::span<const std::uint8_t> bytes;  ///< received; valid during the call
};

class CompletionHandler {
 public:
  virtual ~CompletionHandler() = default;
  virtual void on_completion(const LoopCompletion& completion) = 0;
};

class LoopRing {
 public:
  /// The user_data of an operation whose end nobody waits for.
  static constexpr std::uint64_t kNobody = 0;

  struct Options {
    std::uint32_t entries = 1024;        ///< of the submission queue; a power of two
    std::uint32_t buffer_count = 256;    ///< a power of two, at most 32768
    std::uint32_t buffer_bytes = 16384;  ///< of one receive at most
  };
  [[nodiscard]] static Result<std::unique_ptr<LoopRing>> create(IoBackend backend,
                                                                const Options& options);
  LoopRing() = default;
  virtual ~LoopRing() = default;
  LoopRing(const LoopRing&) = delete;
  LoopRing& operator=(const LoopRing&) = delete;

  [[nodiscard]] virtual IoBackend backend() const = 0;
  /// Whether a receive may go on beyond its peer's end (ingest/loop_ends.h).
  [[nodiscard]] virtual bool misses_ends() const { return false; }
  /// First, and on the thread that will use it.
  [[nodiscard]] virtual Status enable() = 0;
  /// Before the first accept on it. The socket is held by other processes too, and is changed for
  /// them as well.
  virtual void prepare_listener(int listener) { static_cast<void>(listener); }

  /// Multishot.
  virtual void accept(int listener, std::uint64_t user_data) = 0;
  virtual void receive(int socket, std::uint64_t user_data) = 0;
  virtual void poll_readable(int descriptor, std::uint64_t user_data) = 0;
  /// `bytes` stay untouched until the completion, which may tell of fewer.
  virtual void send(int socket, std::span<const std::uint8_t> bytes, std::uint64_t user_data) = 0;
  virtual void shutdown_write(int socket, std::uint64_t user_data) = 0;
  /// No other operation on the descriptor may be under way.
  virtual void close(int descriptor, std::uint64_t user_data) = 0;
  /// Cancels the operation on `descriptor` that was submitted with `target`, where it is still
  /// under way.
  virtual void cancel(int descriptor, std::uint64_t target) = 0;

  /// Lets the kernel have what was submitted and say what it has done, without waiting.
  virtual void submit() = 0;
  /// The same, then waits for a completion, `bound_ns` at most.
  virtual void submit_and_wait(std::int64_t bound_ns) = 0;
  /// Whether a completion is there or only needs submit() to be.
  [[nodiscard]] virtual bool ready() = 0;

  /// Hands over up to about `count_max` completions; returns how many.
  virtual std::uint32_t take_completions(std::uint32_t count_max, CompletionHandler& handler) = 0;
};

}  // namespace deja
