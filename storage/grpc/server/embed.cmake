# Writes descriptors.c: the descriptors of our .proto files as arrays.
set(text "#include \"storage/grpc/server/descriptors.h\"\n")
foreach(name api batch health reflection)
  file(READ ${FOLDER}/${name}.desc hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(APPEND text "\nconst unsigned char descriptor_${name}[] = {${bytes}};\n"
    "const size_t descriptor_${name}_size = sizeof(descriptor_${name});\n")
endforeach()
file(WRITE ${FOLDER}/descriptors.c "${text}")
