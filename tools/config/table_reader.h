// Reading one table of a config: every key is asked for by name, type and range, every mistake is
// noted with its place and reading goes on, and in the end the keys that nobody asked for are
// mistakes as well. One thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/config/config_error.h"
#include "tools/config/toml_tree.h"

namespace deja {

/// All that is wrong with one document, in the order in which it was noticed.
class Mistakes {
 public:
  Mistakes(std::string file, std::string_view document)
      : file_(std::move(file)), document_(document) {}

  void add(TomlPlace place, std::string where, std::string found, std::string right) {
    errors_.push_back(
        {file_, place.line, place.column, std::move(where), std::move(found), std::move(right)});
  }
  void warn(TomlPlace place, std::string where, std::string found, std::string right) {
    warnings_.push_back(
        {file_, place.line, place.column, std::move(where), std::move(found), std::move(right)});
  }
  [[nodiscard]] bool none() const { return errors_.empty(); }
  [[nodiscard]] std::size_t count() const { return errors_.size(); }
  /// Sorted by place.
  [[nodiscard]] std::vector<ConfigError> take_errors();
  [[nodiscard]] std::vector<ConfigError> take_warnings();
  [[nodiscard]] std::string_view document() const { return document_; }

 private:
  std::string file_;
  std::string_view document_;
  std::vector<ConfigError> errors_;
  std::vector<ConfigError> warnings_;
};

class TableReader {
 public:
  /// `table` may be nullptr: then nothing is there. A value that is no table is a mistake.
  TableReader(const TomlValue* table, std::string where, Mistakes& mistakes);

  /// The value of `key`, or nullptr; either way the key is a known one from here on.
  [[nodiscard]] const TomlValue* take(std::string_view key);

  // Nothing where the key is absent or wrong; what is wrong has been noted.
  [[nodiscard]] std::optional<std::string> text(std::string_view key);
  [[nodiscard]] std::optional<bool> boolean(std::string_view key);
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view key, std::int64_t least,
                                                    std::int64_t most);
  [[nodiscard]] std::optional<std::int64_t> duration(std::string_view key, std::int64_t least_us,
                                                     std::int64_t most_us);
  /// The number of the word in `words`.
  [[nodiscard]] std::optional<std::size_t> choice(std::string_view key,
                                                  std::initializer_list<std::string_view> words);
  /// A list of texts; one text alone is a list of one.
  [[nodiscard]] std::vector<const TomlValue*> texts(std::string_view key);

  /// A mistake about the value of `key`.
  void wrong(std::string_view key, const TomlValue& value, std::string found, std::string right);
  /// `found <value>` as the mistake.
  void wrong(std::string_view key, const TomlValue& value, std::string right);
  /// A mistake about the table as a whole.
  void wrong(std::string found, std::string right);

  /// Notes every key that was never taken.
  void finish();

  [[nodiscard]] bool has(std::string_view key) const {
    return table_ != nullptr && table_->find(key) != nullptr;
  }
  /// False where nothing is there, or no table.
  [[nodiscard]] bool is_table() const { return table_ != nullptr; }
  [[nodiscard]] TomlPlace place() const { return table_ == nullptr ? TomlPlace{} : table_->place; }
  [[nodiscard]] TomlPlace key_place(std::string_view key) const;
  [[nodiscard]] const std::string& where() const { return where_; }
  [[nodiscard]] std::string where(std::string_view key) const;
  [[nodiscard]] const std::vector<TomlEntry>& entries() const;
  [[nodiscard]] Mistakes& mistakes() { return mistakes_; }

 private:
  const TomlValue* table_ = nullptr;
  std::string where_;
  Mistakes& mistakes_;
  std::vector<std::string> known_;
};

/// Letters, digits and what `also` has; 1 to `bytes_max` of them.
[[nodiscard]] bool is_plain_name(std::string_view text, std::string_view also,
                                 std::size_t bytes_max);

}  // namespace deja
