// What the host had before Deja changed it: the file `saved` of the state directory, in which each
// place that was written has the value to give back. The only record of that, so it is synced
// before the first write, replaced as a whole, checksummed, and never overwritten where it can't be
// read.
//
//   deja-tune-saved 2
//   root TAB directory                                       whose values these are: "/" or a copy
//   value TAB knob TAB kind TAB path TAB before TAB ours TAB boot TAB identity     one a place
//   sum HEX
//
// A value is "=" and its text with \t, \n and \\ escaped, or "-" where there was nothing. Version 1
// had no line for the root: it is of "/".
//
// Invariants
//  1. A place has one line: the value that it had before the first apply since the last revert.
//  2. A place is never written before its line is durable.
//  3. Values are given back to the root that they were read below, and to no other.
// Crash windows: after the line and before the write, the place has the value that the line gives
// back; a revert finds it as it was. One process at a time: it holds a lock on the file `lock`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shm/base/descriptor.h"
#include "shm/base/result.h"
#include "tuning/place.h"

namespace deja::tuning {

struct SavedValue {
  std::string knob;
  Place place;
  PlaceValue before;  ///< to give back
  PlaceValue ours;    ///< what was written last
  std::string boot;   ///< the boot in which `before` was read
  std::string
      identity;  ///< what the path meant then (identity_of); empty: it always means the same
};

/// What a file has.
struct SavedFile {
  std::string root;  ///< Tree::root() of the values
  std::vector<SavedValue> values;
};

class SavedValues {
 public:
  /// Takes the lock, makes the directory where there is none, reads what is saved. A directory or
  /// file that others may write is refused: what it says is written as root. So is a file of
  /// another root than `root`, which is a Tree::root().
  [[nodiscard]] static Result<SavedValues> open(const std::string& directory,
                                                const std::string& root);
  /// The same without a lock, and only to look: nothing saved where there is no directory.
  [[nodiscard]] static Result<std::vector<SavedValue>> peek(const std::string& directory,
                                                            const std::string& root);

  [[nodiscard]] const std::vector<SavedValue>& values() const { return values_; }
  [[nodiscard]] const SavedValue* find(const std::string& path) const;
  /// Replaces all; durable when it returns. None at all removes the file.
  [[nodiscard]] Status store(std::vector<SavedValue> values);

 private:
  SavedValues(std::string directory, std::string root, Descriptor lock,
              std::vector<SavedValue> values)
      : directory_(std::move(directory)),
        root_(std::move(root)),
        lock_(std::move(lock)),
        values_(std::move(values)) {}

  std::string directory_;
  std::string root_;
  Descriptor lock_;
  std::vector<SavedValue> values_;
};

/// The file's text, and back. nullopt: it is damaged, or none of ours.
[[nodiscard]] std::string saved_text(const SavedFile& file);
[[nodiscard]] std::optional<SavedFile> parse_saved(std::string_view text);

}  // namespace deja::tuning
