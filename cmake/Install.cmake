# `cmake --install build/release --prefix X`. The programs load only the system's libraries, so they
# need no RPATH. forkless looks for its helpers beside itself, then in ../libexec/forkless.
install(TARGETS forkless RUNTIME DESTINATION bin)
install(TARGETS forkless-exec forkless-dump forkless-xgboost forkless-drill RUNTIME DESTINATION libexec/forkless)
foreach(program forkless-victims forkless-victims-xgboost forkless-grpc forkless-serve)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION libexec/forkless)
  endif()
endforeach()
foreach(module storage-postgresql storage-grpc)
  if(TARGET ${module})
    install(TARGETS ${module} LIBRARY DESTINATION libexec/forkless)
  endif()
endforeach()
install(DIRECTORY integration/reproducers/python/ DESTINATION libexec/forkless USE_SOURCE_PERMISSIONS
        FILES_MATCHING PATTERN "*.py" PATTERN "__pycache__" EXCLUDE)
install(FILES docs/forkless.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES cli/completion/forkless.bash RENAME forkless
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES cli/completion/_forkless DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN "*.svg")
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DATADIR}/forkless USE_SOURCE_PERMISSIONS
  PATTERN "__pycache__" EXCLUDE)
