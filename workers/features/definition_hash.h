// The name of a feature's meaning: equal in two catalogs = the bytes of its column mean the same,
// so that a changed config keeps them. At start only; allocates.
#pragma once

#include <cstdint>

#include "shm/catalog.capnp.h"

namespace deja {

/// A hash of all that gives the column its meaning: type, sizes, window and the rest of its
/// settings, `of`, `where`, and of each event that feeds it the name, how it is recognised, the
/// weight, and the paths of the fields that `of` or `where` may name; and the version of the
/// columns' layout. Not of its name, its place, the order of its events, or anything that it does
/// not use. `feature` is one of `catalog`; indexes out of range are read as "none".
[[nodiscard]] std::uint64_t definition_hash(schema::Feature::Reader feature,
                                            schema::Catalog::Reader catalog);

}  // namespace deja
