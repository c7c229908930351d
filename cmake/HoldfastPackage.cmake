# What is installed, and the Debian package of it:
#   cmake --build --preset release && cpack --config build/release/CPackConfig.cmake
# It holds the program and its documentation, nothing below /etc, and no unit: `holdfast units --install`
# writes those of a configuration. So it is removed as cleanly as it was installed.
include(GNUInstallDirs)
install(TARGETS holdfast RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/holdfast)
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/holdfast)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/holdfast RENAME copyright)
install(DIRECTORY deploy/ DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/holdfast/examples)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME holdfast)
set(CPACK_PACKAGE_VERSION ${HOLDFAST_VERSION})
set(CPACK_PACKAGE_CONTACT "The authors of Holdfast")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY
    "Backs up PostgreSQL, archives its write-ahead log, and proves that it can be recovered")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# The two libraries are loaded when needed, so that dpkg-shlibdeps does not see them.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "tzdata, ca-certificates, libcurl4 | libcurl4t64, libpq5")
include(CPack)
