// The small files of /proc and /sys, and the few of /etc that go with them, below a root: "/" on a
// host, a directory of copies in a test. Paths and links are followed inside the root alone
// (openat2's RESOLVE_IN_ROOT), sizes are bounded, and nothing but a regular file is read or
// written: what lies there may be anybody's. One thread at a time.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "shm/base/descriptor.h"
#include "shm/base/result.h"

namespace deja::tuning {

inline constexpr std::size_t kValueBytesMax = 4096;  ///< a page: what sysfs hands out
inline constexpr std::size_t kTextBytesMax = std::size_t{4}
                                             << 20U;             ///< /proc/interrupts of a giant
inline constexpr std::size_t kNamesMax = std::size_t{1} << 18U;  ///< of a directory

class Tree {
 public:
  /// An error where that is no directory.
  [[nodiscard]] static Result<Tree> open(const std::string& root);
  Tree(Tree&&) = default;
  Tree& operator=(Tree&&) = default;
  virtual ~Tree() = default;

  [[nodiscard]] bool is_this_host() const { return root_ == "/"; }
  /// Absolute and without links: the same directory has one name.
  [[nodiscard]] const std::string& root() const { return root_; }

  /// A whole file of at most `bytes_max`. ENOENT where there is none; EINVAL where it is no
  /// regular file; EFBIG where it is larger.
  [[nodiscard]] Result<std::string> read_text(const std::string& path,
                                              std::size_t bytes_max = kTextBytesMax) const;
  /// A file that holds one value: its text without the space around it. EILSEQ where that is not
  /// printable ASCII (several lines are allowed).
  [[nodiscard]] Result<std::string> read_value(const std::string& path) const;
  /// In one write(), as the kernel wants it. The file must be there.
  [[nodiscard]] virtual Status write_value(const std::string& path, const std::string& value) const;
  /// A file of ours or of /etc, replaced as a whole: written beside it, synced, renamed.
  [[nodiscard]] Status replace_file(const std::string& path, const std::string& text) const;
  [[nodiscard]] Status remove_file(const std::string& path) const;
  [[nodiscard]] virtual Status make_directory(const std::string& path) const;
  [[nodiscard]] Status remove_directory(const std::string& path) const;

  /// Names in a directory, but for those that begin with a dot, in the order of people: cpu2 before
  /// cpu10. Empty where there is none.
  [[nodiscard]] std::vector<std::string> names(const std::string& path) const;
  [[nodiscard]] bool exists(const std::string& path) const;
  [[nodiscard]] bool is_directory(const std::string& path) const;
  /// Whether nobody may write it: by its mode, which is how the kernel says that a value is fixed,
  /// or since it is mounted read-only, as in a container. False where there is none.
  [[nodiscard]] bool is_fixed(const std::string& path) const;

 protected:
  Tree(std::string root, Descriptor directory)
      : root_(std::move(root)), directory_(std::move(directory)) {}

 private:
  [[nodiscard]] Result<Descriptor> open_below(const std::string& path, int flags) const;
  /// The open directory of `path`, and the name in it.
  [[nodiscard]] Result<Descriptor> open_parent(const std::string& path, std::string& name) const;

  std::string root_;
  Descriptor directory_;
};

/// `text` without the space, newlines and NULs at its ends.
[[nodiscard]] std::string_view trimmed(std::string_view text);
/// Whether `a` comes before `b` in the order of people: numbers in names by their value.
[[nodiscard]] bool before(std::string_view a, std::string_view b);

}  // namespace deja::tuning
