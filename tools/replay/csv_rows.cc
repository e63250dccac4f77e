#include "tools/replay/csv_rows.h"

#include <algorithm>

#include "ingest/utf8.h"
#include "shm/nearest_name.h"

namespace deja {

CsvRows::CsvRows(std::unique_ptr<ByteSource> bytes, std::string path, char separator,
                 std::vector<std::string> columns)
    : bytes_(std::move(bytes)),
      path_(std::move(path)),
      separator_(separator),
      columns_(std::move(columns)) {}

std::string CsvRows::at_line() const {
  return path_ + ":" + std::to_string(row_line_) + ": ";
}

int CsvRows::peek() {
  if (piece_at_ == piece_.size()) {
    auto next = bytes_->next();
    if (!next.ok()) {
      error_ = next.error();
      return -2;
    }
    piece_ = next.value();
    piece_at_ = 0;
    if (piece_.empty()) return -1;
  }
  return static_cast<unsigned char>(piece_[piece_at_]);
}

int CsvRows::take() {
  const int byte = peek();
  if (byte >= 0) ++piece_at_;
  if (byte == '\n') ++line_;
  return byte;
}

Result<CsvRows::Read> CsvRows::read_row() {
  text_.clear();
  fields_.clear();
  row_line_ = line_;
  Read outcome = Read::kRow;
  if (peek() == -1) return Read::kEnd;
  std::size_t begin = 0;
  const auto end_field = [&] {
    fields_.push_back({begin, text_.size() - begin});
    begin = text_.size();
  };
  bool quoted = false;       // inside of quotes
  bool after_quote = false;  // behind the closing one
  bool at_start = true;      // of a field
  for (;;) {
    const int byte = take();
    if (byte == -2) return error_;
    if (byte == -1) {
      if (quoted) outcome = Read::kQuoteOpen;
      end_field();
      return outcome;
    }
    const char c = static_cast<char>(byte);
    if (text_.size() > kRowBytesMax && outcome == Read::kRow) {
      outcome = Read::kTooLong;
      quoted = false;  // go on behind the next line break
    }
    if (outcome == Read::kTooLong) {
      if (c == '\n') return outcome;
      continue;
    }
    if (quoted) {
      if (c != '"') {
        text_.push_back(c);
      } else if (peek() == '"') {
        text_.push_back(static_cast<char>(take()));
      } else {
        quoted = false;
        after_quote = true;
      }
      continue;
    }
    if (c == separator_) {
      end_field();
      after_quote = false;
      at_start = true;
    } else if (c == '\n') {
      end_field();
      return outcome;
    } else if (c == '\r' && peek() == '\n') {
      continue;
    } else if (c == '"' && at_start) {
      quoted = true;
      at_start = false;
    } else {
      if (after_quote) outcome = Read::kTextAfterQuote;
      text_.push_back(c);
      at_start = false;
    }
  }
}

Status CsvRows::bind(const ReplayMap& map) {
  if (columns_.empty()) {
    auto header = read_row();
    if (!header.ok()) return header.error();
    if (header.value() != Read::kRow) {
      return Error{path_ + ": there is no header", 0,
                   "Give the file a first line of column names, or set columns in the map."};
    }
    for (const Field& field : fields_) columns_.push_back(text_.substr(field.offset, field.bytes));
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (columns_[0].starts_with(kByteOrderMark)) columns_[0].erase(0, kByteOrderMark.size());
  }
  for (const ReplayMap::Column& column : map.columns) {
    const auto found = std::find(columns_.begin(), columns_.end(), column.name);
    if (found == columns_.end()) {
      return Error{column.where + ": " + path_ + " has no column \"" + column.name + "\"" +
                       did_you_mean(column.name, columns_),
                   0, "Name one of its columns."};
    }
    field_of_column_.push_back(static_cast<std::size_t>(found - columns_.begin()));
  }
  return Done{};
}

Result<RowReader::Outcome> CsvRows::next(Row& row) {
  auto read = read_row();
  if (!read.ok()) return read.error();
  switch (read.value()) {
    case Read::kEnd:
      return Outcome::kEnd;
    case Read::kRow:
      break;
    case Read::kTooLong:
      complaint_ = at_line() + "a row of more than 1 MiB; is a quote not closed?";
      break;
    case Read::kTextAfterQuote:
      complaint_ = at_line() + "text behind a closing quote";
      break;
    case Read::kQuoteOpen:
      complaint_ = at_line() + "a quote is not closed before the end of the file";
      break;
  }
  row.number = ++number_;
  if (read.value() != Read::kRow) return Outcome::kBad;
  if (fields_.size() != columns_.size()) {
    complaint_ = at_line() + std::to_string(fields_.size()) + " fields instead of " +
                 std::to_string(columns_.size());
    return Outcome::kBad;
  }
  row.values.clear();
  for (const std::size_t index : field_of_column_) {
    const Field field = fields_[index];
    if (!is_utf8(std::string_view(text_).substr(field.offset, field.bytes))) {
      complaint_ = at_line() + "a field is not UTF-8; convert the file first, as with iconv";
      return Outcome::kBad;
    }
    row.values.push_back(field.bytes == 0 ? Value{}
                                          : Value::of(text_.data() + field.offset,
                                                      static_cast<std::uint32_t>(field.bytes)));
  }
  return Outcome::kRow;
}

}  // namespace deja
