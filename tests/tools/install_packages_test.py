"""tools/install-packages asks dpkg first, leaves nothing behind, and starts nothing."""

import os
import unittest

from common import ROOT, ToolTest

TOOL = ROOT / "tools" / "install-packages"


class InstallPackages(ToolTest):
    def setUp(self):
        super().setUp()
        self.prefix = self.folder / "prefix"
        (self.prefix / "usr/sbin").mkdir(parents=True)
        (self.prefix / "etc").mkdir()
        self.path = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}",
                     "HOLDFAST_INSTALL_PREFIX": str(self.prefix)}
        self.write("bin/systemctl", "#!/bin/sh\n[ \"$*\" = \"--quiet is-active cron\" ]\n", 0o755)
        self.write("bin/sudo", "#!/bin/sh\n[ \"$1\" != -n ] || shift\nexec \"$@\"\n", 0o755)
        self.fake_dpkg(missing="")
        # Notes what it was called with, and what stood in its way of creating or starting things.
        self.write("bin/apt-get", f"""#!/bin/sh
echo "apt-get $*" >> {self.folder}/called
case "$*" in
  *--simulate*) [ ! -e {self.folder}/stale ] ;;
  *update*) rm -f {self.folder}/stale ;;
  *install*) cat {self.prefix}/etc/postgresql-common/createcluster.d/* >> {self.folder}/seen
             sh {self.prefix}/usr/sbin/policy-rc.d postgresql restart; echo "pg $?" >> {self.folder}/seen
             sh {self.prefix}/usr/sbin/policy-rc.d uuidd start; echo "new $?" >> {self.folder}/seen
             sh {self.prefix}/usr/sbin/policy-rc.d cron restart; echo "old $?" >> {self.folder}/seen
             [ ! -e {self.folder}/broken ] ;;
esac
""", 0o755)

    def fake_dpkg(self, missing):
        self.write("bin/dpkg-query", f"""#!/bin/sh
for last; do :; done
case " {missing} " in *" $last "*) exit 1 ;; esac
printf installed
""", 0o755)

    def called(self):
        path = self.folder / "called"
        return path.read_text() if path.exists() else ""

    def left_behind(self):
        return [p for p in self.prefix.rglob("*") if p.is_file()]

    def test_nothing_missing_calls_no_apt(self):
        self.assertEqual(self.run_tool(TOOL, "build", "test", environment=self.path), (0, "", ""))
        self.assertEqual(self.called(), "")

    def test_installs_only_what_is_missing(self):
        self.fake_dpkg(missing="cmake libpq-dev")
        code, said, errors = self.run_tool(TOOL, "build", environment=self.path)
        self.assertEqual(code, 0, errors)
        self.assertIn("Installing 2 packages: cmake libpq-dev", said)
        self.assertIn("install cmake libpq-dev\n", self.called())
        self.assertNotIn("update", self.called())
        self.assertEqual(self.left_behind(), [])

    def test_old_lists_are_updated(self):
        self.fake_dpkg(missing="cmake")
        self.write("stale", "")
        self.assertEqual(self.run_tool(TOOL, "build", environment=self.path)[0], 0)
        self.assertIn("update", self.called())

    def test_server_package_creates_no_cluster_and_starts_nothing(self):
        self.fake_dpkg(missing="postgresql-15")
        code, _, errors = self.run_tool(TOOL, "server", environment=self.path)
        self.assertEqual(code, 0, errors)
        self.assertEqual((self.folder / "seen").read_text(),
                         "create_main_cluster = false\npg 101\nnew 101\nold 104\n")
        self.assertEqual(self.left_behind(), [])

    def test_everything_is_undone_after_a_failure(self):
        self.fake_dpkg(missing="postgresql-15")
        self.write("broken", "")
        code, _, errors = self.run_tool(TOOL, "server", environment=self.path)
        self.assertEqual(code, 1)
        self.assertIn("could not install: postgresql-15", errors)
        self.assertEqual(self.left_behind(), [])

    def test_existing_policy_and_settings_are_left_alone(self):
        self.fake_dpkg(missing="postgresql-15")
        policy = self.prefix / "usr/sbin/policy-rc.d"
        policy.write_text("exit 101\n")
        settings = self.write("prefix/etc/postgresql-common/createcluster.conf",
                              "create_main_cluster = false\n")
        self.assertEqual(self.run_tool(TOOL, "server", environment=self.path)[0], 0)
        self.assertEqual(policy.read_text(), "exit 101\n")
        self.assertEqual(settings.read_text(), "create_main_cluster = false\n")

    def test_settings_that_would_create_a_cluster_stop_it(self):
        self.fake_dpkg(missing="postgresql-15")
        self.write("prefix/etc/postgresql-common/createcluster.conf", "ssl = on\n")
        code, _, errors = self.run_tool(TOOL, "server", environment=self.path)
        self.assertEqual(code, 1)
        self.assertIn("would let the package create a database cluster", errors)
        self.assertNotIn(" install ", self.called().replace("--simulate install", ""))

    def test_unknown_list(self):
        code, _, errors = self.run_tool(TOOL, "tset", environment=self.path)
        self.assertEqual(code, 1)
        self.assertIn("no list named 'tset'", errors)


if __name__ == "__main__":
    unittest.main()
