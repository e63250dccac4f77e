#include "tools/serve/leftover.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include "shm/layout_hash.h"
#include "shm/place_lock.h"
#include "shm/segment_names.h"
#include "tools/serve/next_program.h"
#include "tools/serve/posts.h"

namespace deja {
namespace {

/// The boot id as the superblock has it: the text's hexadecimal digits, packed.
bool is_of_this_boot(const SuperblockLayout& superblock) {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string now;
  file >> now;
  std::erase(now, '-');
  std::string then;
  for (const std::uint8_t byte : superblock.boot_id) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    then += digits;
  }
  return now == then;
}

/// Processes with a place: the names of the lock files without their ending.
std::vector<std::string> places_of(const std::string& segment_directory) {
  std::vector<std::string> names;
  const std::string ending = place_file("");
  std::error_code failure;
  for (const auto& entry : std::filesystem::directory_iterator(segment_directory, failure)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(ending)) names.push_back(name.substr(0, name.size() - ending.size()));
  }
  return names;
}

/// Whether nothing is lost where a segment of another layout is left out.
Status check_drained(const SuperblockLayout& superblock, const std::string& segment_directory) {
  const bool is_of_ours =
      superblock.layout_version == kLayoutVersion && superblock.layout_hash == layout_hash();
  const bool has_accepted =
      superblock.state.load(std::memory_order_acquire) != SegmentState::kStarting;
  if (superblock.magic.load(std::memory_order_acquire) != kSuperblockMagic || is_of_ours ||
      !has_accepted || !is_of_this_boot(superblock)) {
    return Done{};
  }
  return Error{segment_directory + " was left by a deja of another segment layout (" +
                   layout_text(superblock.layout_version, superblock.layout_hash) + ", this one " +
                   layout_text(kLayoutVersion, layout_hash()) +
                   "), and what it had accepted may lie there alone",
               0,
               "Install that version again, start it and stop it; then start this one. To give up "
               "what is not in the journal, remove the directory"};
}

}  // namespace

void stop_orphans(Crew& crew, const std::string& segment_directory) {
  constexpr int kStopMs = 60'000;
  const std::vector<std::string> places = places_of(segment_directory);
  for (const char* prefix : {kIngestName, kWorkerPrefix, kKeeperName, kConsoleName}) {
    for (const std::string& place : places) {
      if (!place.starts_with(prefix)) continue;
      Post post;
      post.name = place;
      post.holder = [&] { return place_holder(segment_directory, place); };
      crew.adopt(std::move(post));
    }
    crew.stop(prefix, SIGTERM, kStopMs);
  }
}

pid_t foreign_keeper(const std::string& durability_directory,
                     const std::string& segment_directory) {
  const pid_t pid = place_holder(durability_directory, kKeeperName);
  return pid == place_holder(segment_directory, kKeeperName) ? 0 : pid;
}

Result<std::unique_ptr<Segment>> find_leftover(const std::string& segment_directory) {
  const std::string name = segment_directory + "/" + kSuperblockFile;
  if (access(name.c_str(), F_OK) != 0) return std::unique_ptr<Segment>();
  if (const auto file =
          MappedFile::open(name, MappedFile::Mode::kReadOnly, sizeof(SuperblockLayout));
      file.ok()) {
    // What lies where it lies in every layout.
    const auto& superblock = *file->at<const SuperblockLayout>();
    if (has_ended(superblock.state.load(std::memory_order_acquire))) {
      return std::unique_ptr<Segment>();
    }
    if (Status drained = check_drained(superblock, segment_directory); !drained.ok()) {
      return drained.error();
    }
  }
  auto opened = Segment::open(segment_directory);
  if (!opened.ok()) {
    std::fprintf(stderr, "deja: can't go on with what the last deja serve left: %s\n",
                 opened.error().message().c_str());
    return std::unique_ptr<Segment>();
  }
  auto segment = std::make_unique<Segment>(std::move(opened.value()));
  if (!is_of_this_boot(segment->superblock())) {
    std::fprintf(stderr, "deja: %s is of another boot and can't be used; going on from Redis\n",
                 segment_directory.c_str());
    return std::unique_ptr<Segment>();
  }
  return segment;
}

}  // namespace deja
