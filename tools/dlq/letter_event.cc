#include "tools/dlq/letter_event.h"

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ring/event_record.capnp.h"
#include "shm/catalog.capnp.h"
#include "shm/key.h"
#include "shm/value.h"
#include "tools/config/field_path.h"

namespace deja {
namespace {

constexpr unsigned kValuesMax = 4096;
constexpr std::uint32_t kElementsMax = 1024;
/// Of all arrays together, so that a few bytes can't ask for much memory.
constexpr std::size_t kElementsTogetherMax = 1U << 16U;
constexpr const char* kNoRecord = "its bytes are no event record";

std::vector<capnp::word> aligned(std::span<const std::uint8_t> bytes) {
  std::vector<capnp::word> words(bytes.size() / sizeof(capnp::word));
  if (!words.empty()) std::memcpy(words.data(), bytes.data(), words.size() * sizeof(capnp::word));
  return words;
}

std::string text_of(capnp::Data::Reader bytes) {
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

const char* call_text(schema::Call call) {
  switch (call) {
    case schema::Call::TRACK:
      return "track";
    case schema::Call::PAGE:
      return "page";
    case schema::Call::SCREEN:
      return "screen";
    case schema::Call::GROUP:
      return "group";
    case schema::Call::IDENTIFY:
      return "identify";
  }
  return "track";
}

/// Absent: no value that could be.
Datum datum_of(schema::EventRecord::Value::Reader value) {
  Datum datum;
  switch (static_cast<ValueKind>(value.getKind())) {
    case ValueKind::kNull:
      datum.kind = Datum::Kind::kNull;
      return datum;
    case ValueKind::kBool:
      return Datum::of(value.getNumber() != 0);
    case ValueKind::kNumber:
      if (!std::isfinite(value.getNumber())) return datum;
      return Datum::of(value.getNumber());
    case ValueKind::kText:
      return Datum::of(text_of(value.getText()));
    default:
      return datum;
  }
}

/// "products[].price" within `object`. A place that is something else already stays that. New
/// elements are taken off `elements_left`; none are made beyond it.
void set_path(Datum& object, std::string_view path, std::uint32_t element, Datum value,
              std::size_t& elements_left) {
  if (object.kind != Datum::Kind::kObject && !object.absent()) return;
  object.kind = Datum::Kind::kObject;
  const std::size_t dot = path.find('.');
  std::string_view name = path.substr(0, dot);
  const bool array = name.ends_with("[]");
  if (array) name.remove_suffix(2);
  auto member = std::ranges::find(object.members, name, &DatumMember::name);
  if (member == object.members.end()) {
    object.members.push_back({std::string(name), {}});
    member = object.members.end() - 1;
  }
  Datum* target = &member->value;
  if (array) {
    if (target->kind != Datum::Kind::kArray && !target->absent()) return;
    target->kind = Datum::Kind::kArray;
    if (target->elements.size() <= element) {
      const std::size_t added = element + 1U - target->elements.size();
      if (added > elements_left) return;
      elements_left -= added;
      target->elements.resize(element + 1U);
    }
    target = &target->elements[element];
  }
  if (dot == std::string_view::npos) {
    *target = std::move(value);
  } else {
    set_path(*target, path.substr(dot + 1), element, std::move(value), elements_left);
  }
}

class LetterReader {
 public:
  LetterReader(schema::Catalog::Reader catalog, schema::EventRecord::Reader record)
      : catalog_(catalog), record_(record) {}

  void read(LetterEvent& into) {
    read_kinds(into);
    const std::string key = text_of(record_.getKey());
    const bool anonymous =
        record_.getKeyNamespace() == static_cast<std::uint8_t>(KeyNamespace::kAnonymous);
    into.user = anonymous ? "anon:" + key : key;
    (anonymous ? into.event.anonymous : into.event.user) = key;
    into.received_us = record_.getReceivedUs();
    into.event.time_us = record_.getTimeUs();
    into.id = {record_.getIdLow(), record_.getIdHigh()};
    read_values(into);
    if (into.event.name.empty() && into.event.type == "track") into.event.name = "*";
    if (key.empty()) into.fault = kNoRecord;
    into.readable = true;
  }

 private:
  void read_kinds(LetterEvent& into) {
    const auto events = catalog_.getEvents();
    bool first = true;
    for (unsigned kind = 0; kind < std::min(events.size(), 64U); ++kind) {
      if ((record_.getKinds() >> kind & 1U) == 0) continue;
      into.kinds.emplace_back(events[kind].getName().cStr());
      if (first) into.event.type = call_text(events[kind].getCall());
      first = false;
      const std::string match = events[kind].getMatch().cStr();
      if (match != "*" && !match.empty()) into.event.name = match;
    }
    if (into.kinds.empty()) into.fault = "it is of no kind that its catalog has";
  }

  void read_values(LetterEvent& into) {
    const auto slots = catalog_.getSlots();
    const auto values = record_.getValues();
    if (values.size() > kValuesMax) {
      into.fault = kNoRecord;
      return;
    }
    for (const auto value : values) {
      Datum datum = datum_of(value);
      if (value.getSlot() >= slots.size() || value.getElement() >= kElementsMax || datum.absent() ||
          elements_left_ == 0 ||
          !field_path_fault(slots[value.getSlot()].getPath().cStr()).empty()) {
        into.fault = kNoRecord;
        return;
      }
      place(into.event, slots[value.getSlot()].getPath().cStr(), value.getElement(),
            std::move(datum));
    }
  }

  void place(ReplayEvent& event, const std::string& path, std::uint32_t element, Datum value) {
    const std::size_t dot = path.find('.');
    const std::string head = path.substr(0, dot);
    if (dot == std::string::npos) {
      if (head == "anonymousId" && event.anonymous.empty()) event.anonymous = value.text;
      if (head == "event" || head == "name" || head == "groupId") event.name = value.text;
      return;  // userId is the key; the id is replay_id()
    }
    const std::string_view rest = std::string_view(path).substr(dot + 1);
    Datum* object = &event.context;
    if (head == "properties") object = &event.properties;
    if (head == "traits") object = &event.traits;
    set_path(*object, rest, element, std::move(value), elements_left_);
  }

  schema::Catalog::Reader catalog_;
  schema::EventRecord::Reader record_;
  std::size_t elements_left_ = kElementsTogetherMax;
};

std::string hex_of(std::uint64_t word) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(word));
  return digits;
}

}  // namespace

