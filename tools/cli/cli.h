// The command line of `deja`: verbs, options, help, and which code runs for each. The one home of
// CLI11, with cli.cc. One thread.
#pragma once

namespace deja {

/// Parses and runs; the process's exit status: 0 done, 1 not so, 2 misuse.
[[nodiscard]] int run_cli(int argument_count, char** arguments);

}  // namespace deja
