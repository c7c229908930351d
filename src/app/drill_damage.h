#pragma once
// `drill --corrupt`: which object a drill is to find damaged.
//
// Drawn, all as likely, from what this recovery has to read: the manifest, the packs that it names,
// and the archived WAL from the backup's start to its stop. The commit record is none of them: with
// that damaged, another backup would be taken.
// Errors: kRepository, kDamage (there is real damage). Threads: any. Reads only.

#include <cstdint>
#include <stop_token>
#include <string>

#include "app/config.h"
#include "app/drill_surroundings.h"
#include "repository/catalogue.h"
#include "repository/repository.h"

namespace holdfast {

// Keeps what is drawn here apart from what else the same seed draws: "damage" in ASCII.
inline constexpr std::uint64_t kDamageStream = 0x64616d616765;

struct DamageDraw {
  std::string cluster, backup;  // its id
  bool needs_archive = false;   // WAL is read from the archive
  std::uint64_t seed = 0;
};
std::string draw_damaged_object(const Repository& repository, const DamageDraw& draw,
                                const std::stop_token& stop);

// For archive-get, which reads the repository in a process of its own.
CopyEnvironment environment_with_damage(CopyEnvironment environment, const std::string& object);

}  // namespace holdfast