std::string replay_id(const DeadLetterHeaderLayout& file, const DeadLetter& letter,
                      const MessageId& id) {
  if ((id.low | id.high) == 0) {
    return "dead-letter:" + hex_of(file.checksum) + ":" + std::to_string(letter.number);
  }
  if (letter.head.sequence == 0 || !letter.settled) return raw_id_text(id);
  return "dead-letter:" + hex_of(id.high) + hex_of(id.low);
}

LetterEvent read_letter_event(const DeadLetterScan& scan, const DeadLetter& letter) {
  LetterEvent made;
  if (letter.head.reason == RefusalReason::kRejected) {
    made.fault = kNoRecord;  // letter_text.h has it
    return made;
  }
  if (letter.record.empty()) {
    made.fault = "the log had no room for its bytes; the journal has them, as shard " +
                 std::to_string(letter.head.shard) + ", sequence " +
                 std::to_string(letter.head.sequence);
    return made;
  }
  if (letter.head.record_bytes > letter.record.size()) {
    made.fault = "its bytes were too many and are cut";
    return made;
  }
  if (letter.catalog == DeadLetter::kNoCatalog) {
    made.fault = "the catalog that it was written under is damaged";
    return made;
  }
  const std::vector<capnp::word> catalog_words = aligned(scan.catalogs[letter.catalog]);
  const std::vector<capnp::word> record_words = aligned(letter.record);
  try {
    capnp::FlatArrayMessageReader catalog({catalog_words.data(), catalog_words.size()});
    const kj::ArrayPtr<const capnp::word> segments[] = {{record_words.data(), record_words.size()}};
    capnp::SegmentArrayMessageReader record(segments);
    LetterReader(catalog.getRoot<schema::Catalog>(), record.getRoot<schema::EventRecord>())
        .read(made);
  } catch (const kj::Exception&) {
    made = LetterEvent();
    made.fault = kNoRecord;
    return made;
  }
  made.event.id = replay_id(scan.header, letter, made.id);
  if (letter.head.reason == RefusalReason::kBrokenRecord) made.fault = kNoRecord;
  return made;
}

}  // namespace deja
