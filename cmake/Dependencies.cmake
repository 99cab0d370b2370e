# pkg-config for every library: the one route that all of them support.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(UV      REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(SQLITE  REQUIRED IMPORTED_TARGET sqlite3>=3.35)
pkg_check_modules(XGB     REQUIRED IMPORTED_TARGET xgboost>=1.7)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.13)
pkg_check_modules(YAML    REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(DW      REQUIRED IMPORTED_TARGET libdw>=0.180)

# The module for PostgreSQL; without libpq it is left out.
pkg_check_modules(PQ IMPORTED_TARGET libpq>=14)
pkg_check_modules(PBC IMPORTED_TARGET libprotobuf-c>=1.4)
pkg_check_modules(MHD IMPORTED_TARGET libmicrohttpd>=0.9.71)
find_program(PROTOC_C protoc-c)

# gRPC's .pc drags in some sixty libraries that a user of the shared one need not name. Only programs of
# their own load it; without it they are left out.
find_library(GRPC_LIB grpc)
find_library(GPR_LIB gpr)
find_path(GRPC_INCLUDE grpc/grpc.h)
if(GRPC_LIB AND GPR_LIB AND GRPC_INCLUDE)
  add_library(grpc_c INTERFACE)
  target_include_directories(grpc_c SYSTEM INTERFACE ${GRPC_INCLUDE})
  target_link_libraries(grpc_c INTERFACE ${GRPC_LIB} ${GPR_LIB} Threads::Threads)
endif()
