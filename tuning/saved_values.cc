#include "tuning/saved_values.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "shm/keyed_hash.h"

namespace deja::tuning {
namespace {

constexpr std::string_view kHead = "deja-tune-saved 2\nroot\t";
constexpr std::string_view kHeadOfVersion1 = "deja-tune-saved 1\n";
constexpr std::string_view kSum = "sum ";
constexpr const char* kFile = "saved";
constexpr const char* kBeside = "saved.new";
constexpr off_t kFileBytesMax = off_t{16} << 20;
constexpr std::size_t kFieldCount = 8;

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      out += c;
    }
  }
}

std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      out += text[at];
      continue;
    }
    if (++at == text.size()) return std::nullopt;
    switch (text[at]) {
      case '\\':
        out += '\\';
        break;
      case 'n':
        out += '\n';
        break;
      case 't':
        out += '\t';
        break;
      default:
        return std::nullopt;
    }
  }
  return out;
}

void append_value(std::string& out, const PlaceValue& value) {
  out += value ? '=' : '-';
  if (value) append_escaped(out, *value);
}

/// Outer nullopt: not a value.
std::optional<PlaceValue> value_in(std::string_view field) {
  if (field == "-") return PlaceValue();
  if (!field.starts_with('=')) return std::nullopt;
  std::optional<std::string> text = unescaped(field.substr(1));
  if (!text) return std::nullopt;
  return PlaceValue(std::move(*text));
}

std::string checksum(std::string_view text) {
  constexpr HashSecret kConstant{{0x64656a612d74756eU, 0x73617665642d7631U}};
  const std::uint64_t sum =
      sip_hash<1, 3>(kConstant, text.data(), static_cast<std::uint32_t>(text.size()),
                     static_cast<std::uint8_t>(text.size()));
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(sum));
  return digits;
}

/// Only what a knob could have named: a file that says otherwise is not ours, whatever its sum.
bool is_ours_to_write(const std::string& path) {
  const bool known =
      path.starts_with("/proc/") || path.starts_with("/sys/") || path == "/etc/default/irqbalance";
  return known && path.find("/../") == std::string::npos && !path.ends_with("/..");
}

std::optional<SavedValue> parse_line(std::string_view line) {
  std::vector<std::string_view> fields;
  for (;;) {
    const std::size_t tab = line.find('\t');
    fields.push_back(line.substr(0, tab));
    if (tab == std::string_view::npos) break;
    line.remove_prefix(tab + 1);
  }
  if (fields.size() != kFieldCount || fields[0] != "value") return std::nullopt;
  const std::optional<std::string> path = unescaped(fields[3]);
  const std::optional<PlaceKind> kind = place_kind_of(fields[2]);
  const std::optional<PlaceValue> before = value_in(fields[4]);
  const std::optional<PlaceValue> ours = value_in(fields[5]);
  const std::optional<std::string> identity = unescaped(fields[7]);
  if (!path || !kind || !before || !ours || !identity || !is_ours_to_write(*path)) {
    return std::nullopt;
  }
  return SavedValue{std::string(fields[1]), {*kind, *path}, *before, *ours,
                    std::string(fields[6]), *identity};
}

/// Whose values the lines after the head are. nullopt: this is no head.
std::optional<std::string> take_head(std::string_view& text) {
  if (text.starts_with(kHeadOfVersion1)) {
    text.remove_prefix(kHeadOfVersion1.size());
    return "/";
  }
  const std::size_t end = text.find('\n', kHead.size());
  if (!text.starts_with(kHead) || end == std::string_view::npos) return std::nullopt;
  std::optional<std::string> root = unescaped(text.substr(kHead.size(), end - kHead.size()));
  text.remove_prefix(end + 1);
  return root && root->starts_with('/') ? root : std::nullopt;
}

Error damaged(const std::string& path) {
  return {path + " is damaged, and is the only record of what the host had", 0,
          "Look at it, set the host right by hand, and move it away; a restart resets all but "
          "/etc/default/irqbalance"};
}

Status check_owner(int descriptor, const std::string& path) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return system_error("look at " + path);
  const bool is_trusted = status.st_uid == geteuid() || status.st_uid == 0;
  if (is_trusted && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0) return Done{};
  return Error{path + " can be written by others, and what it says is written to the host", 0,
               "Use a --state of your own: chown root and chmod 755 it"};
}

