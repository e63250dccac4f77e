#include "tools/replay/json_rows.h"

#include <algorithm>

namespace deja {

namespace dom = simdjson::dom;

JsonRows::JsonRows(std::unique_ptr<ByteSource> bytes, std::string path, const ReplayMap& map)
    : bytes_(std::move(bytes)), path_(std::move(path)) {
  if (!map.each.empty()) each_ = split(map.each);
  for (const ReplayMap::Column& column : map.columns) columns_.push_back(split(column.name));
}

std::string JsonRows::at_line() const {
  return path_ + ":" + std::to_string(line_number_) + ": ";
}

JsonRows::Path JsonRows::split(const std::string& name) {
  Path path;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t dot = name.find('.', begin);
    path.push_back(name.substr(begin, dot - begin));
    if (dot == std::string::npos) return path;
    begin = dot + 1;
  }
}

Value JsonRows::find(dom::element from, const Path& path) {
  for (const std::string& name : path) {
    if (from.at_key(name).get(from) != simdjson::SUCCESS) return {};
  }
  switch (from.type()) {
    case dom::element_type::INT64:
    case dom::element_type::UINT64:
    case dom::element_type::DOUBLE: {
      double number = 0;
      if (from.get(number) != simdjson::SUCCESS) return {};
      return Value::of(number);
    }
    case dom::element_type::STRING: {
      std::string_view text;
      if (from.get(text) != simdjson::SUCCESS) return {};
      return Value::of(text.data(), static_cast<std::uint32_t>(text.size()));
    }
    case dom::element_type::BOOL: {
      bool truth = false;
      if (from.get(truth) != simdjson::SUCCESS) return {};
      return {ValueKind::kBool, truth ? 1.0 : 0.0, nullptr, 0};
    }
    case dom::element_type::NULL_VALUE:
      return {ValueKind::kNull, 0, nullptr, 0};
    case dom::element_type::ARRAY:
    case dom::element_type::OBJECT:
      return {};
  }
  return {};
}

Result<bool> JsonRows::read_line() {
  line_.clear();
  too_long_ = false;
  for (;;) {
    if (piece_.empty()) {
      auto piece = bytes_->next();
      if (!piece.ok()) return piece.error();
      piece_ = piece.value();
      if (piece_.empty()) {
        if (!line_.empty()) ++line_number_;
        return !line_.empty();
      }
    }
    const auto end = std::find(piece_.begin(), piece_.end(), '\n');
    const auto bytes = static_cast<std::size_t>(end - piece_.begin());
    if (line_.size() + bytes > kLineBytesMax) too_long_ = true;
    if (!too_long_) line_.append(piece_.data(), bytes);
    const bool whole = end != piece_.end();
    piece_ = piece_.subspan(whole ? bytes + 1 : bytes);
    if (whole) {
      ++line_number_;
      return true;
    }
  }
}

void JsonRows::fill(Row& row, dom::element element) {
  row.values.clear();
  for (const Path& column : columns_) {
    Value value = find(element, column);
    if (value.absent() && !each_.empty()) value = find(document_, column);
    row.values.push_back(value);
  }
}

Result<RowReader::Outcome> JsonRows::next(Row& row) {
  for (;;) {
    if (element_at_ < element_count_) {
      row.number = ++number_;
      fill(row, *element_);
      ++element_;
      ++element_at_;
      return Outcome::kRow;
    }
    auto more = read_line();
    if (!more.ok()) return more.error();
    if (!more.value()) return Outcome::kEnd;
    if (line_.find_first_not_of(" \t\r") == std::string::npos && !too_long_) continue;
    const auto bad = [&](const std::string& what) {
      row.number = ++number_;
      complaint_ = at_line() + what;
      return Outcome::kBad;
    };
    if (too_long_) return bad("a line of more than 64 MiB");
    const simdjson::error_code code = parser_.parse(line_).get(document_);
    if (code != simdjson::SUCCESS) return bad(simdjson::error_message(code));
    if (!document_.is_object()) return bad("not a JSON object");
    if (each_.empty()) {
      row.number = ++number_;
      fill(row, document_);
      return Outcome::kRow;
    }
    dom::element array = document_;
    for (const std::string& name : each_) {
      if (array.at_key(name).get(array) != simdjson::SUCCESS)
        return bad("no member \"" + name + "\"");
    }
    if (array.get(elements_) != simdjson::SUCCESS) return bad("the member of `each` is no array");
    element_ = elements_.begin();
    element_at_ = 0;
    element_count_ = 0;
    for (const dom::element element : elements_) {
      static_cast<void>(element);
      ++element_count_;
    }
  }
}

}  // namespace deja
