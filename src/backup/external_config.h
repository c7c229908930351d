#pragma once
// Configuration that lies outside the data directory (Debian keeps it in /etc/postgresql): it is
// carried with every backup, under the names that PostgreSQL looks for in a data directory, so that
// a restore starts on a machine that has nothing but the backup.
//
// config_file becomes postgresql.conf, hba_file pg_hba.conf, ident_file pg_ident.conf; what these
// include by a relative name keeps that name. A file that is included by an absolute name is not
// carried, and neither is one that cannot be read: both are reported. Restore takes the settings
// back that lead outside (restore/external_config.h).

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "postgres/session.h"

namespace holdfast {

struct ExternalConfig {
  struct File {
    std::filesystem::path original;
    Bytes content;
  };
  std::map<std::string, File> files;  // by the name in the data directory
  std::vector<std::string> warnings;
};

ExternalConfig collect_external_config(const ServerInfo& server,
                                       const std::filesystem::path& data_directory);

}  // namespace holdfast
