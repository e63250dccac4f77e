#include "ring/bell.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <utility>

namespace deja {
namespace {

/// Both sides' fence of SYNC(bell.dekker).
void fence() {
#ifdef DEJA_THREAD_SANITIZER
  // ThreadSanitizer knows no stand-alone fences; a locked instruction on a word of our own is as
  // strong on x86, and orders nothing between threads in the sanitizer's eyes.
  std::atomic<std::uint32_t> own{0};
  own.fetch_add(1, std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

/// For both ends open for reading and writing: so the FIFO has a reader and a writer as long as
/// either end lives, and neither a hang-up nor a SIGPIPE can happen.
Result<int> open_fifo(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) {
    return system_error("open the bell " + path, "The supervisor makes it: start with deja serve");
  }
  struct stat status {};
  if (fstat(descriptor, &status) != 0 || !S_ISFIFO(status.st_mode)) {
    close(descriptor);
    return Error{path + " is not a FIFO", 0, "Remove it and start the appliance again"};
  }
  return descriptor;
}

}  // namespace

// --- the sleeper --------------------------------------------------------------------------------

Result<Bell> Bell::open(const Segment& segment, const std::string& name) {
  Result<MappedFile> file = segment.map("bell-" + name, MappedFile::Mode::kReadWrite);
  if (!file.ok()) return file.error();
  if (file->bytes() < sizeof(BellLayout)) return Error{"bell-" + name + " is too short", 0, ""};
  const Result<int> descriptor = open_fifo(segment.stable_path("bell-" + name + ".fifo"));
  if (!descriptor.ok()) return descriptor.error();
  return Bell(std::move(*file), *descriptor);
}

Bell::Bell(MappedFile file, int descriptor)
    : file_(std::move(file)), layout_(file_.at<BellLayout>()), descriptor_(descriptor) {
  awake();  // whoever slept here before may have been killed asleep
}

Bell::Bell(Bell&& other) noexcept
    : file_(std::move(other.file_)),
      layout_(other.layout_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      other_(std::exchange(other.other_, -1)),
      rung_(other.rung_) {}

Bell::~Bell() {
  if (descriptor_ >= 0) close(descriptor_);
}

void Bell::announce_sleep() {
  // Before the flag: a byte that comes after it belongs to the sleep that follows.
  if (rung_) empty();
  layout_->sleeping.store(1, std::memory_order_relaxed);
  fence();  // SYNC(bell.dekker): a waker that misses the flag published before our next look
}

void Bell::cancel_sleep() {
  layout_->sleeping.store(0, std::memory_order_relaxed);
}

void Bell::sleep(std::int64_t bound_ns) {
  pollfd rung[] = {{descriptor_, POLLIN, 0}, {other_, POLLIN, 0}};  // -1 is passed over
  const timespec bound{bound_ns / 1'000'000'000, bound_ns % 1'000'000'000};
  if (ppoll(rung, 2, &bound, nullptr) > 0) rung_ = rung[0].revents != 0;
  cancel_sleep();
}

void Bell::awake() {
  // First the flag, then the bytes: one rung in between costs a short sleep, and is not lost.
  cancel_sleep();
  empty();
}

void Bell::empty() {
  rung_ = false;
  char bytes[256];
  while (read(descriptor_, bytes, sizeof bytes) == static_cast<ssize_t>(sizeof bytes)) {
  }
}

// --- a waker ------------------------------------------------------------------------------------

Result<BellRope> BellRope::open(const Segment& segment, const std::string& name) {
  Result<MappedFile> file = segment.map("bell-" + name, MappedFile::Mode::kReadOnly);
  if (!file.ok()) return file.error();
  if (file->bytes() < sizeof(BellLayout)) return Error{"bell-" + name + " is too short", 0, ""};
  const Result<int> descriptor = open_fifo(segment.stable_path("bell-" + name + ".fifo"));
  if (!descriptor.ok()) return descriptor.error();
  return BellRope(std::move(*file), *descriptor);
}

BellRope::BellRope(MappedFile file, int descriptor)
    : file_(std::move(file)), layout_(file_.at<const BellLayout>()), descriptor_(descriptor) {}

BellRope::BellRope(BellRope&& other) noexcept
    : file_(std::move(other.file_)),
      layout_(other.layout_),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

BellRope::~BellRope() {
  if (descriptor_ >= 0) close(descriptor_);
}

bool BellRope::ring_if_asleep() {
  fence();  // SYNC(bell.dekker): a sleeper whose flag we miss looks again and sees what we
            // published
  if (layout_->sleeping.load(std::memory_order_relaxed) == 0) return false;
  const char byte = 0;
  // A full FIFO wakes as well as one more byte would.
  const ssize_t written = write(descriptor_, &byte, 1);
  return written == 1 || errno == EAGAIN;
}

}  // namespace deja
