// Contract checks. A failed CHECK is a broken invariant of ours: it says where and stops the
// process, in Release too. Bytes from a peer are never checked with these: a peer's mistake is an
// outcome, not a broken invariant. Any thread may use them.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace deja {

[[noreturn]] inline void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "deja: broken invariant at %s:%d: %s\n", file, line, expression);
  std::abort();
}

}  // namespace deja

#define CHECK(expression) \
  (static_cast<bool>(expression) ? void(0) : ::deja::check_failed(#expression, __FILE__, __LINE__))

#ifdef NDEBUG
#define DCHECK(expression) ((void)sizeof(static_cast<bool>(expression)))
#else
#define DCHECK(expression) CHECK(expression)
#endif
