#include "tuning/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>

namespace deja::tuning {
namespace {

constexpr mode_t kFileMode = 0644;
constexpr mode_t kDirectoryMode = 0755;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_fit_for_a_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= ' ' && c <= '~') || c == '\n' || c == '\t'; });
}

Status write_all(int descriptor, const std::string& text, const std::string& operation) {
  const ssize_t written = write(descriptor, text.data(), text.size());
  if (written < 0) return system_error(operation);
  if (static_cast<std::size_t>(written) != text.size()) return Error{operation, ENOSPC, {}};
  return Done{};
}

/// The number that `text` begins with, its leading zeroes left out.
std::string_view take_number(std::string_view& text) {
  std::size_t size = 0;
  while (size < text.size() && is_digit(text[size])) ++size;
  std::string_view number = text.substr(0, size);
  text.remove_prefix(size);
  while (number.size() > 1 && number.front() == '0') number.remove_prefix(1);
  return number;
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace(" \t\r\n\0", 5);
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

bool before(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    if (is_digit(a.front()) && is_digit(b.front())) {
      const std::string_view number_a = take_number(a);
      const std::string_view number_b = take_number(b);
      if (number_a.size() != number_b.size()) return number_a.size() < number_b.size();
      if (number_a != number_b) return number_a < number_b;
      continue;
    }
    if (a.front() != b.front()) return a.front() < b.front();
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  return a.size() < b.size();
}

Result<Tree> Tree::open(const std::string& root) {
  Descriptor directory(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.open()) {
    return system_error("open " + root, "--root is the directory that has proc and sys in it");
  }
  std::error_code fault;
  const std::filesystem::path name = std::filesystem::canonical(root, fault);
  if (fault) return Error{"open " + root, fault.value(), {}};
  return Tree(name.string(), std::move(directory));
}

Result<Descriptor> Tree::open_below(const std::string& path, int flags) const {
  // Non-blocking: a FIFO in place of a file must not hold us up. (openat2 takes no flag that O_PATH
  // would ignore.)
  flags |= (flags & O_PATH) != 0 ? O_CLOEXEC : O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  struct open_how how {};
  how.flags = static_cast<std::uint64_t>(flags);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const long number = syscall(SYS_openat2, directory_.number(), path.c_str(), &how, sizeof how);
  if (number >= 0) return Descriptor(static_cast<int>(number));
  if (errno == ENOSYS && is_this_host()) {
    // Below "/" there is nothing to stay inside of.
    Descriptor plain(::open(path.c_str(), flags));
    if (plain.open()) return plain;
  }
  return system_error("open " + path);
}

Result<Descriptor> Tree::open_parent(const std::string& path, std::string& name) const {
  const std::size_t slash = path.rfind('/');
  name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..") return Error{"open " + path, EINVAL, {}};
  const std::string parent = slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
  return open_below(parent, O_RDONLY | O_DIRECTORY);
}

Result<std::string> Tree::read_text(const std::string& path, std::size_t bytes_max) const {
  Result<Descriptor> file = open_below(path, O_RDONLY);
  if (!file) return file.error();
  struct stat status {};
  if (fstat(file->number(), &status) != 0) return system_error("look at " + path);
  if (!S_ISREG(status.st_mode)) return Error{path + " is no regular file", EINVAL, {}};
  std::string text;
  char piece[16'384];
  for (;;) {
    const ssize_t got = read(file->number(), piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("read " + path);
    if (got == 0) return text;
    text.append(piece, static_cast<std::size_t>(got));
    if (text.size() > bytes_max) return Error{"read " + path, EFBIG, {}};
  }
}

Result<std::string> Tree::read_value(const std::string& path) const {
  Result<std::string> text = read_text(path, kValueBytesMax);
  if (!text) return text.error();
  const std::string_view value = trimmed(*text);
  if (!is_fit_for_a_value(value)) return Error{"read " + path, EILSEQ, {}};
  return std::string(value);
}

Status Tree::write_value(const std::string& path, const std::string& value) const {
  Result<Descriptor> file = open_below(path, O_WRONLY | O_TRUNC);
  if (!file) return file.error();
  struct stat status {};
  if (fstat(file->number(), &status) != 0) return system_error("look at " + path);
  if (!S_ISREG(status.st_mode)) return Error{path + " is no regular file", EINVAL, {}};
  return write_all(file->number(), value + "\n", "write " + path);
}

Status Tree::replace_file(const std::string& path, const std::string& text) const {
  std::string name;
  Result<Descriptor> parent = open_parent(path, name);
  if (!parent) return parent.error();
  struct stat before {};
  const bool was_there = fstatat(parent->number(), name.c_str(), &before, AT_SYMLINK_NOFOLLOW) == 0;
  if (was_there && !S_ISREG(before.st_mode)) {
    return Error{path + " is no regular file", EINVAL, {}};
  }
  const std::string beside = name + ".deja-tune";
  unlinkat(parent->number(), beside.c_str(), 0);
  const Descriptor file(openat(parent->number(), beside.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode));
  if (!file.open()) return system_error("write " + path);
  Status done = write_all(file.number(), text, "write " + path);
  if (!done) return done;
  if (was_there && (fchmod(file.number(), before.st_mode & 07777U) != 0 ||
                    fchown(file.number(), before.st_uid, before.st_gid) != 0)) {
    return system_error("write " + path);
  }
  if (fsync(file.number()) != 0) return system_error("sync " + path);
  if (renameat(parent->number(), beside.c_str(), parent->number(), name.c_str()) != 0) {
    return system_error("write " + path);
  }
  if (fsync(parent->number()) != 0) return system_error("sync the directory of " + path);
  return Done{};
}

Status Tree::remove_file(const std::string& path) const {
  std::string name;
  Result<Descriptor> parent = open_parent(path, name);
  if (!parent) return parent.error();
  if (unlinkat(parent->number(), name.c_str(), 0) != 0 && errno != ENOENT) {
    return system_error("remove " + path);
  }
  if (fsync(parent->number()) != 0) return system_error("sync the directory of " + path);
  return Done{};
}

Status Tree::make_directory(const std::string& path) const {
  std::string name;
  Result<Descriptor> parent = open_parent(path, name);
  if (!parent) return parent.error();
  if (mkdirat(parent->number(), name.c_str(), kDirectoryMode) != 0 && errno != EEXIST) {
    return system_error("make " + path);
  }
  return Done{};
}

Status Tree::remove_directory(const std::string& path) const {
  std::string name;
  Result<Descriptor> parent = open_parent(path, name);
  if (!parent) return parent.error();
  if (unlinkat(parent->number(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return system_error("remove " + path);
  }
  return Done{};
}

std::vector<std::string> Tree::names(const std::string& path) const {
  std::vector<std::string> names;
  Result<Descriptor> directory = open_below(path, O_RDONLY | O_DIRECTORY);
  if (!directory) return names;
  // fdopendir takes the descriptor over, so it gets one of its own.
  const int number = dup(directory->number());
  if (number < 0) return names;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(fdopendir(number), closedir);
  if (entries == nullptr) {
    close(number);
    return names;
  }
  while (const dirent* entry = readdir(entries.get())) {
    if (entry->d_name[0] == '.') continue;
    names.emplace_back(static_cast<const char*>(entry->d_name));
    if (names.size() == kNamesMax) break;
  }
  std::sort(names.begin(), names.end(),
            [](const std::string& a, const std::string& b) { return before(a, b); });
  return names;
}

bool Tree::exists(const std::string& path) const {
  return open_below(path, O_PATH).ok();
}

bool Tree::is_directory(const std::string& path) const {
  return open_below(path, O_PATH | O_DIRECTORY).ok();
}

bool Tree::is_fixed(const std::string& path) const {
  Result<Descriptor> file = open_below(path, O_PATH);
  struct stat status {};
  struct statvfs mount {};
  if (!file || fstat(file->number(), &status) != 0 || fstatvfs(file->number(), &mount) != 0) {
    return false;
  }
  return (status.st_mode & 0222U) == 0 || (mount.f_flag & ST_RDONLY) != 0;
}

}  // namespace deja::tuning
