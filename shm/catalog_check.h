// Whether all of a catalog, or of the settings, can be read. The Cap'n Proto library checks a
// message as it is read and throws at what can't be; whoever opens a segment looks at every field
// once, here, so that nobody behind it can meet damage in the middle of something. What the fields
// mean is checked by those who use them (workers/features/feature_set.h). Start-up code; any
// thread.
#pragma once

#include <string>

#include "shm/base/result.h"
#include "shm/catalog.capnp.h"
#include "shm/settings.capnp.h"

namespace deja {

/// The lists have no more than 262,144 elements together: a message of a few words, whose lists lie
/// over each other or have elements without a word, could say that it has billions. The error says
/// what was found, without a remedy.
Status check_readable(schema::Catalog::Reader catalog);
Status check_readable(schema::Settings::Reader settings);

}  // namespace deja
