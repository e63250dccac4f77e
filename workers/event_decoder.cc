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

/// Element `at` of the record's list, without its place. False: there is no such value. Inline
/// whatever the compiler thinks: a call takes as long as the rest.
template <typename Layout>
[[gnu::always_inline]] inline bool decode_value(Layout& record, std::uint32_t at, Value& value) {
  const auto kind = static_cast<ValueKind>(record.template value<std::uint8_t>(at, kKind));
  value = {kind, 0, nullptr, 0};
  if (kind == ValueKind::kText) {
    const capnp_view::Text text = record.text(at);
    value.text = text.data;
    value.text_bytes = text.size;
    return true;
  }
  if (kind == ValueKind::kNull) return true;
  value.number = record.template value<double>(at, kNumber);
  if (kind == ValueKind::kNumber) return std::isfinite(value.number);
  return kind == ValueKind::kBool && (value.number == 0 || value.number == 1);
}

}  // namespace

EventDecoder::EventDecoder(schema::Catalog::Reader catalog, const TableGeometry& geometry,
                           std::uint32_t worker)
    : geometry_(geometry), worker_(worker) {
  const unsigned kinds = catalog.getEvents().size();
  kinds_declared_ = kinds >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << kinds) - 1;
  for (const schema::Slot::Reader slot : catalog.getSlots()) {
    elements_max_.push_back(elements_max(slot.getRoot()));
  }
}

bool EventDecoder::decode(const void* bytes, std::uint32_t size, Event& event) const {
  event.values.clear();
  UsualLayout usual(bytes, size);
  if (usual.usual()) return decode_head(usual, event) && set_values(usual, event.values);
  AnyLayout any(bytes, size);
  return decode_head(any, event) && set_values(any, event.values);
}

bool EventDecoder::decode(const void* bytes, std::uint32_t size, EventHead& head,
                          ListedValue* values, std::uint32_t& count) const {
  UsualLayout usual(bytes, size);
  if (usual.usual()) return decode_head(usual, head) && list_values(usual, values, count);
  AnyLayout any(bytes, size);
  return decode_head(any, head) && list_values(any, values, count);
}

template <typename Layout>
bool EventDecoder::decode_head(const Layout& record, EventHead& head) const {
  head.received_us = record.template get<std::int64_t>(kReceivedUs);
  head.time_us = record.template get<std::int64_t>(kTimeUs);
  head.kinds = record.template get<std::uint64_t>(kKinds);
  head.shard = record.template get<std::uint32_t>(kShard);
  return !record.damaged() && read_identity(record, head) && is_time(head.received_us) &&
         is_time(head.time_us) && head.kinds != 0 && (head.kinds & ~kinds_declared_) == 0 &&
         head.shard < geometry_.shard_count && geometry_.owner_of(head.shard) == worker_ &&
         head.shard == shard_of(head.key, geometry_.shard_count);
}

template <typename Layout>
bool EventDecoder::set_values(Layout& record, EventValues& values) const {
  const std::uint32_t count = record.value_count();
  for (std::uint32_t at = 0; at < count; ++at) {
    Value value;
    if (!decode_value(record, at, value) ||
        !values.set(record.template value<std::uint16_t>(at, kSlot),
                    record.template value<std::uint16_t>(at, kElement), value)) {
      return false;
    }
  }
  return !record.damaged();
}

template <typename Layout>
bool EventDecoder::list_values(Layout& record, ListedValue* values, std::uint32_t& count) const {
  const std::uint32_t room = count;
  count = record.value_count();
  if (count > room) return false;
  for (std::uint32_t at = 0; at < count; ++at) {
    ListedValue& listed = values[at];
    listed.slot = record.template value<std::uint16_t>(at, kSlot);
    listed.element = record.template value<std::uint16_t>(at, kElement);
    if (!decode_value(record, at, listed.value) || listed.slot >= elements_max_.size() ||
        listed.element >= elements_max_[listed.slot]) {
      return false;
    }
  }
  return !record.damaged();
}

bool EventDecoder::decode_identity(const void* bytes, std::uint32_t size, EventHead& head) const {
  const UsualLayout usual(bytes, size);
  if (usual.usual()) return read_identity(usual, head);
  const AnyLayout any(bytes, size);
  return read_identity(any, head);
}

template <typename Layout>
bool EventDecoder::read_identity(const Layout& record, EventHead& head) const {
  head.id_low = record.template get<std::uint64_t>(kIdLow);
  head.id_high = record.template get<std::uint64_t>(kIdHigh);
  const auto name_space = record.template get<std::uint8_t>(kKeyNamespace);
  const capnp_view::Text key = record.key();
  head.key = {static_cast<KeyNamespace>(name_space), key.data, key.size};
  return name_space <= static_cast<std::uint8_t>(KeyNamespace::kAnonymous) && key.size != 0 &&
         key.size <= geometry_.key_bytes;
}

}  // namespace deja
