#include "workers/dead_letters/dead_letters.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "shm/base/clock.h"
#include "shm/base/crash_point.h"

namespace deja {
namespace {

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

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

Status sync_directory(const std::string& directory) {
  const int descriptor = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return system_error("open " + directory);
  const int failed = fsync(descriptor) == 0 ? 0 : errno;
  close(descriptor);
  if (failed != 0) return Error{"sync " + directory, failed, {}};
  return Done{};
}

}  // namespace

DeadLetters::DeadLetters(const std::string& directory, std::uint64_t incarnation,
                         std::string catalog)
    : DeadLetters(directory, incarnation, std::move(catalog), Limits{}) {}

DeadLetters::DeadLetters(const std::string& directory, std::uint64_t incarnation,
                         std::string catalog, Limits limits)
    : directory_(directory),
      path_(directory + "/" + kDeadLettersFile),
      incarnation_(incarnation),
      catalog_(std::move(catalog)),
      limits_(limits) {}

DeadLetters::~DeadLetters() {
  close_file();
}

void DeadLetters::close_file() {
  if (descriptor_ >= 0 && unsynced_) static_cast<void>(fdatasync(descriptor_));
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
  end_ = 0;
  unsynced_ = half_full_said_ = false;
}

bool DeadLetters::open() {
  return ready();
}

/// The file is open, and is the one of that name. False: problem_ says why not.
bool DeadLetters::ready() {
  if (descriptor_ >= 0 && still_there()) return true;
  if (steady_ns() < retry_at_ns_) return false;
  close_file();
  if (Status done = open_file(); !done) {
    failed(done.error());
    return false;
  }
  problem_.clear();
  return true;
}

bool DeadLetters::still_there() const {
  struct stat status {};
  return stat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_;
}

Status DeadLetters::open_file() {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (descriptor_ < 0) return system_error("open " + path_);
  const Result<std::vector<std::uint8_t>> bytes = read_dead_letters(descriptor_, path_);
  if (!bytes) return bytes.error();
  const DeadLetterScan scan = scan_dead_letters(*bytes);
  if (scan.state == DeadLetterScan::State::kBroken) return set_aside("is no file of dead letters");
  if (scan.state == DeadLetterScan::State::kNewer) return set_aside("is of a later version");
  if (scan.state == DeadLetterScan::State::kEmpty) return begin_file();
  for (const std::string& damage : scan.damages) notes_.push_back("dead letters: " + damage);
  if (scan.tail_bytes != 0) {
    if (ftruncate(descriptor_, static_cast<off_t>(scan.good_end)) != 0 ||
        fdatasync(descriptor_) != 0) {
      return system_error("cut a torn tail off " + path_);
    }
    notes_.push_back("dead letters: " + std::to_string(scan.tail_bytes) +
                     " bytes of an unfinished write are cut off");
  }
  // A keeper that died while it made the file may not have synced its name.
  if (Status done = sync_directory(directory_); !done) return done;
  header_ = scan.header;
  end_ = scan.good_end;
  last_number_ = scan.letters.empty() ? 0 : scan.letters.back().number;
  catalog_there_ =
      !scan.catalogs.empty() && std::ranges::equal(scan.catalogs.back(), bytes_of(catalog_));
  note_known(scan);
  struct stat status {};
  if (fstat(descriptor_, &status) != 0) return system_error("look at " + path_);
  device_ = status.st_dev;
  inode_ = status.st_ino;
  return Done{};
}

void DeadLetters::note_known(const DeadLetterScan& scan) {
  for (const DeadLetter& letter : scan.letters) {
    if (letter.head.incarnation != incarnation_) continue;
    known_[{letter.head.worker, letter.head.log_position}] = {letter.number, false, letter.settled};
  }
}

Status DeadLetters::begin_file() {
  header_ = DeadLetterHeaderLayout{};
  header_.magic = kDeadLetterMagic;
  header_.version = kDeadLetterVersion;
  header_.created_us = wall_us();
  if (getrandom(header_.secret, sizeof header_.secret, 0) !=
      static_cast<ssize_t>(sizeof header_.secret)) {
    return system_error("draw a secret for " + path_);
  }
  header_.checksum = dead_letter_header_checksum(header_);
  if (ftruncate(descriptor_, 0) != 0) return system_error("begin " + path_);
  const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(&header_),
                                            sizeof header_);
  if (Status done = write_all(descriptor_, 0, bytes, path_); !done) return done;
  if (fdatasync(descriptor_) != 0) return system_error("sync " + path_);
  if (Status done = sync_directory(directory_); !done) return done;
  end_ = sizeof header_;
  last_number_ = 0;
  catalog_there_ = false;
  struct stat status {};
  if (fstat(descriptor_, &status) != 0) return system_error("look at " + path_);
  device_ = status.st_dev;
  inode_ = status.st_ino;
  return Done{};
}

