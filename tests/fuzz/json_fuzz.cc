// JSON to record: an input is the body of a request, a batch or one event of any type. What the
// extractor takes out of an event is what a plain look-up in simdjson's tree finds at the declared
// paths, and what the record builder writes of it is what the worker's decoder reads.
#include <capnp/serialize.h>
#include <simdjson.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "ingest/event_time.h"
#include "ingest/json_extractor.h"
#include "ingest/json_scan.h"
#include "ingest/message_id.h"
#include "ingest/recognizer.h"
#include "ingest/record_builder.h"
#include "tests/fuzz/sink_world.h"

namespace deja::fuzz {
namespace {

constexpr std::uint32_t kKeyBytes = 40;

/// A value at a slot, by content.
using Found = std::tuple<std::uint32_t, std::uint32_t, int, double, std::string>;

Found found_of(std::uint32_t slot, std::uint32_t element, const Value& value) {
  return {slot, element, static_cast<int>(value.kind), value.number,
          std::string(value.text, value.text_bytes)};
}

/// What stands at the declared paths, looked up the plain way.
class PlainLook {
 public:
  explicit PlainLook(const std::vector<std::string>& paths) : paths_(paths) {}

  /// False: simdjson's tree has no room for the text (an integer beyond 64 bits).
  bool parse(std::string_view text) { return !parser_.parse(text).get(document_); }

  [[nodiscard]] std::vector<Found> values() const {
    std::vector<Found> found;
    for (std::uint32_t slot = 0; slot < paths_.size(); ++slot) {
      look(document_, paths_[slot], slot, 0, found);
    }
    return found;
  }
  /// The outermost member `name`, where it is a text.
  [[nodiscard]] std::optional<std::string> text(std::string_view name) const {
    simdjson::dom::element member;
    std::string_view text;
    if (!last(document_, name, member) || member.get_string().get(text)) return {};
    return std::string(text);
  }

 private:
  using Element = simdjson::dom::element;

  /// Of members named twice the last one counts.
  static bool last(const Element& from, std::string_view name, Element& member) {
    simdjson::dom::object object;
    if (from.get_object().get(object)) return false;
    bool there = false;
    for (const auto& field : object) {
      if (field.key != name) continue;
      member = field.value;
      there = true;
    }
    return there;
  }

  static void look(const Element& from, std::string_view path, std::uint32_t slot,
                   std::uint32_t index, std::vector<Found>& found) {
    if (path.empty()) return take(from, slot, index, found);
    const std::size_t dot = path.find('.');
    std::string_view name = path.substr(0, dot);
    const std::string_view rest = dot == path.npos ? "" : path.substr(dot + 1);
    const bool each = name.ends_with("[]");
    if (each) name.remove_suffix(2);
    Element member;
    if (!last(from, name, member)) return;
    if (!each) return look(member, rest, slot, index, found);
    simdjson::dom::array array;
    if (member.get_array().get(array)) return;
    std::uint32_t number = 0;
    for (const Element element : array) look(element, rest, slot, number++, found);
  }

  static void take(const Element& from, std::uint32_t slot, std::uint32_t index,
                   std::vector<Found>& found) {
    std::string_view text;
    double number = 0;
    bool truth = false;
    if (!from.get_string().get(text)) {
      found.push_back(
          found_of(slot, index, Value::of(text.data(), static_cast<std::uint32_t>(text.size()))));
    } else if (!from.get_bool().get(truth)) {
      found.push_back(found_of(slot, index, {ValueKind::kBool, truth ? 1.0 : 0.0, nullptr, 0}));
    } else if (from.is_null()) {
      found.push_back(found_of(slot, index, {ValueKind::kNull, 0, nullptr, 0}));
    } else if (!from.get_double().get(number)) {
      found.push_back(found_of(slot, index, Value::of(number)));
    }
  }

  const std::vector<std::string>& paths_;
  simdjson::dom::parser parser_;
  Element document_;
};

class JsonWorld {
 public:
  JsonWorld()
      : options_(shop(0)),
        bytes_(test_catalog(options_.events, options_.paths)),
        message_(kj::arrayPtr(reinterpret_cast<const capnp::word*>(bytes_.data()),
                              bytes_.size() / sizeof(capnp::word))),
        catalog_(message_.getRoot<schema::Catalog>()),
        paths_(catalog_),
        recognizer_(catalog_),
        extractor_(paths_, catalog_.getSlots().size(), kKeyBytes),
        geometry_(TableGeometry::plan(64, 8, 1, kKeyBytes, 64)),
        decoder_(catalog_, geometry_, 0),
        extraction_(std::make_unique<Extraction>()),
        event_(roots()),
        look_(options_.paths),
        shared_look_(options_.paths) {}

