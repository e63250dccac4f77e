// What the journal asks of a disk, and no more: so that tests can put a disk under it that loses,
// tears and refuses. One thread, that of its owner; blocking where it says so.
//
// One file at a time is open for appending. At most one append is under way.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shm/base/result.h"

namespace deja {

class JournalDisk {
 public:
  virtual ~JournalDisk() = default;

  /// Names in the journal's directory. Blocks.
  [[nodiscard]] virtual Result<std::vector<std::string>> list() = 0;
  /// Up to where the file has anything but holes, which are read as zeros. Blocks.
  [[nodiscard]] virtual Result<std::uint64_t> data_bytes(const std::string& name) = 0;
  /// Fills `into` from `position` on; what lies behind the file's end is an error. Blocks.
  [[nodiscard]] virtual Status read(const std::string& name, std::uint64_t position,
                                    std::span<std::uint8_t> into) = 0;

  /// Makes a file that is not there yet, gives it `bytes` of space, writes `first` at its begin,
  /// syncs file and directory; from now on it is the one that append() writes to. Blocks. On an
  /// error no file is open, and the name is not to be used again.
  [[nodiscard]] virtual Status create(const std::string& name, std::uint64_t bytes,
                                      std::span<const std::uint8_t> first) = 0;

  /// Begins to write `bytes` at `position` of the open file and then to sync it. `bytes` stay
  /// untouched until result() has said how it went.
  virtual void begin_append(std::uint64_t position, std::span<const std::uint8_t> bytes) = 0;
  /// How the append went: errno, 0 when all of it was written and synced. Nothing while it is under
  /// way. A short write is ENOSPC or EIO, as the disk means it.
  [[nodiscard]] virtual std::optional<int> result() = 0;
  /// Sleeps until the append under way may have ended, `bound_ns` at most.
  virtual void wait(std::int64_t bound_ns) = 0;

  /// Writes a whole file anew and syncs it, then puts it in the place of `name`. Blocks.
  [[nodiscard]] virtual Status replace(const std::string& name,
                                       std::span<const std::uint8_t> bytes) = 0;
  /// Whether the file holds all the space of its size: nothing was given back. Blocks.
  [[nodiscard]] virtual bool holds_its_size(const std::string& name) = 0;
  /// Gives the space behind `position` of a file back, which holds nothing but zeros: they are read
  /// as before. Where the file system can't, it stays. Blocks.
  virtual void give_back(const std::string& name, std::uint64_t position) = 0;
  /// Blocks. That the name is gone may be lost with the power; then it is there again.
  [[nodiscard]] virtual Status remove(const std::string& name) = 0;

  /// "io_uring" or "plain writes", for a person.
  [[nodiscard]] virtual const char* kind() const = 0;
};

/// The real one, in a directory (made if need be, 0700): io_uring, or plain writes where the kernel
/// refuses it or DEJA_IO=epoll says so.
[[nodiscard]] Result<std::unique_ptr<JournalDisk>> open_journal_disk(const std::string& directory);

}  // namespace deja
