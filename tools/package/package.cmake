# What `cmake --install` puts where, and the Debian packages that `cpack` makes of it.
#
#   component  package      holds
#   server     deja         the programs, the unit, /etc/deja/shop.toml
#   library    libdeja0     libdeja.so.0
#   develop    libdeja-dev  headers, static library, pkg-config file
#
# An ordinary user may install into a prefix of their own. What makes a service of it (unit, system
# users, /etc) has fixed places in a system, and is installed only with the prefix /usr.
if(CMAKE_LIBRARY_ARCHITECTURE)
  set(CMAKE_INSTALL_LIBDIR lib/${CMAKE_LIBRARY_ARCHITECTURE} CACHE PATH "where libraries go")
endif()
include(GNUInstallDirs)

set(DEJA_LIBEXEC_DIR ${CMAKE_INSTALL_LIBEXECDIR}/deja)

# --- server ---------------------------------------------------------------------------------------
# `deja` finds the others beside its own file, so that file lies with them; what is in PATH is a link.
install(TARGETS deja deja-ingest deja-worker deja-keeper deja-console
  RUNTIME DESTINATION ${DEJA_LIBEXEC_DIR} COMPONENT server)
file(RELATIVE_PATH to_deja /${CMAKE_INSTALL_BINDIR} /${DEJA_LIBEXEC_DIR}/deja)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/package)
file(CREATE_LINK ${to_deja} ${CMAKE_BINARY_DIR}/package/deja SYMBOLIC)
install(FILES ${CMAKE_BINARY_DIR}/package/deja DESTINATION ${CMAKE_INSTALL_BINDIR}
  COMPONENT server)
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT server)
file(GLOB samples CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tools/sample/*.toml)
install(FILES ${samples} DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT server)
install(FILES tools/monitoring/README.md tools/monitoring/deja.rules.yml
  tools/monitoring/deja.grafana.json DESTINATION ${CMAKE_INSTALL_DATADIR}/deja/monitoring
  COMPONENT server)

# The sample as a service's config: its data where a service keeps it, its profiles for the group.
file(READ tools/sample/shop.toml config)
foreach(change IN ITEMS
    "\"/tmp/deja-shop\" # a real shop: /var/lib/deja/shop|\"/var/lib/deja/shop\""
    "-c tools/sample/shop.toml|-c /etc/deja/shop.toml"
    "\nshards = |\nreaders_group = \"deja-readers\"  # who may read profiles: usermod -aG deja-readers USER\nshards = ")
  string(REPLACE "|" ";" change "${change}")
  list(GET change 0 from)
  list(GET change 1 to)
  string(FIND "${config}" "${from}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "tools/sample/shop.toml no longer has '${from}': correct tools/package/package.cmake")
  endif()
  string(REPLACE "${from}" "${to}" config "${config}")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/package/shop.toml CONTENT "${config}" @ONLY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS tools/sample/shop.toml)

install(CODE "
  set(DEJA_FROM \"${CMAKE_SOURCE_DIR}/tools/package\")
  set(DEJA_CONFIG \"${CMAKE_BINARY_DIR}/package/shop.toml\")
  include(\"${CMAKE_SOURCE_DIR}/tools/package/install_service.cmake\")
" COMPONENT server)

# --- libdeja --------------------------------------------------------------------------------------
install(TARGETS libdeja_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library
  NAMELINK_COMPONENT develop)
install(TARGETS libdeja_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT develop)
# Below a folder of their own, so that a renderer includes "shm/deja.h" here as in a clone.
install(FILES shm/deja.h shm/deja.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/deja/shm
  COMPONENT develop)
file(RELATIVE_PATH DEJA_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(tools/package/deja.pc.in package/deja.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/package/deja.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
  COMPONENT develop)
install(FILES tools/sample/renderer_example.c
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libdeja-dev/examples COMPONENT develop)

# --- every package's license ----------------------------------------------------------------------
foreach(package IN ITEMS server:deja library:libdeja0 develop:libdeja-dev)
  string(REPLACE ":" ";" package ${package})
  list(GET package 0 component)
  list(GET package 1 name)
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${name} RENAME copyright
    COMPONENT ${component})
endforeach()

# --- Debian packages ------------------------------------------------------------------------------
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME deja)
set(CPACK_PACKAGE_CONTACT "Deja <deja@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL server library develop)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_OUTPUT_FILE_PREFIX ${CMAKE_BINARY_DIR}/packages)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
  GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_SERVER_PACKAGE_NAME deja)
set(CPACK_DEBIAN_SERVER_PACKAGE_SECTION web)
set(CPACK_COMPONENT_SERVER_DESCRIPTION
  "Events of a site's visitors come in over HTTP or a stream; profiles in shared
memory have changed microseconds later, and renderers on the same host read
them in nanoseconds.")
# systemd makes the users and the folders; passwd takes the users away again.
set(CPACK_DEBIAN_SERVER_PACKAGE_DEPENDS "systemd, passwd")
# Where [redis] url = "local", which a Redis elsewhere makes unnecessary.
set(CPACK_DEBIAN_SERVER_PACKAGE_RECOMMENDS "redis-server")
set(CPACK_DEBIAN_SERVER_PACKAGE_CONTROL_EXTRA
  ${CMAKE_SOURCE_DIR}/tools/package/debian/postinst
  ${CMAKE_SOURCE_DIR}/tools/package/debian/prerm
  ${CMAKE_SOURCE_DIR}/tools/package/debian/postrm
  ${CMAKE_SOURCE_DIR}/tools/package/debian/conffiles)

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libdeja0)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION
  "What a renderer links: opens an appliance by name, read-only, and copies
profiles without a system call, a lock or an allocation.")

set(CPACK_DEBIAN_DEVELOP_PACKAGE_NAME libdeja-dev)
set(CPACK_DEBIAN_DEVELOP_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOP_PACKAGE_DEPENDS "libdeja0 (= ${PROJECT_VERSION})")
set(CPACK_COMPONENT_DEVELOP_DESCRIPTION
  "For building a renderer against libdeja: headers for C and C++, the static
library and the pkg-config file.")
include(CPack)
