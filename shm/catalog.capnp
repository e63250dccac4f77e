@0x9a359b338aa0cc17;
# What an appliance knows: which events and features exist and where each feature's column lies in
# a block. Written once by the supervisor, fixed for an incarnation, read by everybody. In the
# segment it lies as one unpacked single-segment message with its 8-byte segment table, so that any
# language can read it; libdeja does with libc alone (shm/libdeja), so fields are only ever added.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("deja::schema");

struct Catalog {
  appliance @0 :Text;               # the config's [appliance] name
  events @1 :List(EventKind);       # at most 64: an event record has one bit for each
  slots @2 :List(Slot);             # what ingest extracts from a message, by slot number
  features @3 :List(Feature);       # in the config's order
  frameBytes @4 :UInt32;            # sum of the columns; a multiple of 8
  keyBytes @5 :UInt32;              # longest key, 8..64, a multiple of 8
}

enum Call { track @0; page @1; screen @2; group @3; identify @4; }

struct EventKind {
  name @0 :Text;                    # the config's name; "$identify" is the hidden one of traits
  call @1 :Call;
  match @2 :Text;                   # the call's event (or page, screen, group) name; "*" is any
  fields @3 :List(Field);

  struct Field {
    name @0 :Text;                  # what expressions call it
    slot @1 :UInt16;
  }
}

struct Slot {
  path @0 :Text;                    # "properties.products[].price": at most one "[]"
  root @1 :UInt16;                  # 0: one value; else the number of the array it is an element
}                                   # of: slots with the same root go together element by element

enum FeatureType {
  count @0; sum @1; min @2; max @3; mean @4; first @5; last @6; recent @7; top @8; distinct @9;
  session @10; trait @11;
}

struct Feature {
  name @0 :Text;
  type @1 :FeatureType;
  offset @2 :UInt32;                # of its column in the frame, bytes, a multiple of 8
  bytes @3 :UInt32;                 # of its column, a multiple of 8
  windowUs @4 :Int64;               # 0: all time
  panes @5 :UInt32;                 # 1 when tumbling or without a window
  tumbling @6 :Bool;
  keep @7 :UInt32;                  # recent, top: values shown
  track @8 :UInt32;                 # top: keys tracked
  textBytes @9 :UInt32;             # first, last, recent, top, trait: longest text kept
  halfLifeUs @10 :Int64;            # top; 0: none
  gapUs @11 :Int64;                 # session
  sources @12 :List(Source);        # which events feed it
  of @13 :Text;                     # expression over the event's fields; empty where none
  where @14 :Text;                  # condition; empty: always
  definition @15 :UInt64;           # hash of everything that gives its bytes their meaning:
                                    # equal in two catalogs = the column can be carried over

  struct Source {
    event @0 :UInt16;               # index in Catalog.events
    weight @1 :Float64;             # top: what one event adds; else 1
  }
}
