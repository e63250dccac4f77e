// Result<T>: a value, or a fault of the environment (a file that can't be made, a config that
// can't be read) with what was tried, the system's reason and what to do next. For start-up and
// tools; the way of an event uses small enums instead. Not thread-safe, like any value.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "shm/base/check.h"

namespace deja {

/// What went wrong outside of us.
struct Error {
  std::string operation;  ///< what was tried: "create /dev/shm/deja-shop/superblock"
  int error_number = 0;   ///< errno, 0 where the system had no part in it
  std::string remedy;     ///< what the user can do, a full sentence; may be empty

  /// One line for a person: operation, the system's reason, remedy.
  [[nodiscard]] std::string message() const {
    std::string text = operation;
    if (error_number != 0) text.append(": ").append(std::strerror(error_number));
    if (remedy.empty()) return text;
    const bool ended =
        !text.empty() && std::string_view(".?!").find(text.back()) != std::string_view::npos;
    text.append(ended ? " " : ". ").append(remedy);
    return text;
  }
};

/// An Error that carries the errno of the call that just failed.
[[nodiscard]] inline Error system_error(std::string operation, std::string remedy = {}) {
  return Error{std::move(operation), errno, std::move(remedy)};
}

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] T& value() {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] const T& value() const {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  [[nodiscard]] const Error& error() const {
    CHECK(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

/// A Result with nothing but success in it: `return Done{};`
struct Done {};
using Status = Result<Done>;

}  // namespace deja
