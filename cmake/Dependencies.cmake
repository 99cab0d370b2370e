# pkg-config for every library: the one route that all of them support.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(UV      REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(SQLITE  REQUIRED IMPORTED_TARGET sqlite3>=3.35)
pkg_check_modules(XGB     REQUIRED IMPORTED_TARGET xgboost>=1.7)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.13)
pkg_check_modules(YAML    REQUIRED IMPORTED_TARGET yaml-0.1)
