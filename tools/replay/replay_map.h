// A replay map: how a row of a data file becomes a Segment-shaped event (tools/README.md has every
// key). Loaded once from TOML, every mistake named by file, line and column with what would be
// right; immutable afterwards. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "shm/base/result.h"
#include "tools/replay/datum.h"
#include "workers/expression/expression.h"

namespace deja {

/// What a column's value is made into: "CustomerID:integer".
enum class Cast { kNone, kText, kNumber, kInteger, kBoolean };

struct ColumnUse {
  std::uint32_t column = 0;  ///< in ReplayMap::columns
  Cast cast = Cast::kNone;
};

/// Text with columns in it: "anon-{InvoiceNo}". Absent when one of its columns is.
struct TextTemplate {
  std::vector<std::variant<std::string, ColumnUse>> parts;
  [[nodiscard]] bool empty() const { return parts.empty(); }
};

struct ValueMember;

/// A value of properties, traits or context.
struct ValueTemplate {
  using Members = std::vector<ValueMember>;
  using Elements = std::vector<ValueTemplate>;
  std::variant<Datum, ColumnUse, Expression, Members, Elements> what;
};
struct ValueMember {
  std::string name;
  ValueTemplate value;
};

struct ReplayMap {
  enum class Format { kCsv, kJsonLines };
  enum class TimeUnit { kFormat, kRfc3339, kSeconds, kMilliseconds, kMicroseconds };

  struct Column {
    std::string name;
    std::string where;  ///< "shop.map.toml:7:8", of its first use
  };
  /// The row's number in place of a column.
  struct RowNumber {};

  struct EventRule {
    std::optional<Expression> when;
    std::string type;   ///< "track", "page", "screen", "group", "identify"
    TextTemplate name;  ///< empty for identify
    ValueTemplate::Members properties;
    ValueTemplate::Members traits;
    ValueTemplate::Members context;
  };

  std::string path;
  Format format = Format::kCsv;
  char separator = ',';
  std::vector<std::string> file_columns;  ///< `columns`: the file has no header
  std::string each;
  TextTemplate user;
  TextTemplate anonymous;
  ColumnUse time;
  TimeUnit time_unit = TimeUnit::kRfc3339;
  std::string time_format;                             ///< strptime's, read as UTC
  std::vector<std::variant<ColumnUse, RowNumber>> id;  ///< empty: the file's name and the row
  std::vector<EventRule> events;
  std::vector<Column> columns;  ///< every column named anywhere, by number

  [[nodiscard]] static Result<ReplayMap> load(const std::string& path);
  /// `path` only names the text in complaints.
  [[nodiscard]] static Result<ReplayMap> parse(const std::string& text, const std::string& path);
};

}  // namespace deja
