// Keeps the profile table out of swap (mlock) for as long as it lives, where this process may: a
// profile that is read must not have to come from a disk first. The supervisor's, since it outlives
// every child. Start-up code; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shm/base/result.h"
#include "shm/segment.h"

namespace deja {

class LockedTable {
 public:
  /// Maps the table and locks what it may; a refusal is a note and no error.
  [[nodiscard]] static Result<LockedTable> lock(const Segment& segment);

  [[nodiscard]] std::uint64_t locked_bytes() const { return locked_bytes_; }
  /// What is missing and why; empty where all is locked.
  [[nodiscard]] const std::string& note() const { return note_; }

 private:
  std::vector<MappedFile> files_;
  std::uint64_t locked_bytes_ = 0;
  std::string note_;
};

}  // namespace deja
