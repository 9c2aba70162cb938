"""profile.sh: what it asks of the profiler, and what it says where there is none or it may not."""

import os
import shutil
import stat
import subprocess
import tempfile
import unittest

import cells

PROFILE = os.path.join(os.path.dirname(os.path.abspath(cells.__file__)), "profile.sh")
COUNTERS = "  SM Throughput  %  71.2"


class Profile(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.command = self.program("flashmask", 'echo "plain $*" >> "$LOG"')

    def program(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/bash\n{text}\n")
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        return path

    def profiler(self, text):
        self.program("ncu", f'echo "ncu $*" >> "$LOG"\n{text}')

    def run_script(self, *arguments, command=None, path=None):
        self.log = os.path.join(self.folder, "log")
        # No folder of a toolkit that this machine may have.
        environment = {"PATH": path or f"{self.folder}:/usr/bin:/bin", "LOG": self.log, "CUDA_HOME": self.folder}
        return subprocess.run([PROFILE, "--command", command or self.command, *arguments], env=environment,
                              capture_output=True, text=True, check=False)

    def logged(self):
        with open(self.log, encoding="utf-8") as file:
            return file.read().splitlines()

    def test_the_counters_of_the_forward_are_read_behind_a_run_without_the_profiler(self):
        self.profiler(f"echo '{COUNTERS}'")
        done = self.run_script("in.safetensors", "--causal", "--tile", "128,64")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, COUNTERS + "\n", ""))
        plain, profiled = self.logged()
        self.assertRegex(plain, r"^plain run in.safetensors --causal --tile 128,64 --device cuda -o \S+$")
        self.assertIn("--kernel-name regex:^flashmask_forward_.*[0-9]$ --launch-count 1", profiled)
        self.assertIn("--section=SpeedOfLight", profiled)
        self.assertIn(f"{self.command} run in.safetensors --causal", profiled)

    def test_a_backwards_main_kernel_is_read(self):
        self.profiler(f"echo '{COUNTERS}'")
        self.assertEqual(self.run_script("in.safetensors", "--backward", "-o", "out.safetensors").returncode, 0)
        plain, profiled = self.logged()
        self.assertIn("regex:^flashmask_backward_.*[0-9]$", profiled)
        self.assertEqual(plain.count("-o "), 1)

    def test_where_there_is_no_profiler_that_is_said_and_nothing_run(self):
        tools = os.path.join(self.folder, "tools")
        os.mkdir(tools)
        for name in ("bash", "cat", "dirname", "grep", "mktemp", "rm", "sed"):
            os.symlink(shutil.which(name), os.path.join(tools, name))
        done = self.run_script("in.safetensors", path=tools)
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("ncu (Nsight Compute) is not on PATH", done.stderr)
        self.assertFalse(os.path.exists(self.log))

    def test_a_profiler_that_may_not_read_counters_is_told_apart_and_what_to_do(self):
        self.profiler("echo '==ERROR== ERR_NVGPUCTRPERM - The user does not have permission'; exit 1")
        done = self.run_script("in.safetensors")
        self.assertEqual((done.returncode, done.stdout), (4, ""))
        self.assertIn("NVreg_RestrictProfilingToAdminUsers=0", done.stderr)

    def test_a_profiler_that_fails_or_sees_no_kernel_is_no_success(self):
        for text in ("echo broken; exit 9", "echo '==WARNING== No kernels were profiled.'"):
            self.profiler(text)
            done = self.run_script("in.safetensors")
            self.assertEqual((done.returncode, done.stdout), (6, ""))

    def test_a_command_that_fails_by_itself_is_no_profilers_fault(self):
        self.profiler("echo never")
        failing = self.program("failing", "echo 'not found: no GPU here' >&2; exit 4")
        done = self.run_script("in.safetensors", command=failing)
        self.assertEqual(done.returncode, 5)
        self.assertIn("not found: no GPU here", done.stderr)

    def test_wrong_usage_is_told(self):
        for arguments in ([], ["in.safetensors", "--device", "emulator"]):
            self.assertEqual(self.run_script(*arguments).returncode, 2)
        done = self.run_script("in.safetensors", command="/nowhere/flashmask")
        self.assertEqual(done.returncode, 2)
        self.assertIn("/nowhere/flashmask is not there", done.stderr)


if __name__ == "__main__":
    unittest.main()