Status DeadLetters::set_aside(const char* why) {
  const std::string other = path_ + "." + std::to_string(wall_us()) + ".aside";
  if (rename(path_.c_str(), other.c_str()) != 0) return system_error("move " + path_ + " away");
  notes_.push_back(path_ + " " + why + ": it is " + other + " now");
  close_file();
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor_ < 0) return system_error("create " + path_);
  return begin_file();
}

void DeadLetters::add_frame(std::vector<std::uint8_t>& bytes, DeadLetterFrameKind kind,
                            std::uint64_t number, std::span<const std::uint8_t> payload) const {
  DeadLetterFrameLayout frame{};
  frame.magic = kDeadLetterFrameMagic;
  frame.kind = kind;
  frame.number = number;
  frame.payload_bytes = static_cast<std::uint32_t>(payload.size());
  frame.checksum = dead_letter_frame_checksum(header_, frame, payload);
  const std::size_t at = bytes.size();
  bytes.resize(at + dead_letter_frame_bytes(payload.size()));
  std::memcpy(bytes.data() + at, &frame, sizeof frame);
  if (!payload.empty())
    std::memcpy(bytes.data() + at + sizeof frame, payload.data(), payload.size());
}

/// Behind what is there, and synced itself unless that has time.
Status DeadLetters::append(std::span<const std::uint8_t> bytes, Synced synced) {
  const std::size_t half = bytes.size() / 2;
  if (Status done = write_all(descriptor_, end_, bytes.first(half), path_); !done) return done;
  CRASH_POINT("letters.torn");
  if (Status done = write_all(descriptor_, end_ + half, bytes.subspan(half), path_); !done) {
    return done;
  }
  CRASH_POINT("letters.written");
  if (synced == Synced::kLater) {
    unsynced_ = true;
  } else if (Status done = sync(); !done) {
    return done;
  }
  end_ += bytes.size();
  return Done{};
}

Status DeadLetters::sync() {
  if (fdatasync(descriptor_) != 0) return system_error("sync " + path_);
  unsynced_ = false;
  synced_at_ns_ = steady_ns();
  return Done{};
}

void DeadLetters::tend() {
  if (descriptor_ < 0) {
    if (!problem_.empty()) static_cast<void>(ready());
    return;
  }
  if (!unsynced_ || steady_ns() - synced_at_ns_ < limits_.sync_rejected_ns) return;
  if (Status done = sync(); !done) failed(done.error());
}

std::optional<DeadLetters::Kept> DeadLetters::add(DeadLetterLayout letter,
                                                  std::span<const std::uint8_t> record) {
  const std::optional<Kept> kept = keep(letter, record);
  if (kept || letter.reason != RefusalReason::kRejected) return kept;
  return drop({letter.worker, letter.log_position}, true);
}

