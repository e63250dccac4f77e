// The few connections that a loop which never sleeps (`wait = "spin"`) reads itself, with a recv()
// in each pass, instead of having the kernel tell of their bytes. Being told costs the sender: its
// send() finds a waiter and queues work for it, on lines that go from core to core. Looking costs a
// system call per connection and pass: so few have a place, and a connection that is quiet for a
// while gives its up. Private to ingest/loop.cc; its thread only; allocates in its constructor
// alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ingest/loop_ring.h"

namespace deja {

class DirectPlaces {
 public:
  /// How many connections.
  static constexpr std::size_t kPlaces = 4;
  /// How often one is read in a pass, while there is more: then the others have their turn.
  static constexpr unsigned kReadsPerPass = 8;

  /// `count`: of places, kPlaces at most.
  explicit DirectPlaces(std::size_t count) : count_(count), buffer_(count == 0 ? 0 : kReadBytes) {}

  /// A place that is neither taken nor promised.
  [[nodiscard]] bool has_room() const { return taken_ + promised_ < count_; }
  [[nodiscard]] std::size_t taken() const { return taken_; }
  /// The number of the connection at a place, from 0 to taken().
  [[nodiscard]] std::uint32_t at(std::size_t place) const { return numbers_[place]; }
  void take(std::uint32_t number) { numbers_[taken_++] = number; }
  /// To one whose receive at the ring has to end before.
  void promise() { ++promised_; }
  void end_promise() { --promised_; }
  /// Those behind it move up.
  void give_up(std::uint32_t number);

  /// One look at a socket. False: there is nothing. `completion` is as a ring's
  /// (ingest/loop_ring.h), but for its user_data; its bytes are valid until the next look.
  [[nodiscard]] bool receive(int socket, LoopCompletion& completion);
  /// Whether a look that brought so many bytes may have left some.
  [[nodiscard]] static bool was_full(const LoopCompletion& completion) {
    return completion.bytes.size() == kReadBytes;
  }

 private:
  static constexpr std::size_t kReadBytes = 16384;

  std::size_t count_;
  std::size_t taken_ = 0;
  std::size_t promised_ = 0;
  std::array<std::uint32_t, kPlaces> numbers_{};
  std::vector<std::uint8_t> buffer_;
};

}  // namespace deja
