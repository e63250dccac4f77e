#include "tools/config/table_reader.h"

#include <algorithm>
#include <utility>

#include "shm/nearest_name.h"
#include "tools/config/duration.h"

namespace deja {
namespace {

std::vector<ConfigError> sorted(std::vector<ConfigError> list) {
  std::stable_sort(list.begin(), list.end(), [](const ConfigError& a, const ConfigError& b) {
    return a.line != b.line ? a.line < b.line : a.column < b.column;
  });
  return list;
}

std::string listed(std::initializer_list<std::string_view> words) {
  std::string text = "write ";
  std::size_t at = 0;
  for (const std::string_view word : words) {
    if (at != 0) text.append(at + 1 == words.size() ? " or " : ", ");
    text.append("\"").append(word).append("\"");
    ++at;
  }
  return text;
}

}  // namespace

std::vector<ConfigError> Mistakes::take_errors() {
  return sorted(std::move(errors_));
}
std::vector<ConfigError> Mistakes::take_warnings() {
  return sorted(std::move(warnings_));
}

TableReader::TableReader(const TomlValue* table, std::string where, Mistakes& mistakes)
    : table_(table), where_(std::move(where)), mistakes_(mistakes) {
  if (table_ == nullptr || table_->kind == TomlKind::kTable) return;
  mistakes_.add(table_->place, where_, "found " + shown(*table_), "write a table");
  table_ = nullptr;
}

const TomlValue* TableReader::take(std::string_view key) {
  known_.emplace_back(key);
  return table_ == nullptr ? nullptr : table_->find(key);
}

std::optional<std::string> TableReader::text(std::string_view key) {
  const TomlValue* value = take(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind == TomlKind::kText) return value->text;
  wrong(key, *value, "write a text in quotes");
  return std::nullopt;
}

std::optional<bool> TableReader::boolean(std::string_view key) {
  const TomlValue* value = take(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind == TomlKind::kBool) return value->truth;
  wrong(key, *value, "write true or false");
  return std::nullopt;
}

std::optional<std::int64_t> TableReader::integer(std::string_view key, std::int64_t least,
                                                 std::int64_t most) {
  const TomlValue* value = take(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind == TomlKind::kInteger && value->integer >= least && value->integer <= most) {
    return value->integer;
  }
  wrong(key, *value,
        "write a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  return std::nullopt;
}

std::optional<std::int64_t> TableReader::duration(std::string_view key, std::int64_t least_us,
                                                  std::int64_t most_us) {
  const TomlValue* value = take(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind != TomlKind::kText) {
    wrong(key, *value, "write a duration in quotes: \"200ms\", \"30s\", \"5m\", \"1h\", \"30d\"");
    return std::nullopt;
  }
  const std::optional<std::int64_t> duration_us = parse_duration(value->text);
  if (!duration_us) {
    wrong(key, *value, "write a whole number and one of us ms s m h d w: \"90d\"");
    return std::nullopt;
  }
  if (*duration_us >= least_us && *duration_us <= most_us) return duration_us;
  wrong(key, *value,
        "write a duration from " + duration_text(least_us) + " to " + duration_text(most_us));
  return std::nullopt;
}

std::optional<std::size_t> TableReader::choice(std::string_view key,
                                               std::initializer_list<std::string_view> words) {
  const TomlValue* value = take(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind == TomlKind::kText) {
    const auto* word = std::find(words.begin(), words.end(), value->text);
    if (word != words.end()) return static_cast<std::size_t>(word - words.begin());
  }
  wrong(key, *value, listed(words));
  return std::nullopt;
}

std::vector<const TomlValue*> TableReader::texts(std::string_view key) {
  std::vector<const TomlValue*> list;
  const TomlValue* value = take(key);
  if (value == nullptr) return list;
  if (value->kind == TomlKind::kText) {
    list.push_back(value);
  } else if (value->kind == TomlKind::kArray) {
    for (const TomlValue& element : value->elements) {
      if (element.kind == TomlKind::kText) {
        list.push_back(&element);
      } else {
        wrong(key, element, "write a text in quotes");
      }
    }
  } else {
    wrong(key, *value, "write a text in quotes, or a list of them");
  }
  return list;
}

void TableReader::wrong(std::string_view key, const TomlValue& value, std::string found,
                        std::string right) {
  mistakes_.add(value.place, where(key), std::move(found), std::move(right));
}

void TableReader::wrong(std::string_view key, const TomlValue& value, std::string right) {
  wrong(key, value, "found " + shown(value), std::move(right));
}

void TableReader::wrong(std::string found, std::string right) {
  mistakes_.add(place(), where_, std::move(found), std::move(right));
}

void TableReader::finish() {
  if (table_ == nullptr) return;
  for (const TomlEntry& entry : table_->entries) {
    if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
    const bool is_section = where_.empty();
    std::string right;
    if (const auto nearest = nearest_name(entry.key, known_)) {
      right.append("did you mean \"").append(*nearest).append("\"?");
    } else {
      right.append(is_section ? "there are" : "known here are");
      for (std::size_t at = 0; at < known_.size(); ++at) {
        right.append(at == 0 ? " " : ", ").append(known_[at]);
      }
    }
    mistakes_.add(entry.place, where_,
                  (is_section ? "unknown section \"" : "unknown key \"") + entry.key + "\"",
                  std::move(right));
  }
}

TomlPlace TableReader::key_place(std::string_view key) const {
  for (const TomlEntry& entry : entries()) {
    if (entry.key == key) return entry.place;
  }
  return place();
}

std::string TableReader::where(std::string_view key) const {
  if (where_.empty()) return std::string(key);
  return where_ + (where_.ends_with(']') ? " " : ".") + std::string(key);
}

const std::vector<TomlEntry>& TableReader::entries() const {
  static const std::vector<TomlEntry> kNone;
  return table_ == nullptr ? kNone : table_->entries;
}

bool is_plain_name(std::string_view text, std::string_view also, std::size_t bytes_max) {
  if (text.empty() || text.size() > bytes_max) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           also.find(c) != std::string_view::npos;
  });
}

}  // namespace deja
