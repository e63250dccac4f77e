#include "tools/serve/leftover.h"

#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string_view>

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

}  // namespace

std::unique_ptr<Segment> find_leftover(const std::string& segment_directory) {
  if (access((segment_directory + "/superblock").c_str(), F_OK) != 0) return nullptr;
  auto opened = Segment::open(segment_directory);
  if (!opened.ok()) {
    std::fprintf(stderr, "deja: can't drain what the last deja serve left: %s\n",
                 opened.error().message().c_str());
    return nullptr;
  }
  auto segment = std::make_unique<Segment>(std::move(opened.value()));
  switch (segment->superblock().state.load(std::memory_order_acquire)) {
    case SegmentState::kServing:
    case SegmentState::kDraining:
      break;
    case SegmentState::kStarting:  // no event was accepted yet
    case SegmentState::kStopped:
    case SegmentState::kSuperseded:
      return nullptr;
  }
  if (!is_of_this_boot(segment->superblock())) {
    std::fprintf(stderr, "deja: %s is of another boot and can't be drained; going on from Redis\n",
                 segment_directory.c_str());
    return nullptr;
  }
  return segment;
}

}  // namespace deja
