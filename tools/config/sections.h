// The sections of a config, one function each: they read what is there into the config and note
// what is wrong. Called by load_config() alone, in this order. One thread.
#pragma once

#include "tools/config/config.h"
#include "tools/config/load_config.h"
#include "tools/config/table_reader.h"

namespace deja {

void read_appliance(const TomlValue* section, Config& config, Mistakes& mistakes);
void read_cpu(const TomlValue* section, const LoadOptions& options, Config& config,
              Mistakes& mistakes);
void read_listen(const TomlValue* section, const LoadOptions& options, Config& config,
                 Mistakes& mistakes);
void read_durability(const TomlValue* section, Config& config, Mistakes& mistakes);
void read_redis(const TomlValue* section, Config& config, Mistakes& mistakes);
void read_events(const TomlValue* section, Config& config, Mistakes& mistakes);
/// Appends "$identify" to the events where a trait needs it, numbers the slots and lays out the
/// frame.
void read_features(const TomlValue* section, Config& config, Mistakes& mistakes);
void read_tests(const TomlValue* section, Config& config, Mistakes& mistakes);

}  // namespace deja
