#include "workers/event_decoder.h"

#include <cmath>

#include "workers/event_record_view.h"

namespace deja {
namespace {

using event_record::AnyLayout;
using event_record::UsualLayout;

using event_record::kIdHigh;
using event_record::kIdLow;
using event_record::kKeyNamespace;
using event_record::kKinds;
using event_record::kReceivedUs;
using event_record::kShard;
using event_record::kTimeUs;

// Places in a value's data, bytes; tests/workers/worker/event_decoder_test.cc holds them against
// the schema.
constexpr std::uint32_t kNumber = 0;
constexpr std::uint32_t kSlot = 8;
constexpr std::uint32_t kElement = 10;
constexpr std::uint32_t kKind = 12;

bool is_time(std::int64_t time_us) {
  return time_us >= 0 && time_us <= kEventTimeMaxUs;
}

/// The value of element `at` of the record's list; absent when it is none.
template <typename Layout>
Value decode_value(Layout& record, std::uint32_t at) {
  switch (static_cast<ValueKind>(record.template value<std::uint8_t>(at, kKind))) {
    case ValueKind::kNull:
      return {ValueKind::kNull, 0, nullptr, 0};
    case ValueKind::kBool: {
      const auto number = record.template value<double>(at, kNumber);
      if (number != 0 && number != 1) return {};  // not a number neither
      return {ValueKind::kBool, number, nullptr, 0};
    }
    case ValueKind::kNumber: {
      const auto number = record.template value<double>(at, kNumber);
      return std::isfinite(number) ? Value::of(number) : Value{};
    }
    case ValueKind::kText: {
      const capnp_view::Text text = record.text(at);
      return Value::of(text.data, text.size);
    }
    default:
      return {};
  }
}

}  // namespace

EventDecoder::EventDecoder(schema::Catalog::Reader catalog, const TableGeometry& geometry,
                           std::uint32_t worker)
    : geometry_(geometry), worker_(worker) {
  const unsigned kinds = catalog.getEvents().size();
  kinds_declared_ = kinds >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << kinds) - 1;
}

bool EventDecoder::decode(const void* bytes, std::uint32_t size, Event& event) const {
  event.values.clear();
  const auto take = [&](std::uint16_t slot, std::uint16_t element, const Value& value) {
    return event.values.set(slot, element, value);
  };
  UsualLayout usual(bytes, size);
  if (usual.usual()) return decode_facts(usual, event) && decode_values(usual, take);
  AnyLayout any(bytes, size);
  return decode_facts(any, event) && decode_values(any, take);
}

bool EventDecoder::decode(const void* bytes, std::uint32_t size, Event& event, ListedValue* values,
                          std::uint32_t& count) const {
  const std::uint32_t room = count;
  count = 0;
  const auto take = [&](std::uint16_t slot, std::uint16_t element, const Value& value) {
    if (count == room || !event.values.holds(slot, element)) return false;
    values[count++] = {value, slot, element};
    return true;
  };
  UsualLayout usual(bytes, size);
  if (usual.usual()) return decode_facts(usual, event) && decode_values(usual, take);
  AnyLayout any(bytes, size);
  return decode_facts(any, event) && decode_values(any, take);
}

template <typename Layout>
bool EventDecoder::decode_facts(const Layout& record, Event& event) const {
  event.received_us = record.template get<std::int64_t>(kReceivedUs);
  event.time_us = record.template get<std::int64_t>(kTimeUs);
  event.kinds = record.template get<std::uint64_t>(kKinds);
  event.shard = record.template get<std::uint32_t>(kShard);
  return !record.damaged() && read_identity(record, event) && is_time(event.received_us) &&
         is_time(event.time_us) && event.kinds != 0 && (event.kinds & ~kinds_declared_) == 0 &&
         event.shard < geometry_.shard_count && geometry_.owner_of(event.shard) == worker_ &&
         event.shard == shard_of(event.key, geometry_.shard_count);
}

template <typename Layout, typename Take>
bool EventDecoder::decode_values(Layout& record, const Take& take) const {
  const std::uint32_t count = record.value_count();
  for (std::uint32_t at = 0; at < count; ++at) {
    const Value value = decode_value(record, at);
    if (value.absent() || !take(record.template value<std::uint16_t>(at, kSlot),
                                record.template value<std::uint16_t>(at, kElement), value)) {
      return false;
    }
  }
  return !record.damaged();
}

bool EventDecoder::decode_identity(const void* bytes, std::uint32_t size, Event& event) const {
  const UsualLayout usual(bytes, size);
  if (usual.usual()) return read_identity(usual, event);
  const AnyLayout any(bytes, size);
  return read_identity(any, event);
}

template <typename Layout>
bool EventDecoder::read_identity(const Layout& record, Event& event) const {
  event.id_low = record.template get<std::uint64_t>(kIdLow);
  event.id_high = record.template get<std::uint64_t>(kIdHigh);
  const auto name_space = record.template get<std::uint8_t>(kKeyNamespace);
  const capnp_view::Text key = record.key();
  event.key = {static_cast<KeyNamespace>(name_space), key.data, key.size};
  return name_space <= static_cast<std::uint8_t>(KeyNamespace::kAnonymous) && key.size != 0 &&
         key.size <= geometry_.key_bytes;
}

}  // namespace deja
