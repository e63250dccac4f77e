#include "tools/serve/single_instance.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace deja {

Result<SingleInstance> SingleInstance::take(const std::string& path, const std::string& what) {
  constexpr int kAttempts = 20;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.open()) {
      return system_error("open the lock " + path,
                          "Choose a directory that this user may write to");
    }
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    if (fcntl(file.number(), F_SETLK, &lock) != 0) {
      if (errno != EACCES && errno != EAGAIN) return system_error("lock " + path);
      fcntl(file.number(), F_GETLK, &lock);
      const std::string who =
          lock.l_type == F_UNLCK ? "" : " (process " + std::to_string(lock.l_pid) + ")";
      return Error{"deja serve" + who + " already " + what, 0,
                   "Stop it, or give this appliance a name and directories of its own"};
    }
    // A supervisor that just stopped may have removed the file between our open and our lock.
    struct stat ours {};
    struct stat there {};
    if (fstat(file.number(), &ours) == 0 && stat(path.c_str(), &there) == 0 &&
        ours.st_ino == there.st_ino && ours.st_dev == there.st_dev) {
      return SingleInstance(std::move(file));
    }
  }
  return Error{"the lock " + path + " keeps being replaced", 0, "Start again in a moment"};
}

}  // namespace deja
