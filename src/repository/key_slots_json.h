#pragma once
// The object form of key slots: a container (never encrypted) with JSON.

#include "repository/repository.h"

namespace holdfast {

Bytes encode_key_generation(const KeyGeneration& generation, const RepositoryId& repository_id);
KeyGeneration decode_key_generation(Bytes object, std::string_view name,
                                    RepositoryId* repository_id);

}  // namespace holdfast
