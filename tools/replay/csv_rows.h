// CSV as RFC 4180 has it: quoted fields with separators, line breaks and doubled quotes in them;
// CRLF or LF; any one-byte separator. A quote inside an unquoted field is kept as it is. An empty
// field is absent. A row whose wanted fields are not UTF-8 is bad. One thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/replay/byte_source.h"
#include "tools/replay/rows.h"

namespace deja {

class CsvRows final : public RowReader {
 public:
  /// A longer row is bad: a quote that is never closed must not eat the memory.
  static constexpr std::size_t kRowBytesMax = 1024 * 1024;

  /// `columns` empty: the first row names them. `wanted` are the columns to fill, by name; a name
  /// that the file does not have is found out by read_header().
  CsvRows(std::unique_ptr<ByteSource> bytes, std::string path, char separator,
          std::vector<std::string> columns);

  /// Reads the header where one is due and resolves `wanted`; to be called once, first.
  Status bind(const ReplayMap& map);

  [[nodiscard]] Result<Outcome> next(Row& row) override;

 private:
  struct Field {
    std::size_t offset;
    std::size_t bytes;
  };
  enum class Read { kRow, kEnd, kTooLong, kTextAfterQuote, kQuoteOpen };

  Result<Read> read_row();
  /// The next byte, or -1 at the end of the file, or -2 after an error (error_).
  int take();
  int peek();
  [[nodiscard]] std::string at_line() const;

  std::unique_ptr<ByteSource> bytes_;
  std::string path_;
  char separator_;
  std::vector<std::string> columns_;
  std::vector<std::size_t> field_of_column_;  // by ReplayMap::columns
  std::span<const char> piece_;
  std::size_t piece_at_ = 0;
  std::string text_;  // of the row, unquoted, fields one behind the other
  std::vector<Field> fields_;
  std::uint64_t line_ = 1;      // being read
  std::uint64_t row_line_ = 1;  // where the row began
  std::uint64_t number_ = 0;
  Error error_;
};

}  // namespace deja
