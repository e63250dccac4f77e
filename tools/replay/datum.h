// A JSON-like value that owns its parts: what a replayed event carries as properties, traits and
// context, whichever way it is sent. A plain value; one thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace deja {

struct Datum {
  enum class Kind { kAbsent, kNull, kBool, kNumber, kText, kObject, kArray };
  using Members = std::vector<std::pair<std::string, Datum>>;

  Kind kind = Kind::kAbsent;
  bool truth = false;
  double number = 0;
  std::string text;
  Members members;              ///< kObject, in the map's order
  std::vector<Datum> elements;  ///< kArray

  [[nodiscard]] static Datum of(bool value) {
    Datum datum;
    datum.kind = Kind::kBool;
    datum.truth = value;
    return datum;
  }
  [[nodiscard]] static Datum of(double value) {
    Datum datum;
    datum.kind = Kind::kNumber;
    datum.number = value;
    return datum;
  }
  [[nodiscard]] static Datum of(std::string value) {
    Datum datum;
    datum.kind = Kind::kText;
    datum.text = std::move(value);
    return datum;
  }
  [[nodiscard]] bool absent() const { return kind == Kind::kAbsent; }
};

}  // namespace deja
