// A stepped process' files: what they hold after a system call, and what of it was synced, which is
// what a power loss leaves at least. The model is the hardest: nothing comes to the disk without a
// sync, neither bytes nor names. Test code; header only; one thread.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "tests/step/stepped_process.h"

namespace deja {

/// Bytes by path, relative to the folder.
using DiskFiles = std::map<std::string, std::string>;

class DiskWatch {
 public:
  /// All that lies in the folder now counts as synced.
  explicit DiskWatch(std::string root) : root_(std::move(root)) { reset(); }

  void reset() {
    synced_bytes_.clear();
    synced_names_.clear();
    for (const auto& [path, bytes] : files()) {
      const ino_t file = inode(root_ + "/" + path);
      synced_bytes_[file] = bytes;
      synced_names_[path] = file;
    }
  }

  [[nodiscard]] DiskFiles files() const {
    DiskFiles found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root_)) {
      if (!entry.is_regular_file()) continue;
      found[std::filesystem::relative(entry.path(), root_).string()] = read(entry.path().string());
    }
    return found;
  }
  /// What is left when the power goes now.
  [[nodiscard]] DiskFiles synced() const {
    DiskFiles left;
    for (const auto& [path, file] : synced_names_) {
      const auto bytes = synced_bytes_.find(file);
      left[path] = bytes == synced_bytes_.end() ? std::string() : bytes->second;
    }
    return left;
  }

  /// Notes what a system call has synced. True where it may have changed a file.
  bool after(const SteppedProcess& process, const SteppedProcess::SystemCall& call) {
    switch (call.number) {
      case SYS_fsync:
      case SYS_fdatasync:
        if (call.result == 0) note_sync(process, call.first);
        return true;
      case SYS_write:
      case SYS_pwrite64:
      case SYS_ftruncate:
      case SYS_fallocate:
      case SYS_openat:
      case SYS_rename:
      case SYS_renameat:
      case SYS_renameat2:
      case SYS_unlink:
      case SYS_unlinkat:
        return true;
      default:
        return false;
    }
  }

  /// In place: a stopped process has some of them open.
  static void put_back(const std::string& root, const DiskFiles& files) {
    for (const auto& [path, ignored] : DiskWatch(root).files()) {
      if (!files.contains(path)) unlink((root + "/" + path).c_str());
    }
    for (const auto& [path, bytes] : files) {
      const std::filesystem::path full = root + "/" + path;
      std::filesystem::create_directories(full.parent_path());
      const int file = open(full.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
      CHECK(file >= 0);
      CHECK(ftruncate(file, static_cast<off_t>(bytes.size())) == 0);
      CHECK(pwrite(file, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
      close(file);
    }
  }

 private:
  static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream bytes;
    bytes << file.rdbuf();
    return bytes.str();
  }
  static ino_t inode(const std::string& path) {
    struct stat status {};
    return stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
  }

  void note_sync(const SteppedProcess& process, unsigned long descriptor) {
    const std::string path =
        "/proc/" + std::to_string(process.pid()) + "/fd/" + std::to_string(descriptor);
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return;
    if (!S_ISDIR(status.st_mode)) {
      synced_bytes_[status.st_ino] = read(path);
      return;
    }
    std::string folder = std::filesystem::read_symlink(path).string();
    if (!folder.starts_with(root_)) return;
    folder = folder.size() == root_.size() ? "" : folder.substr(root_.size() + 1);
    const auto is_in = [&](const std::string& name) {
      return std::filesystem::path(name).parent_path() == folder;
    };
    std::erase_if(synced_names_, [&](const auto& name) { return is_in(name.first); });
    for (const auto& [name, ignored] : files()) {
      if (is_in(name)) synced_names_[name] = inode(root_ + "/" + name);
    }
  }

  std::string root_;
  std::map<ino_t, std::string> synced_bytes_;
  std::map<std::string, ino_t> synced_names_;
};

}  // namespace deja
