// An event as a program hands it to deja::Producer: plain values, nothing to know of the wire.
// Values own their text. Any thread, like any value.
//
//   ProducerEvent event;
//   event.call = CallType::kTrack;
//   event.name = "Product Viewed";
//   event.user_id = "u-17";
//   event.properties = {{"product_id", "p1"}, {"price", 9.5}};
//   event.properties.push_back({"products", ProducerList{ProducerMembers{{"price", 1.0}}}});
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ingest/extraction.h"

namespace deja {

class ProducerValue;
struct ProducerMember;
using ProducerList = std::vector<ProducerValue>;
using ProducerMembers = std::vector<ProducerMember>;

/// Null, a truth value, a finite number, UTF-8 text, a list or an object.
class ProducerValue {
 public:
  /// An object is shared and never changed, since a vector of members would have to know them here.
  using Object = std::shared_ptr<const ProducerMembers>;
  using Content = std::variant<std::monostate, bool, double, std::string, ProducerList, Object>;

  ProducerValue();                        ///< null
  ProducerValue(bool value);              // NOLINT: implicit, as all below
  ProducerValue(double value);            // NOLINT
  ProducerValue(const char* text);        // NOLINT
  ProducerValue(std::string_view text);   // NOLINT
  ProducerValue(std::string text);        // NOLINT
  ProducerValue(ProducerList list);       // NOLINT
  ProducerValue(ProducerMembers object);  // NOLINT
  template <std::integral Integer>
  requires(!std::same_as<Integer, bool>) ProducerValue(Integer value)
      : ProducerValue(static_cast<double>(value)) {}  // NOLINT

  [[nodiscard]] const Content& content() const { return content_; }

 private:
  Content content_;
};

struct ProducerMember {
  std::string name;
  ProducerValue value;
};

// Defined here since a value can be made only where its members are known.
inline ProducerValue::ProducerValue() = default;
inline ProducerValue::ProducerValue(bool value) : content_(value) {}
inline ProducerValue::ProducerValue(double value) : content_(value) {}
inline ProducerValue::ProducerValue(const char* text) : content_(std::string(text)) {}
inline ProducerValue::ProducerValue(std::string_view text) : content_(std::string(text)) {}
inline ProducerValue::ProducerValue(std::string text) : content_(std::move(text)) {}
inline ProducerValue::ProducerValue(ProducerList list) : content_(std::move(list)) {}
inline ProducerValue::ProducerValue(ProducerMembers object)
    : content_(std::make_shared<const ProducerMembers>(std::move(object))) {}

struct ProducerEvent {
  CallType call = CallType::kTrack;
  std::string name;  ///< track: event; page, screen: name; group: groupId
  std::string user_id;
  std::string anonymous_id;
  std::string message_id;         ///< empty: the producer makes one
  std::int64_t timestamp_us = 0;  ///< since the epoch; 0: the time of receipt
  ProducerMembers properties;
  ProducerMembers traits;
  ProducerMembers context;
};

}  // namespace deja
