// That only one supervisor serves a name, and only one uses a durability directory: an fcntl lock
// on a file, which the kernel drops when its process dies. The file is opened once in this process:
// closing a second descriptor of it would drop the lock. Start-up code; one thread.
#pragma once

#include <string>

#include "shm/base/result.h"
#include "tools/serve/descriptor.h"

namespace deja {

class SingleInstance {
 public:
  /// `what` completes the sentence "deja serve (process 4711) already …".
  [[nodiscard]] static Result<SingleInstance> take(const std::string& path,
                                                   const std::string& what);

 private:
  explicit SingleInstance(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}
  Descriptor descriptor_;
};

}  // namespace deja
