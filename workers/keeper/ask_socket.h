// Where renderers ask for users whom they miss (shm/ask_layout.h): a datagram socket in the
// segment's directory, for the readers' group to write to. What comes is anybody's. The keeper's
// thread alone; never waits.
//
//  1. A question costs its asker a place in the kernel's queue, and the keeper a bounded look: what
//     does not fit is refused to the asker, not kept.
//  2. Without a socket (a path that is too long) all else works.
#pragma once

#include <cstdint>
#include <string>

#include "shm/ask_layout.h"
#include "shm/base/descriptor.h"
#include "shm/base/result.h"
#include "shm/segment.h"

namespace deja {

class AskSocket {
 public:
  /// Takes a former keeper's place.
  [[nodiscard]] static Result<AskSocket> open(const Segment& segment);

  /// For a sleeper to be woken by.
  [[nodiscard]] int descriptor() const { return descriptor_.number(); }

  /// Visits the keys of up to `datagrams_max` datagrams. Returns how many of those made no sense.
  template <typename Visit>
  std::uint64_t receive(std::uint32_t datagrams_max, Visit&& visit) {
    std::uint64_t broken = 0;
    std::uint8_t bytes[kAskBytesMax + 1];  // one more: what is longer is none
    for (std::uint32_t count = 0; count < datagrams_max; ++count) {
      const std::int64_t size = take(bytes, sizeof bytes);
      if (size < 0) break;
      const auto whole = static_cast<std::size_t>(size);
      if (whole > kAskBytesMax || !read_ask(bytes, whole, incarnation_, key_bytes_max_, visit)) {
        ++broken;
      }
    }
    return broken;
  }

 private:
  AskSocket(Descriptor descriptor, const Segment& segment)
      : descriptor_(std::move(descriptor)),
        incarnation_(segment.superblock().incarnation),
        key_bytes_max_(segment.geometry().key_bytes) {}
  /// Below 0: nothing is there.
  [[nodiscard]] std::int64_t take(std::uint8_t* into, std::size_t size) const;

  Descriptor descriptor_;
  std::uint64_t incarnation_;
  std::uint32_t key_bytes_max_;
};

}  // namespace deja