  void run(std::string_view body) {
    std::string padded(body);
    padded.append(kJsonPaddingBytes, '"');  // whatever lies there must not matter
    const auto document = std::string_view(padded).substr(0, body.size());
    if (!is_utf8_document(document)) return;
    JsonEnvelope envelope;
    const ScanOutcome outcome = scan_document(document, envelope);
    if (outcome != ScanOutcome::kObject) return;
    Refusal refusal;
    if (envelope.batch.empty() || envelope.batch.front() != '[') {
      extractor_.share_nothing();
      sharing_ = false;
      JsonCursor cursor{document.data(), document.data() + document.size()};
      std::string_view event;
      CHECK(scan_value(cursor, event));
      run_event(event, CallType::kNone);
      run_event(event, CallType::kTrack);
      run_event(event, CallType::kIdentify);
      return;
    }
    if (!extractor_.share(document, refusal, envelope.batch)) return check_refusal(refusal);
    sharing_ = true;
    shared_known_ = shared_look_.parse(document);
    JsonCursor cursor{envelope.batch.data() + 1, envelope.batch.data() + envelope.batch.size()};
    std::uint32_t count = 0;
    bool more = !cursor.take(']');
    for (; more; more = cursor.take(',')) {
      std::string_view event;
      CHECK(scan_value(cursor, event));
      run_event(event, CallType::kNone);
      ++count;
    }
    CHECK(count == envelope.batch_count);
  }

 private:
  std::vector<std::uint16_t> roots() const {
    std::vector<std::uint16_t> roots;
    for (const auto slot : catalog_.getSlots()) roots.push_back(slot.getRoot());
    return roots;
  }

  static void check_refusal(const Refusal& refusal) {
    CHECK(refusal.code != nullptr && refusal.message != nullptr);
    CHECK(std::memchr(refusal.path, '\0', sizeof refusal.path) != nullptr);
  }

  void run_event(std::string_view text, CallType route) {
    Refusal refusal;
    if (!extractor_.extract(text, route, *extraction_, refusal)) return check_refusal(refusal);
    CHECK(extraction_->call != CallType::kNone);
    CHECK(!extraction_->user_id.empty() || !extraction_->anonymous_id.empty());
    if (look_.parse(text) && (!sharing_ || shared_known_)) check_against_look();
    build_and_decode();
  }

  void check_against_look() {
    std::vector<Found> extracted;
    for (std::uint32_t at = 0; at < extraction_->captured_count; ++at) {
      const CapturedValue& value = extraction_->captured[at];
      extracted.push_back(found_of(value.slot, value.element, value.value));
    }
    std::vector<Found> looked_up = look_.values();
    if (sharing_) {
      const std::vector<Found> own = looked_up;
      for (const Found& shared : shared_look_.values()) {
        const bool is_own = std::any_of(own.begin(), own.end(), [&](const Found& value) {
          return std::get<0>(value) == std::get<0>(shared);
        });
        if (!is_own) looked_up.push_back(shared);
      }
    }
    std::sort(extracted.begin(), extracted.end());
    std::sort(looked_up.begin(), looked_up.end());
    CHECK(extracted == looked_up);
    const auto user = look_.text("userId");
    if (user && !user->empty()) CHECK(extraction_->user_id == *user);
    const auto id = look_.text("messageId");
    if (id) CHECK(extraction_->message_id == *id);
  }

  /// As the sink does it.
  void build_and_decode() {
    const Extraction& from = *extraction_;
    const EventTime time = event_time(from, kNowUs, 300'000'000);
    const std::uint64_t kinds = recognizer_.recognize(from.call, from.name);
    if (time.bad_member != nullptr || kinds == 0) return;
    const std::string_view key = from.user_id.empty() ? from.anonymous_id : from.user_id;
    RecordFields fields;
    fields.received_us = kNowUs;
    fields.time_us = time.time_us;
    const MessageId id = message_id_of(from.message_id);
    fields.id_low = id.low;
    fields.id_high = id.high;
    fields.kinds = kinds;
    fields.key = {from.user_id.empty() ? KeyNamespace::kAnonymous : KeyNamespace::kUser, key.data(),
                  static_cast<std::uint32_t>(key.size())};
    fields.shard = shard_of(fields.key, geometry_.shard_count);
    const RecordValues values{
        {from.captured.data(), from.captured_count}, recognizer_.kinds_of_slot(), kinds};
    const RecordSize size = record_size(fields, values);
    std::vector<std::uint64_t> words(size.bytes / 8);
    build_record(fields, values, size, reinterpret_cast<std::uint8_t*>(words.data()));

    CHECK(decoder_.decode(words.data(), static_cast<std::uint32_t>(size.bytes), event_));
    CHECK(event_.received_us == fields.received_us && event_.time_us == fields.time_us);
    CHECK(event_.id_low == fields.id_low && event_.id_high == fields.id_high);
    CHECK(event_.kinds == kinds && event_.shard == fields.shard && event_.key == fields.key);
    for (const CapturedValue& value : values.captured) {
      if (!values.wants(value)) continue;
      CHECK(found_of(0, 0, event_.values.get(value.slot, value.element)) ==
            found_of(0, 0, value.value));
    }
  }

  SinkAppliance::Options options_;
  std::vector<std::uint8_t> bytes_;
  capnp::FlatArrayMessageReader message_;
  schema::Catalog::Reader catalog_;
  PathTrie paths_;
  Recognizer recognizer_;
  JsonExtractor extractor_;
  TableGeometry geometry_;
  EventDecoder decoder_;
  std::unique_ptr<Extraction> extraction_;
  Event event_;
  PlainLook look_;
  PlainLook shared_look_;
  bool sharing_ = false;
  bool shared_known_ = false;
};

}  // namespace
}  // namespace deja::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static deja::fuzz::JsonWorld world;
  world.run({reinterpret_cast<const char*>(data), size});
  return 0;
}
