// The journal's directory on a real file system. Appends go through io_uring (a write linked to a
// sync, so that the keeper drains on meanwhile) or, where that is refused, are plain writes that
// block. liburing's second home.
#include <dirent.h>
#include <fcntl.h>
#include <liburing.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

#include "shm/base/descriptor.h"
#include "workers/journal/journal_disk.h"

namespace deja {
namespace {

/// Writes all of it; a short write goes on, and ends where the disk says why.
Status write_all(int descriptor, std::uint64_t position, std::span<const std::uint8_t> bytes,
                 const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written =
        pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(position));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error("write " + path);
    if (written == 0) return Error{"write " + path, EIO, {}};
    position += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return Done{};
}

class PosixJournalDisk : public JournalDisk {
 public:
  PosixJournalDisk(std::string directory, Descriptor descriptor)
      : directory_(std::move(directory)), directory_descriptor_(std::move(descriptor)) {}

  Result<std::vector<std::string>> list() override {
    std::vector<std::string> names;
    DIR* open_directory = opendir(directory_.c_str());
    if (open_directory == nullptr) return system_error("read the directory " + directory_);
    while (const dirent* entry = readdir(open_directory)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    closedir(open_directory);
    return names;
  }

  Result<std::uint64_t> data_bytes(const std::string& name) override {
    const Descriptor file(
        openat(directory_descriptor_.number(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (file.number() < 0) return system_error("open " + path(name));
    // From hole to hole; where the file system knows of none this is the file's end.
    off_t end = 0;
    for (off_t data = 0; (data = lseek(file.number(), end, SEEK_DATA)) >= 0;) {
      end = lseek(file.number(), data, SEEK_HOLE);
      if (end < 0) return system_error("look through " + path(name));
    }
    if (errno != ENXIO) return system_error("look through " + path(name));
    return static_cast<std::uint64_t>(end);
  }

  Status read(const std::string& name, std::uint64_t position,
              std::span<std::uint8_t> into) override {
    if (name != reading_name_) {
      reading_ = Descriptor(
          openat(directory_descriptor_.number(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
      reading_name_ = reading_.number() < 0 ? std::string() : name;
      if (reading_.number() < 0) return system_error("open " + path(name));
    }
    while (!into.empty()) {
      const ssize_t bytes =
          pread(reading_.number(), into.data(), into.size(), static_cast<off_t>(position));
      if (bytes < 0 && errno == EINTR) continue;
      if (bytes < 0) return system_error("read " + path(name));
      if (bytes == 0) return Error{"read " + path(name) + ": it ends too early", 0, {}};
      position += static_cast<std::uint64_t>(bytes);
      into = into.subspan(static_cast<std::size_t>(bytes));
    }
    return Done{};
  }

  Status create(const std::string& name, std::uint64_t bytes,
                std::span<const std::uint8_t> first) override {
    Descriptor made = Descriptor(openat(directory_descriptor_.number(), name.c_str(),
                                        O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (made.number() < 0) return system_error("create " + path(name));
    // Space now, so that a full disk is known before an event is collected. Where the file system
    // can't promise any (EOPNOTSUPP), writes will tell.
    if (fallocate(made.number(), 0, 0, static_cast<off_t>(bytes)) != 0 && errno != EOPNOTSUPP) {
      // Of the directory, since the next try has another name and is no news.
      const Error error =
          system_error("find " + std::to_string(bytes >> 20U) + " MiB of room in " + directory_);
      unlinkat(directory_descriptor_.number(), name.c_str(), 0);
      return error;
    }
    if (Status done = write_all(made.number(), 0, first, path(name)); !done) return done;
    if (fsync(made.number()) != 0) return system_error("sync " + path(name));
    if (Status done = sync_directory(); !done) return done;
    appending_ = std::move(made);
    return Done{};
  }

  Status replace(const std::string& name, std::span<const std::uint8_t> bytes) override {
    const std::string temporary = name + ".new";
    const Descriptor made(openat(directory_descriptor_.number(), temporary.c_str(),
                                 O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (made.number() < 0) return system_error("create " + path(temporary));
    if (Status done = write_all(made.number(), 0, bytes, path(temporary)); !done) return done;
    if (fdatasync(made.number()) != 0) return system_error("sync " + path(temporary));
    if (renameat(directory_descriptor_.number(), temporary.c_str(), directory_descriptor_.number(),
                 name.c_str()) != 0) {
      return system_error("rename " + path(temporary));
    }
    if (name == reading_name_) reading_name_.clear();
    return sync_directory();
  }

  bool holds_its_size(const std::string& name) override {
    struct stat facts {};
    return fstatat(directory_descriptor_.number(), name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) ==
               0 &&
           facts.st_blocks * 512 >= facts.st_size;
  }
  void give_back(const std::string& name, std::uint64_t position) override {
    const Descriptor file(
        openat(directory_descriptor_.number(), name.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    struct stat facts {};
    if (!file.open() || fstat(file.number(), &facts) != 0) return;
    const auto begin = static_cast<off_t>(position);
    if (begin >= facts.st_size) return;
    static_cast<void>(fallocate(file.number(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, begin,
                                facts.st_size - begin));
  }

  Status remove(const std::string& name) override {
    if (name == reading_name_) reading_name_.clear();
    if (unlinkat(directory_descriptor_.number(), name.c_str(), 0) != 0) {
      return system_error("remove " + path(name));
    }
    return Done{};
  }

 protected:
  [[nodiscard]] int appending() const { return appending_.number(); }
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }

 private:
  Status sync_directory() {
    if (fsync(directory_descriptor_.number()) != 0) return system_error("sync " + directory_);
    return Done{};
  }

  std::string directory_;
  Descriptor directory_descriptor_;
  Descriptor appending_;
  Descriptor reading_;
  std::string reading_name_;
};

/// Blocks in begin_append().
class PlainJournalDisk final : public PosixJournalDisk {
 public:
  using PosixJournalDisk::PosixJournalDisk;

  void begin_append(std::uint64_t position, std::span<const std::uint8_t> bytes) override {
    const Status written = write_all(appending(), position, bytes, "the journal");
    int error_number = written ? 0 : written.error().error_number;
    if (error_number == 0 && fdatasync(appending()) != 0) error_number = errno;
    result_ = error_number;
  }
  std::optional<int> result() override { return std::exchange(result_, std::nullopt); }
  void wait(std::int64_t) override {}
  const char* kind() const override { return "plain writes"; }

 private:
  std::optional<int> result_;
};

class UringJournalDisk final : public PosixJournalDisk {
 public:
  using PosixJournalDisk::PosixJournalDisk;
  ~UringJournalDisk() override {
    if (!made_) return;
    // The kernel may still read the group's memory.
    while (waited_for_ != 0) wait(100'000'000);
    io_uring_queue_exit(&ring_);
  }

  /// errno, 0 when it was made.
  int set_up() {
    const int result = io_uring_queue_init(8, &ring_, 0);
    made_ = result == 0;
    return -result;
  }

  void begin_append(std::uint64_t position, std::span<const std::uint8_t> bytes) override {
    io_uring_sqe* write = io_uring_get_sqe(&ring_);
    io_uring_prep_write(write, appending(), bytes.data(), static_cast<unsigned>(bytes.size()),
                        position);
    write->flags |= static_cast<std::uint8_t>(IOSQE_IO_LINK);  // a short write cuts the link
    write->user_data = kWrite;
    io_uring_sqe* sync = io_uring_get_sqe(&ring_);
    io_uring_prep_fsync(sync, appending(), IORING_FSYNC_DATASYNC);
    sync->user_data = kSync;
    wanted_bytes_ = bytes.size();
    error_number_ = 0;
    waited_for_ = 2;
    int submitted = 0;
    do {
      submitted = io_uring_submit(&ring_);
    } while (submitted == -EINTR || submitted == -EAGAIN || submitted == -EBUSY);
    if (submitted != 2) {
      // Nothing else uses this ring, so this is a broken one; the segment is given up.
      waited_for_ = 0;
      error_number_ = submitted < 0 ? -submitted : EIO;
    }
    done_ = false;
  }

  std::optional<int> result() override {
    reap();
    if (done_ || waited_for_ != 0) return std::nullopt;
    done_ = true;
    return error_number_;
  }

  void wait(std::int64_t bound_ns) override {
    if (waited_for_ == 0) return;
    __kernel_timespec bound{};
    bound.tv_sec = bound_ns / 1'000'000'000;
    bound.tv_nsec = bound_ns % 1'000'000'000;
    io_uring_cqe* completion = nullptr;
    (void)io_uring_wait_cqe_timeout(&ring_, &completion, &bound);
    reap();
  }
  const char* kind() const override { return "io_uring"; }

 private:
  static constexpr std::uint64_t kWrite = 1;
  static constexpr std::uint64_t kSync = 2;

  void reap() {
    io_uring_cqe* completion = nullptr;
    while (waited_for_ != 0 && io_uring_peek_cqe(&ring_, &completion) == 0) {
      const std::uint64_t what = completion->user_data;
      const std::int32_t result = completion->res;
      io_uring_cqe_seen(&ring_, completion);
      if (what != kWrite && what != kSync) continue;  // a time-out of wait()
      --waited_for_;
      if (error_number_ != 0) continue;  // the first reason is the reason
      if (result < 0) {
        error_number_ = -result;
      } else if (what == kWrite && static_cast<std::uint64_t>(result) != wanted_bytes_) {
        error_number_ = ENOSPC;  // a short write to a file is a disk without room
      }
    }
  }

  io_uring ring_{};
  bool made_ = false;
  bool done_ = true;
  int waited_for_ = 0;  // completions of the append under way
  int error_number_ = 0;
  std::uint64_t wanted_bytes_ = 0;
};

}  // namespace

Result<std::unique_ptr<JournalDisk>> open_journal_disk(const std::string& directory) {
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return system_error("create the journal's directory " + directory,
                        "Choose a [durability] directory that this user may write to");
  }
  const auto open_directory = [&directory] {
    return Descriptor(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  };
  Descriptor opened = open_directory();
  if (opened.number() < 0) {
    return system_error("open the journal's directory " + directory,
                        "Choose a [durability] directory that this user may write to");
  }
  const char* wish = std::getenv("DEJA_IO");
  if (wish == nullptr || std::strcmp(wish, "epoll") != 0) {
    auto disk = std::make_unique<UringJournalDisk>(directory, std::move(opened));
    if (disk->set_up() == 0) return std::unique_ptr<JournalDisk>(std::move(disk));
    opened = open_directory();
  }
  return std::unique_ptr<JournalDisk>(
      std::make_unique<PlainJournalDisk>(directory, std::move(opened)));
}

}  // namespace deja
