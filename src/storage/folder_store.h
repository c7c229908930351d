#pragma once
// ObjectStore in a folder of the local machine or of a network file system.
//
// Publishing: the object is written to a temporary file beside its final place, synced, and then
// appears under its name atomically and only if the name is free (link(2) where the file system has
// hard links, else renameat2(RENAME_NOREPLACE), else an O_EXCL reservation beside it and rename).
// Folder entries are synced up to the root. A crash leaves at most temporary files ("*.tmp-…"),
// which list, get and head never show; the first put of a process in that folder removes those that
// are older than a day by the file system's clock.
// The root must exist and hold the mark that create_folder_root left ("holdfast.folder"): every
// call looks for it in the very folder it then works in, so that an unmounted file system is an
// error, not an empty repository. Errors: kRepository, retryable where a network file system may
// recover; a full disk and a missing
//   permission are not. Symbolic links are followed, dangling ones are errors.
// Folders are created on demand and removed with their last object; both may race with other
//   processes. The mode of files is 0640, of folders 0750, less the umask.

#include <filesystem>
#include <memory>

#include "storage/object_store.h"
#include "system/durable_write.h"

namespace holdfast {

// `root` exists, or the first call fails with kRepository. create_folder_root() makes it for
// `init`. `calls` is for tests that play a file system without hard links.
std::unique_ptr<ObjectStore> make_folder_store(const std::filesystem::path& root,
                                               const PublishCalls& calls = system_publish_calls());

// Makes the folder and its mark, durably; does nothing if the mark is there. A folder that holds
// anything else is Error(kRefused).
void create_folder_root(const std::filesystem::path& root);

}  // namespace holdfast
