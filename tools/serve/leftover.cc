#include "tools/serve/leftover.h"

#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string_view>

#include "shm/base/clock.h"
#include "shm/process_file.h"

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

/// Whether the process that last wrote this file is still a program of ours.
bool still_runs(const std::string& path) {
  const auto view = ProcessView::read(path);
  if (!view.ok() || view->pid <= 0) return false;
  std::ifstream file("/proc/" + std::to_string(view->pid) + "/comm");
  std::string name;
  file >> name;
  return name.starts_with("deja-");
}

}  // namespace

void wait_for_old_writers(const Segment& segment) {
  std::vector<std::string> names = {"process-ingest", "process-console", "process-keeper"};
  for (std::uint32_t worker = 0; worker < segment.superblock().worker_count; ++worker) {
    names.push_back("process-worker-" + std::to_string(worker));
  }
  const std::int64_t deadline_ns = steady_ns() + 60'000'000'000;
  for (const std::string& name : names) {
    while (still_runs(segment.path(name)) && steady_ns() < deadline_ns) usleep(10'000);
  }
}

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
