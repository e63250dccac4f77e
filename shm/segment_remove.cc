// Removing a segment, and what a supervisor that was killed left of others: the supervisor's part
// of shm/segment.h.

#include <dirent.h>
#include <unistd.h>

#include <charconv>
#include <optional>
#include <string_view>

#include "shm/segment.h"
#include "shm/segment_names.h"

namespace deja {
namespace {

/// Unlinks what lies in `directory` under a name that `wanted` says yes to.
template <typename Wanted>
void unlink_in(const std::string& directory, const Wanted& wanted) {
  DIR* open_directory = opendir(directory.c_str());
  if (open_directory == nullptr) return;
  std::vector<std::string> paths;
  while (const dirent* entry = readdir(open_directory)) {
    if (wanted(std::string_view(entry->d_name))) paths.push_back(directory + "/" + entry->d_name);
  }
  closedir(open_directory);
  for (const std::string& path : paths) unlink(path.c_str());
}

/// The incarnation that a file's name ends in, "log-0.17"; nothing where it has none.
std::optional<std::uint64_t> incarnation_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return std::nullopt;
  std::uint64_t number = 0;
  const char* end = name.data() + name.size();
  const auto [stopped, fault] = std::from_chars(name.data() + dot + 1, end, number);
  if (fault != std::errc{} || stopped != end) return std::nullopt;
  return number;
}

/// Renderers that have it mapped are told that it has ended.
void mark_superseded(const std::string& path) {
  const auto superblock =
      MappedFile::open(path, MappedFile::Mode::kReadWrite, sizeof(SuperblockLayout));
  if (!superblock.ok()) return;
  superblock->at<SuperblockLayout>()->state.store(SegmentState::kSuperseded,
                                                  std::memory_order_release);
}

}  // namespace

void remove_incarnation(const std::string& segment_directory, std::uint64_t incarnation) {
  unlink_in(segment_directory,
            [&](std::string_view name) { return incarnation_of(name) == incarnation; });
}

void remove_strays(const std::string& segment_directory) {
  const auto superblock = MappedFile::open(segment_directory + "/" + kSuperblockFile,
                                           MappedFile::Mode::kReadOnly, sizeof(SuperblockLayout));
  std::optional<std::uint64_t> kept;
  if (superblock.ok()) kept = superblock->at<const SuperblockLayout>()->incarnation;
  unlink_in(segment_directory, [&](std::string_view name) {
    const auto incarnation = incarnation_of(name);
    if (!incarnation || incarnation == kept) return false;
    if (name.starts_with(kSuperblockFile)) {
      mark_superseded(segment_directory + "/" + std::string(name));
    }
    return true;
  });
}

void remove_directory(const std::string& segment_directory) {
  if (access((segment_directory + "/" + kSuperblockFile).c_str(), F_OK) == 0) return;
  remove_strays(segment_directory);
  unlink_in(segment_directory, [](std::string_view name) {
    return name.ends_with(".fifo") || name.ends_with(".lock");
  });
  // What is not ours keeps the directory, and that is right.
  rmdir(segment_directory.c_str());
}

Status remove_segment(const std::string& directory, const std::string& appliance) {
  const std::string segment = segment_directory(directory.c_str(), appliance.c_str()).text;
  // First what names the others: whoever is killed in here leaves strays, and no broken segment.
  if (unlink((segment + "/" + kSuperblockFile).c_str()) != 0) {
    return system_error("remove " + segment + "/" + kSuperblockFile);
  }
  remove_directory(segment);
  return Done{};
}

}  // namespace deja
