#include "shm/catalog_check.h"

#include <kj/exception.h>

#include <cstdint>

namespace deja {
namespace {

/// More than a config of a megabyte can make in all lists together.
constexpr std::uint32_t kElementsMax = 262'144;

/// What the library does not mind.
struct TooLong {};

class Look {
 public:
  /// Nothing in particular: a text is checked when it is asked for.
  void at(capnp::Text::Reader) {}

  void at(schema::EventKind::Reader kind) {
    at(kind.getName());
    at(kind.getMatch());
    each(kind.getFields());
  }
  void at(schema::EventKind::Field::Reader field) { at(field.getName()); }
  void at(schema::Slot::Reader slot) { at(slot.getPath()); }
  void at(schema::Feature::Reader feature) {
    at(feature.getName());
    at(feature.getOf());
    at(feature.getWhere());
    each(feature.getSources());
  }
  void at(schema::Feature::Source::Reader) {}
  void at(schema::Catalog::Reader catalog) {
    at(catalog.getAppliance());
    each(catalog.getEvents());
    each(catalog.getSlots());
    each(catalog.getFeatures());
  }

  void at(std::int32_t) {}
  void at(schema::Settings::Reader settings) {
    at(settings.getAppliance());
    each(settings.getIngestCpus());
    each(settings.getWorkerCpus());
    at(settings.getHttp());
    each(settings.getStreams());
    at(settings.getConsole());
    each(settings.getWriteKeys());
    each(settings.getReadKeys());
    at(settings.getRedisUrl());
    at(settings.getDurabilityDirectory());
  }

 private:
  template <typename List>
  void each(List list) {
    if (list.size() > elements_left_) throw TooLong{};
    elements_left_ -= list.size();
    for (const auto element : list) at(element);
  }

  std::uint32_t elements_left_ = kElementsMax;
};

template <typename Reader>
Status check(Reader message) {
  try {
    Look().at(message);
  } catch (const kj::Exception& damage) {
    return Error{damage.getDescription().cStr(), 0, {}};
  } catch (const TooLong&) {
    return Error{"lists of more than " + std::to_string(kElementsMax) + " elements", 0, {}};
  }
  return Done{};
}

}  // namespace

Status check_readable(schema::Catalog::Reader catalog) {
  return check(catalog);
}

Status check_readable(schema::Settings::Reader settings) {
  return check(settings);
}

}  // namespace deja
