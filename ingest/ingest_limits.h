// Everything by which one client is kept from taking what is everybody's: made from the settings
// once for the process, shared by its threads.
#pragma once

#include "ingest/connection_limits.h"
#include "ingest/peer_address.h"
#include "ingest/rate_limits.h"
#include "shm/segment.h"

namespace deja {

struct IngestLimits {
  /// Nobody is limited, but for memory.
  IngestLimits() = default;
  explicit IngestLimits(schema::Settings::Reader settings)
      : rates(rates_of(settings)), proxies(proxies_of(settings)) {}

  RateLimits rates;
  TrustedProxies proxies;
  BufferBudget buffers;

 private:
  static RateLimits::Options rates_of(schema::Settings::Reader settings) {
    RateLimits::Options options;
    options.address_events_per_s = settings.getAddressEventsPerS();
    options.key_events_per_s = settings.getKeyEventsPerS();
    options.key_count = settings.getWriteKeys().size();
    return options;
  }
  static TrustedProxies proxies_of(schema::Settings::Reader settings) {
    TrustedProxies proxies;
    for (const auto text : settings.getTrustedProxies()) {
      if (const auto range = AddressRange::parse(text.cStr())) proxies.add(*range);
    }
    return proxies;
  }
};

}  // namespace deja
