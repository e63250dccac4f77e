#include "tools/replay/rows.h"

#include "tools/replay/csv_rows.h"
#include "tools/replay/json_rows.h"

namespace deja {

Result<std::unique_ptr<RowReader>> RowReader::open(const std::string& path, const ReplayMap& map) {
  auto bytes = ByteSource::open(path);
  if (!bytes.ok()) return bytes.error();
  if (map.format == ReplayMap::Format::kJsonLines) {
    return std::unique_ptr<RowReader>(
        std::make_unique<JsonRows>(std::move(bytes.value()), path, map));
  }
  auto rows =
      std::make_unique<CsvRows>(std::move(bytes.value()), path, map.separator, map.file_columns);
  const Status bound = rows->bind(map);
  if (!bound.ok()) return bound.error();
  return std::unique_ptr<RowReader>(std::move(rows));
}

}  // namespace deja
