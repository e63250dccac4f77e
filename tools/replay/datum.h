// A JSON-like value that owns its parts: what a replayed event carries as properties, traits and
// context, whichever way it is sent. A plain value; one thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace deja {

struct DatumMember;

struct Datum {
  enum class Kind { kAbsent, kNull, kBool, kNumber, kText, kObject, kArray };
  using Members = std::vector<DatumMember>;

  Kind kind = Kind::kAbsent;
  bool truth = false;
  double number = 0;
  std::string text;
  Members members;              ///< kObject, in the map's order
  std::vector<Datum> elements;  ///< kArray

  [[nodiscard]] static Datum of(bool value);
  [[nodiscard]] static Datum of(double value);
  [[nodiscard]] static Datum of(std::string value);
  [[nodiscard]] bool absent() const { return kind == Kind::kAbsent; }
};

struct DatumMember {
  std::string name;
  Datum value;
};

inline Datum Datum::of(bool value) {
  Datum datum;
  datum.kind = Kind::kBool;
  datum.truth = value;
  return datum;
}
inline Datum Datum::of(double value) {
  Datum datum;
  datum.kind = Kind::kNumber;
  datum.number = value;
  return datum;
}
inline Datum Datum::of(std::string value) {
  Datum datum;
  datum.kind = Kind::kText;
  datum.text = std::move(value);
  return datum;
}

}  // namespace deja
