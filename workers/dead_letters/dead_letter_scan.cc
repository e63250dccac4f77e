#include "workers/dead_letters/dead_letter_scan.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_map>

namespace deja {
namespace {

/// Places that look like a frame and are none, before the rest is given up: a file that is made so
/// would cost a checksum over a whole payload at each.
constexpr unsigned kFalseFramesMax = 1024;
/// Settled words and the last letter may lie beyond the bound.
constexpr std::uint64_t kReadMax = kDeadLetterFileMax + (64U << 20U);

struct Frame {
  DeadLetterFrameLayout head{};
  std::span<const std::uint8_t> payload;
  std::uint64_t end = 0;
};

class Scanner {
 public:
  explicit Scanner(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  DeadLetterScan run() {
    if (bytes_.size() < sizeof found_.header) {
      found_.tail_bytes = bytes_.size();
      return std::move(found_);
    }
    std::memcpy(&found_.header, bytes_.data(), sizeof found_.header);
    found_.state = header_state();
    if (found_.state != DeadLetterScan::State::kGood) return std::move(found_);
    std::uint64_t position = sizeof found_.header;
    found_.good_end = position;
    while (position < bytes_.size() && false_frames_ <= kFalseFramesMax) {
      Frame frame;
      if (!read_frame(position, frame)) {
        position += 8;
        continue;
      }
      if (position != found_.good_end) damaged(found_.good_end, position);
      take(frame);
      position = found_.good_end = frame.end;
    }
    found_.tail_bytes = bytes_.size() - found_.good_end;
    if (false_frames_ > kFalseFramesMax) {
      found_.damages.push_back("too much of it is damaged: nothing is read behind byte " +
                               std::to_string(found_.good_end));
    }
    return std::move(found_);
  }

 private:
  [[nodiscard]] DeadLetterScan::State header_state() const {
    using State = DeadLetterScan::State;
    const DeadLetterHeaderLayout& header = found_.header;
    if (header.magic != kDeadLetterMagic) return State::kBroken;
    if (header.version > kDeadLetterVersion) return State::kNewer;
    if (header.version == 0 || header.checksum != dead_letter_header_checksum(header)) {
      return State::kBroken;
    }
    return State::kGood;
  }

  bool read_frame(std::uint64_t position, Frame& frame) {
    const std::uint64_t left = bytes_.size() - position;
    if (left < sizeof frame.head) return false;
    std::memcpy(&frame.head, bytes_.data() + position, sizeof frame.head);
    const DeadLetterFrameLayout& head = frame.head;
    if (head.magic != kDeadLetterFrameMagic || head.payload_bytes > kDeadLetterPayloadMax ||
        dead_letter_frame_bytes(head.payload_bytes) > left) {
      return false;
    }
    frame.payload = bytes_.subspan(position + sizeof head, head.payload_bytes);
    if (head.checksum != dead_letter_frame_checksum(found_.header, head, frame.payload)) {
      ++false_frames_;
      return false;
    }
    frame.end = position + dead_letter_frame_bytes(head.payload_bytes);
    return true;
  }

  void damaged(std::uint64_t from, std::uint64_t to) {
    found_.damages.push_back("bytes " + std::to_string(from) + " to " + std::to_string(to) +
                             " are damaged: what was kept there is lost");
  }

  void take(const Frame& frame) {
    switch (frame.head.kind) {
      case DeadLetterFrameKind::kCatalog:
        found_.catalogs.push_back(frame.payload);
        return;
      case DeadLetterFrameKind::kLetter:
        take_letter(frame);
        return;
      case DeadLetterFrameKind::kSettled:
        if (const auto known = places_.find(frame.head.number); known != places_.end()) {
          found_.letters[known->second].settled = true;
        }
        return;
    }
    found_.damages.emplace_back("there is a frame of an unknown kind");
  }

  void take_letter(const Frame& frame) {
    DeadLetter letter;
    letter.number = frame.head.number;
    const std::uint64_t last = found_.letters.empty() ? 0 : found_.letters.back().number;
    if (frame.payload.size() < sizeof letter.head || letter.number <= last) {
      found_.damages.push_back("letter " + std::to_string(letter.number) +
                               (letter.number <= last ? " is there twice" : " is too short"));
      return;
    }
    std::memcpy(&letter.head, frame.payload.data(), sizeof letter.head);
    letter.record = frame.payload.subspan(sizeof letter.head);
    if (!found_.catalogs.empty()) letter.catalog = found_.catalogs.size() - 1;
    places_.emplace(letter.number, found_.letters.size());
    found_.letters.push_back(letter);
  }

  std::span<const std::uint8_t> bytes_;
  DeadLetterScan found_;
  std::unordered_map<std::uint64_t, std::size_t> places_;  // by number
  unsigned false_frames_ = 0;
};

}  // namespace

DeadLetterScan scan_dead_letters(std::span<const std::uint8_t> bytes) {
  return Scanner(bytes).run();
}

Result<std::vector<std::uint8_t>> read_dead_letters(int descriptor, const std::string& path) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return system_error("look at " + path);
  if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) > kReadMax) {
    return Error{path + " is no file of dead letters", 0, "Move it away"};
  }
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(status.st_size));
  std::size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t got =
        pread(descriptor, bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("read " + path);
    if (got == 0) break;  // cut meanwhile
    at += static_cast<std::size_t>(got);
  }
  bytes.resize(at);
  return bytes;
}

Result<std::vector<std::uint8_t>> read_dead_letters(const std::string& path) {
  // Not to be held up by a FIFO of that name.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0 && errno == ENOENT) return std::vector<std::uint8_t>();
  if (descriptor < 0) {
    return system_error("open " + path, "Run as the service's user, or as root");
  }
  Result<std::vector<std::uint8_t>> bytes = read_dead_letters(descriptor, path);
  close(descriptor);
  return bytes;
}

}  // namespace deja
