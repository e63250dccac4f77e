#include "tools/serve/leftover.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include "shm/place_lock.h"
#include "shm/segment_names.h"
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

std::unique_ptr<Segment> find_leftover(const std::string& segment_directory) {
  const std::string name = segment_directory + "/" + kSuperblockFile;
  if (access(name.c_str(), F_OK) != 0) return nullptr;
  if (const auto superblock =
          MappedFile::open(name, MappedFile::Mode::kReadOnly, sizeof(SuperblockLayout));
      superblock.ok() &&
      has_ended(superblock->at<const SuperblockLayout>()->state.load(std::memory_order_acquire))) {
    return nullptr;  // whatever its layout is
  }
  auto opened = Segment::open(segment_directory);
  if (!opened.ok()) {
    std::fprintf(stderr, "deja: can't go on with what the last deja serve left: %s\n",
                 opened.error().message().c_str());
    return nullptr;
  }
  auto segment = std::make_unique<Segment>(std::move(opened.value()));
  if (!is_of_this_boot(segment->superblock())) {
    std::fprintf(stderr, "deja: %s is of another boot and can't be used; going on from Redis\n",
                 segment_directory.c_str());
    return nullptr;
  }
  return segment;
}

}  // namespace deja
