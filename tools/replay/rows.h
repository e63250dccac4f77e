// The rows of a data file, one at a time, as the values of the columns that a replay map names.
// One thread. A row that can't be understood is an outcome, not the end: real files have some.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "shm/base/result.h"
#include "shm/value.h"
#include "tools/replay/replay_map.h"

namespace deja {

struct Row {
  std::uint64_t number = 0;   ///< "#row": 1 for the first, elements of `each` counted one by one
  std::vector<Value> values;  ///< by ReplayMap::columns; views, valid until the next row
};

class RowReader {
 public:
  enum class Outcome { kRow, kEnd, kBad };

  virtual ~RowReader() = default;
  /// Opens `path` as the map says. A column of the map that a CSV file does not have is an error
  /// at the map's line.
  [[nodiscard]] static Result<std::unique_ptr<RowReader>> open(const std::string& path,
                                                               const ReplayMap& map);

  /// kBad: `complaint()` says what is wrong with this row; the next one may be well.
  [[nodiscard]] virtual Result<Outcome> next(Row& row) = 0;
  [[nodiscard]] const std::string& complaint() const { return complaint_; }

 protected:
  std::string complaint_;
};

}  // namespace deja
