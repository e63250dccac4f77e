#include "shm/place_lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace deja {
namespace {

struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

/// Who keeps others from this lock, as PlaceLock::holder() says it.
pid_t holder_of(int descriptor) {
  struct flock lock = whole_file();
  if (fcntl(descriptor, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return 0;
  return lock.l_pid > 0 ? lock.l_pid : -1;
}

bool lies_at(int descriptor, const std::string& path) {
  struct stat ours {};
  struct stat there {};
  return fstat(descriptor, &ours) == 0 && stat(path.c_str(), &there) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

}  // namespace

Result<PlaceLock> PlaceLock::take(const std::string& path) {
  constexpr int kAttempts = 20;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0) {
      return system_error("open the lock " + path,
                          "Choose a directory that this user may write to");
    }
    PlaceLock place(descriptor);
    struct flock lock = whole_file();
    if (fcntl(descriptor, F_SETLK, &lock) != 0) {
      if (errno != EACCES && errno != EAGAIN) return system_error("lock " + path);
      const pid_t other = holder_of(descriptor);
      return Error{"lock " + path +
                       (other > 0 ? ": process " + std::to_string(other) + " has it"
                                  : std::string(": another process has it")),
                   EAGAIN, "It must end first"};
    }
    // Whoever had it may have removed the file between our open and our lock.
    if (lies_at(descriptor, path)) return place;
  }
  return Error{"the lock " + path + " keeps being replaced", 0, "Start again in a moment"};
}

pid_t PlaceLock::holder(const std::string& path) {
  const PlaceLock file(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  return file.descriptor_ < 0 ? 0 : holder_of(file.descriptor_);
}

PlaceLock::~PlaceLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace deja
