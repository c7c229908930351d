"""tools/check-layers finds each kind of violation when it is planted, and none where there is none."""

import unittest

from common import ROOT, ToolTest

TABLE = """
# holdfast_module(comment MODULES is no module)
holdfast_module(core EXTERNAL fmt::fmt)
holdfast_module(postgres MODULES core)
holdfast_module(repository MODULES postgres core
                           EXTERNAL nlohmann_json::nlohmann_json)
holdfast_module(backup MODULES repository postgres core)
holdfast_module(restore MODULES repository postgres core)
holdfast_module(app MODULES backup restore repository postgres core)
holdfast_module(cli MODULES app core EXTERNAL CLI11::CLI11)
"""


class CheckLayers(ToolTest):
    def setUp(self):
        super().setUp()
        self.write("CMakeLists.txt", TABLE)
        self.write("src/core/error.h", "#pragma once\n#include <fmt/format.h>\n#include <string>\n")
        self.write("src/postgres/session.h", '#pragma once\n#include "core/error.h"\n')
        self.write("src/postgres/page.h", '#pragma once\n#include "core/error.h"\n')
        self.write("src/repository/names.h", '#pragma once\n#include "postgres/page.h"\n')
        self.write("src/backup/run.cpp", '#include "repository/names.h"\n')
        self.write("src/restore/run.h", "#pragma once\n")
        self.write("src/cli/main.cpp", '#include "app/config.h"\n#include "core/error.h"\n')
        self.write("src/app/config.h", '#pragma once\n#include "backup/run.h"\n')

    def check(self):
        code, said, _ = self.run_tool(ROOT / "tools" / "check-layers", self.folder)
        return code, said

    def assert_found(self, text):
        code, said = self.check()
        self.assertEqual(code, 1, said)
        self.assertIn(text, said)
        self.assertEqual(len(said.splitlines()), 1, said)

    def test_clean_tree_passes(self):
        self.assertEqual(self.check(), (0, ""))

    def test_include_of_a_layer_above(self):
        self.write("src/core/error.cpp", '\n  #  include "postgres/page.h"\n')
        self.assert_found('src/core/error.cpp:2: #include "postgres/page.h": core may not include')

    def test_include_of_a_layer_above_in_angle_brackets(self):
        self.write("src/core/error.cpp", "#include <postgres/page.h>\n")
        self.assert_found("core may not include postgres")

    def test_pipeline_includes_pipeline(self):
        self.write("src/backup/more.cpp", '#include "restore/run.h"\n')
        self.assert_found("backup may not include restore")

    def test_pipeline_lists_pipeline(self):
        self.write("CMakeLists.txt", TABLE.replace("backup MODULES", "backup MODULES restore"))
        self.assert_found("pipeline backup lists pipeline restore")

    def test_cli_reaches_below_app(self):
        self.write("src/cli/main.cpp", '#include "repository/names.h"\n')
        self.assert_found("cli may not include repository")

    def test_modules_in_a_circle(self):
        self.write("CMakeLists.txt", TABLE.replace("core EXTERNAL", "core MODULES app EXTERNAL"))
        code, said = self.check()
        self.assertEqual(code, 1)
        self.assertIn("modules in a circle", said)

    def test_headers_in_a_circle(self):
        self.write("src/core/a.h", '#include "core/b.h"\n')
        self.write("src/core/b.h", '#include "core/a.h"\n')
        self.assert_found("headers in a circle: core/a.h -> core/b.h -> core/a.h")

    def test_repository_uses_a_session(self):
        self.write("src/repository/names.cpp", '#include "postgres/session.h"\n')
        self.assert_found("the repository knows types, not servers")

    def test_folder_that_is_no_module(self):
        self.write("src/extra/a.cpp", "\n")
        self.assert_found("src/extra: not in the module table")

    def test_unknown_module_in_the_table(self):
        self.write("CMakeLists.txt", TABLE.replace("postgres MODULES core", "postgres MODULES cor"))
        code, said = self.check()
        self.assertEqual(code, 1)
        self.assertIn("postgres lists cor, which is no module", said)

    def test_climbing_path(self):
        self.write("src/backup/run.cpp", '#include "../restore/run.h"\n')
        self.assert_found("climbs out of its folder")

    def test_bare_name_of_an_own_header(self):
        self.write("src/core/error.cpp", '#include "error.h"\n')
        self.assert_found("include it as module/header.h")

    def test_no_table_is_an_error(self):
        self.write("CMakeLists.txt", "project(x)\n")
        self.assertEqual(self.check()[0], 2)

    def test_it_reads_the_real_table(self):
        # The real tree's own violations are another check's business; that the table is read is ours.
        self.write("CMakeLists.txt", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))
        self.write("src/core/error.cpp", '#include "storage/object_store.h"\n')
        self.write("src/storage/object_store.h", "#pragma once\n")
        code, said = self.check()
        self.assertEqual(code, 1)
        self.assertIn("core may not include storage", said)
        self.assertNotIn("in a circle", said)


if __name__ == "__main__":
    unittest.main()
