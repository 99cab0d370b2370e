# cmake -D SCRIPT=x.py -D TOOL=… -D VENV=dir -D PINS=requirements.txt -P python.cmake: runs the script with
# $FORKLESS_PYTHON, or with the pinned packages in VENV, which is made when it is missing.
if(DEFINED ENV{FORKLESS_PYTHON})
  set(python $ENV{FORKLESS_PYTHON})
else()
  set(python ${VENV}/bin/python)
  execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${PINS} ${VENV}/requirements.txt
    RESULT_VARIABLE stale ERROR_QUIET)
  if(stale)
    execute_process(COMMAND python3 -m venv --clear ${VENV} COMMAND_ERROR_IS_FATAL ANY)
    execute_process(COMMAND ${python} -m pip install -q --disable-pip-version-check -r ${PINS}
      COMMAND_ERROR_IS_FATAL ANY)
    file(COPY_FILE ${PINS} ${VENV}/requirements.txt)
  endif()
endif()
execute_process(COMMAND ${python} ${SCRIPT} ${TOOL} RESULT_VARIABLE code)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "${SCRIPT} failed: ${code}")
endif()
