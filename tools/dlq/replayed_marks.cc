#include "tools/dlq/replayed_marks.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "shm/base/clock.h"
#include "shm/keyed_hash.h"

namespace deja {
namespace {

constexpr std::uint64_t kMagic = 0x314b524d'414a4544;  // "DEJAMRK1"
constexpr off_t kBytesMax = off_t{64} << 20;
constexpr const char* kRemedy = "Run as the service's user, or as root";

std::uint64_t checksum_of(const ReplayedMarkLayout& mark) {
  constexpr HashSecret kConstant{{0x64656a612d6d726bU, 0x7265706c61796564U}};
  return sip_hash<1, 3>(kConstant, reinterpret_cast<const char*>(&mark),
                        offsetof(ReplayedMarkLayout, checksum),
                        offsetof(ReplayedMarkLayout, checksum));
}

}  // namespace

Result<ReplayedMarks> ReplayedMarks::read(const std::string& directory, std::uint64_t file) {
  ReplayedMarks marks(directory + "/" + kReplayedFile, file);
  const Descriptor descriptor(
      open(marks.path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!descriptor.open() && errno == ENOENT) return marks;
  if (!descriptor.open()) return system_error("open " + marks.path_, kRemedy);
  if (Status done = marks.load(descriptor.number()); !done) return done.error();
  return marks;
}

Status ReplayedMarks::load(int descriptor) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return system_error("look at " + path_);
  if (!S_ISREG(status.st_mode) || status.st_size > kBytesMax) {
    return Error{path_ + " is no file of marks", 0, "Move it away"};
  }
  marks_.clear();
  ReplayedMarkLayout mark{};
  const auto size = static_cast<off_t>(sizeof mark);
  for (off_t at = 0; at + size <= status.st_size; at += size) {
    if (pread(descriptor, &mark, sizeof mark, at) != static_cast<ssize_t>(sizeof mark)) {
      return system_error("read " + path_);
    }
    if (mark.magic != kMagic || mark.file != file_ || mark.checksum != checksum_of(mark)) continue;
    marks_[mark.number] = mark.replayed_us;
  }
  return Done{};
}

Status ReplayedMarks::lock() {
  descriptor_ =
      Descriptor(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!descriptor_.open()) return system_error("open " + path_, kRemedy);
  if (flock(descriptor_.number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return system_error("lock " + path_);
    return Error{"another deja dlq replay is at it", 0,
                 "Wait for it, then look with deja dlq list"};
  }
  // Root's file would keep the service's user out.
  const std::string directory = path_.substr(0, path_.rfind('/'));
  struct stat owner {};
  if (geteuid() == 0 && stat(directory.c_str(), &owner) == 0 &&
      fchown(descriptor_.number(), owner.st_uid, owner.st_gid) != 0) {
    return system_error("give " + path_ + " to its directory's owner");
  }
  return load(descriptor_.number());
}

Status ReplayedMarks::add(std::uint64_t number) {
  ReplayedMarkLayout mark{};
  mark.magic = kMagic;
  mark.file = file_;
  mark.number = number;
  mark.replayed_us = wall_us();
  mark.checksum = checksum_of(mark);
  struct stat status {};
  if (fstat(descriptor_.number(), &status) != 0) return system_error("look at " + path_);
  // Over the torn one of a process that died here.
  const auto size = static_cast<off_t>(sizeof mark);
  const off_t at = status.st_size / size * size;
  const ssize_t written = pwrite(descriptor_.number(), &mark, sizeof mark, at);
  if (written < 0) return system_error("write " + path_, "Make room there");
  if (written != static_cast<ssize_t>(sizeof mark)) {
    return Error{"write " + path_, ENOSPC, "Make room there"};
  }
  if (fdatasync(descriptor_.number()) != 0) return system_error("sync " + path_);
  marks_[number] = mark.replayed_us;
  return Done{};
}

}  // namespace deja
