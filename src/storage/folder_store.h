#pragma once
// ObjectStore in a folder of the local machine or of a network file system.
//
// Publishing: the object is written to a temporary file beside its final place, synced, and then
// appears under its name atomically and only if the name is free (link(2) where the file system has
// hard links, else renameat2(RENAME_NOREPLACE), else an O_EXCL reservation beside it and rename).
// Folder entries are synced up to the root. A crash leaves at most temporary files ("*.tmp-…"),
// which list, get and head never show and the next put in that folder removes once they are old.
// The root must exist and hold the mark that init left: an unmounted file system is an error, not
// an empty repository.

#include <filesystem>
#include <memory>

#include "storage/object_store.h"

namespace holdfast {

// `root` exists, or the first call fails with kRepository. create_root() makes it for `init`.
std::unique_ptr<ObjectStore> make_folder_store(const std::filesystem::path& root);
void create_folder_root(const std::filesystem::path& root);

}  // namespace holdfast
