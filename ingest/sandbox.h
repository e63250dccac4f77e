// What deja-ingest gives up before it reads a stranger's first byte: its user, where it was started
// as root, and every system call that serving does not need. Everything it uses has been opened
// before; from then on it opens, connects, starts and traces nothing. What a ring may do is
// restricted where the ring is made (ingest/loop_uring.h), since a filter does not see it. Start-up
// code.
#pragma once

#include <sys/types.h>

#include "shm/base/result.h"

namespace deja {

/// A sanitizer's runtime opens files and starts threads when it has something to say, so such a
/// build goes without the filter.
#ifdef DEJA_NO_SYSCALL_FILTER
inline constexpr bool kFiltersSyscalls = false;
#else
inline constexpr bool kFiltersSyscalls = true;
#endif

/// Becomes that user for good, of that group alone and without a capability. The death signal,
/// which the kernel forgets then, is to be asked for again. Before other threads exist.
[[nodiscard]] Status become_user(uid_t user, gid_t group);

/// For all threads of this process, for good: the table in sandbox.cc is allowed, everything else
/// fails with EPERM. A call of another architecture's kind kills.
[[nodiscard]] Status filter_syscalls();

}  // namespace deja
