// JSON lines: one object per line, or, with `each`, one row per element of an array in it. A column
// is a member's name or a path ("user.id"), looked up in the element first and then in the line's
// object. Absent, an object or an array: no value. One thread; simdjson's home in the tools.
#pragma once

#include <simdjson.h>

#include <memory>
#include <string>
#include <vector>

#include "tools/replay/byte_source.h"
#include "tools/replay/rows.h"

namespace deja {

class JsonRows final : public RowReader {
 public:
  static constexpr std::size_t kLineBytesMax = 64 * 1024 * 1024;

  JsonRows(std::unique_ptr<ByteSource> bytes, std::string path, const ReplayMap& map);

  [[nodiscard]] Result<Outcome> next(Row& row) override;

 private:
  using Path = std::vector<std::string>;
  [[nodiscard]] static Path split(const std::string& name);
  [[nodiscard]] static Value find(simdjson::dom::element from, const Path& path);
  /// False at the end of the file.
  Result<bool> read_line();
  void fill(Row& row, simdjson::dom::element element);
  [[nodiscard]] std::string at_line() const;

  std::unique_ptr<ByteSource> bytes_;
  std::string path_;
  Path each_;
  std::vector<Path> columns_;
  std::span<const char> piece_;
  std::string line_;
  std::uint64_t line_number_ = 0;
  std::uint64_t number_ = 0;
  bool too_long_ = false;
  simdjson::dom::parser parser_;
  simdjson::dom::element document_;
  simdjson::dom::array elements_;
  std::size_t element_at_ = 0;
  std::size_t element_count_ = 0;
  simdjson::dom::array::iterator element_{simdjson::dom::array().begin()};
};

}  // namespace deja
