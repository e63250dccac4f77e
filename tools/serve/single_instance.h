// That only one supervisor serves a name, and only one uses a durability directory. Start-up code;
// one thread.
#pragma once

#include <string>
#include <utility>

#include "shm/place_lock.h"

namespace deja {

class SingleInstance {
 public:
  /// `what` completes the sentence "deja serve (process 4711) already …".
  [[nodiscard]] static Result<SingleInstance> take(const std::string& path,
                                                   const std::string& what);

 private:
  explicit SingleInstance(PlaceLock lock) : lock_(std::move(lock)) {}
  PlaceLock lock_;
};

}  // namespace deja