Result<std::string> read_file(int directory, const std::string& path) {
  const Descriptor file(openat(directory, kFile, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file.open()) return system_error("open " + path);
  if (Status done = check_owner(file.number(), path); !done) return done.error();
  struct stat status {};
  if (fstat(file.number(), &status) != 0) return system_error("look at " + path);
  if (!S_ISREG(status.st_mode) || status.st_size > kFileBytesMax) return damaged(path);
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  const ssize_t got = pread(file.number(), text.data(), text.size(), 0);
  if (got != static_cast<ssize_t>(text.size())) return system_error("read " + path);
  return text;
}

Result<std::vector<SavedValue>> read_values(int directory, const std::string& path,
                                            const std::string& root) {
  Result<std::string> text = read_file(directory, path);
  if (!text && text.error().error_number == ENOENT) return std::vector<SavedValue>{};
  if (!text) return text.error();
  std::optional<SavedFile> file = parse_saved(*text);
  if (!file) return damaged(path);
  if (file->root != root) {
    return Error{path + " has the values of " + file->root + ", not of " + root, 0,
                 "Name another --state, or that --root"};
  }
  return std::move(file->values);
}

/// Makes it and what is missing above it.
Status make_directories(const std::string& path) {
  for (std::size_t at = 1; at != std::string::npos;) {
    at = path.find('/', at + 1);
    const std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) {
      return system_error("make " + part, "Run as root, or name another --state");
    }
  }
  return Done{};
}

}  // namespace

std::string saved_text(const SavedFile& file) {
  std::string text(kHead);
  append_escaped(text, file.root);
  text += '\n';
  for (const SavedValue& value : file.values) {
    text.append("value\t").append(value.knob).append("\t");
    text.append(place_kind_name(value.place.kind)).append("\t");
    append_escaped(text, value.place.path);
    text += '\t';
    append_value(text, value.before);
    text += '\t';
    append_value(text, value.ours);
    text.append("\t").append(value.boot).append("\t");
    append_escaped(text, value.identity);
    text += '\n';
  }
  const std::string sum = checksum(text);
  return text.append(kSum).append(sum).append("\n");
}

std::optional<SavedFile> parse_saved(std::string_view text) {
  const std::size_t sum_at = text.rfind(kSum);
  if (sum_at == std::string_view::npos) return std::nullopt;
  const std::string_view body = text.substr(0, sum_at);
  if (text.substr(sum_at + kSum.size()) != checksum(body) + "\n") return std::nullopt;
  std::string_view rest = body;
  std::optional<std::string> root = take_head(rest);
  if (!root) return std::nullopt;
  SavedFile file{std::move(*root), {}};
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    std::optional<SavedValue> value = parse_line(rest.substr(0, end));
    if (!value) return std::nullopt;
    file.values.push_back(std::move(*value));
    rest.remove_prefix(end + 1);
  }
  return file;
}

Result<SavedValues> SavedValues::open(const std::string& directory, const std::string& root) {
  if (Status made = make_directories(directory); !made) return made.error();
  const Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened.open()) return system_error("open " + directory);
  if (Status done = check_owner(opened.number(), directory); !done) return done.error();
  Descriptor lock(openat(opened.number(), "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.open()) return system_error("open " + directory + "/lock", "Run as root");
  if (flock(lock.number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return system_error("lock " + directory + "/lock");
    return Error{"another deja tune is at it", 0, "Wait for it, then look with deja tune check"};
  }
  Result<std::vector<SavedValue>> values =
      read_values(opened.number(), directory + "/" + kFile, root);
  if (!values) return values.error();
  return SavedValues(directory, root, std::move(lock), std::move(*values));
}

Result<std::vector<SavedValue>> SavedValues::peek(const std::string& directory,
                                                  const std::string& root) {
  const Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened.open() && errno == ENOENT) return std::vector<SavedValue>{};
  if (!opened.open()) return system_error("open " + directory);
  return read_values(opened.number(), directory + "/" + kFile, root);
}

const SavedValue* SavedValues::find(const std::string& path) const {
  for (const SavedValue& value : values_) {
    if (value.place.path == path) return &value;
  }
  return nullptr;
}

Status SavedValues::store(std::vector<SavedValue> values) {
  const Descriptor opened(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened.open()) return system_error("open " + directory_);
  const std::string path = directory_ + "/" + kFile;
  if (values.empty()) {
    if (unlinkat(opened.number(), kFile, 0) != 0 && errno != ENOENT) {
      return system_error("remove " + path);
    }
  } else {
    const std::string text = saved_text({root_, values});
    const Descriptor file(openat(opened.number(), kBeside,
                                 O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!file.open()) return system_error("write " + path);
    const ssize_t written = write(file.number(), text.data(), text.size());
    if (written != static_cast<ssize_t>(text.size())) {
      if (written >= 0) errno = ENOSPC;
      return system_error("write " + path, "Make room there");
    }
    if (fsync(file.number()) != 0) return system_error("sync " + path);
    if (renameat(opened.number(), kBeside, opened.number(), kFile) != 0) {
      return system_error("write " + path);
    }
  }
  if (fsync(opened.number()) != 0) return system_error("sync " + directory_);
  values_ = std::move(values);
  return Done{};
}

}  // namespace deja::tuning