std::optional<DeadLetters::Kept> DeadLetters::keep(DeadLetterLayout letter,
                                                   std::span<const std::uint8_t> record) {
  const Place place{letter.worker, letter.log_position};
  const bool rejected = letter.reason == RefusalReason::kRejected;
  if (!ready()) return std::nullopt;
  if (const auto known = known_.find(place); known != known_.end()) return known->second;
  letter.incarnation = incarnation_;
  letter.record_bytes = static_cast<std::uint32_t>(record.size());
  const std::vector<std::uint8_t> bytes = frames_of(letter, record);
  if (end_ + bytes.size() > (rejected ? limits_.file_bytes / 2 : limits_.file_bytes)) {
    return drop(place, rejected);
  }
  if (Status done = append(bytes, rejected ? Synced::kLater : Synced::kNow); !done) {
    failed(done.error());
    return std::nullopt;
  }
  CRASH_POINT("letters.synced");
  if (!rejected) problem_.clear();
  catalog_there_ = true;
  ++last_number_;
  ++written_count_;
  known_[place] = {last_number_, false, false};
  return Kept{last_number_, true, false};
}

std::vector<std::uint8_t> DeadLetters::frames_of(const DeadLetterLayout& letter,
                                                 std::span<const std::uint8_t> record) const {
  record =
      record.first(std::min<std::size_t>(record.size(), kDeadLetterPayloadMax - sizeof letter));
  std::vector<std::uint8_t> payload(sizeof letter + record.size());
  std::memcpy(payload.data(), &letter, sizeof letter);
  if (!record.empty()) std::memcpy(payload.data() + sizeof letter, record.data(), record.size());
  std::vector<std::uint8_t> bytes;
  if (!catalog_there_ && catalog_.size() <= kDeadLetterPayloadMax) {
    add_frame(bytes, DeadLetterFrameKind::kCatalog, 0, bytes_of(catalog_));
  }
  add_frame(bytes, DeadLetterFrameKind::kLetter, last_number_ + 1, payload);
  return bytes;
}

DeadLetters::Kept DeadLetters::drop(const Place& place, bool rejected) {
  ++dropped_count_;
  if (!rejected) {
    problem_ = path_ +
               " is full: further dead letters are counted and not kept. Look at them with "
               "deja dlq, then move the file away";
    // The place is remembered, so that a record which is met again is not counted again.
    return known_[place] = Kept{};
  }
  // Their places would be remembered without end.
  if (descriptor_ >= 0 && !half_full_said_) {
    half_full_said_ = true;
    notes_.push_back(path_ +
                     " is half full: rejected events are counted and no longer kept, since the "
                     "rest is for events that were taken. Look at them with deja dlq, then move "
                     "the file away");
  }
  return {};
}

bool DeadLetters::settle(std::span<const std::uint64_t> numbers) {
  if (numbers.empty()) return true;
  if (!ready()) return false;
  std::vector<std::uint8_t> bytes;
  for (const std::uint64_t number : numbers) {
    add_frame(bytes, DeadLetterFrameKind::kSettled, number, {});
  }
  if (Status done = append(bytes); !done) {
    failed(done.error());
    return false;
  }
  CRASH_POINT("letters.settled");
  for (auto& [place, kept] : known_) {
    if (std::ranges::find(numbers, kept.number) != numbers.end()) kept.settled = true;
  }
  return true;
}

/// What was written and not synced is cut off now, or when the file is opened again.
void DeadLetters::failed(const Error& error) {
  if (descriptor_ >= 0 && end_ != 0 && ftruncate(descriptor_, static_cast<off_t>(end_)) != 0) {
    notes_.push_back("dead letters: what a refused write has left is cut off later");
  }
  close_file();
  retry_at_ns_ = steady_ns() + limits_.retry_ns;
  problem_ =
      "a dead letter can't be kept: " + error.message() +
      ". Make room there, or let the service write there: until then an event that was taken "
      "waits in the log, and what is behind it; a rejected one is not kept";
}

}  // namespace deja
