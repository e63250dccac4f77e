#include "ingest/journal_watch.h"

#include <cstring>
#include <string>
#include <utility>

#include "ingest/refusal_codes.h"

namespace deja {

Result<JournalWatch> JournalWatch::open(const Segment& segment, std::uint32_t thread) {
  const SuperblockLayout& superblock = segment.superblock();
  auto file = segment.map("durable", MappedFile::Mode::kReadOnly);
  if (!file) return file.error();
  if (file->bytes() < durable_file_bytes(superblock.worker_count, superblock.ingest_count)) {
    return Error{"map " + segment.path("durable"), 0, "The file is too short."};
  }
  return JournalWatch(std::move(*file), thread, superblock.ingest_count, superblock.worker_count);
}

std::uint64_t JournalWatch::load(std::uint32_t worker) const {
  // SYNC(durable.position): the journal has synced what lies before this position.
  return file_.at<const DurableLayout>()
      ->positions()[std::uint64_t{worker} * ingest_count_ + thread_]
      .value.load(std::memory_order_acquire);
}

JournalState JournalWatch::load_state() const {
  // Says nothing about any position, so it needs no order.
  return static_cast<JournalState>(
      file_.at<const DurableLayout>()->state.value.load(std::memory_order_relaxed));
}

void JournalWatch::refresh_state() {
  state_ = load_state();
}

bool JournalWatch::refresh_position(std::uint32_t worker, std::uint64_t published_position) {
  const std::uint64_t position = load(worker);
  if (!is_news(worker, position, published_position)) return false;
  positions_[worker] = position;
  return true;
}

std::int64_t JournalWatch::durable_us() const {
  // Stored before the positions, one of which was acquired: theirs, or a later one.
  return file_.at<const DurableLayout>()->state.durable_us.load(std::memory_order_relaxed);
}

bool JournalWatch::state_has_news() const {
  return load_state() != state_;
}

bool JournalWatch::position_has_news(std::uint32_t worker, std::uint64_t published_position) const {
  return is_news(worker, load(worker), published_position);
}

const char* JournalWatch::trouble() const {
  switch (state_) {
    case JournalState::kFull:
      return code::kJournalFull;
    case JournalState::kFailed:
      return code::kJournalFailed;
    case JournalState::kStarting:
    case JournalState::kWriting:
      break;
  }
  return nullptr;
}

const char* JournalWatch::sentence(const char* trouble) {
  if (std::strcmp(trouble, code::kJournalFull) == 0) {
    return "the journal's disk has no room: send the same again later";
  }
  if (std::strcmp(trouble, code::kJournalFailed) == 0) {
    return "the journal's disk refuses writes: send the same again later";
  }
  return "the journal's disk has not taken the event yet: send the same again later";
}

}  // namespace deja
