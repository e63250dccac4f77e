// The program `deja`: everything that people do with an appliance, one verb each.
#include "tools/cli/cli.h"

int main(int argument_count, char** arguments) {
  return deja::run_cli(argument_count, arguments);
}
