"""A real Slurm of two hosts on this machine, each with a network of its own (slurm/testbed)."""

import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import pytest
from conftest import FLAME, ROOT

TESTBED = ROOT / "slurm" / "testbed"
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "ip", "ps", "unshare", "nsenter")
# Seconds that Slurm itself may take, beyond the time of the job.
SLURM = 90


def why_not():
    """Returns the reason why this machine cannot have a testbed, or None."""
    if os.geteuid() != 0:
        return "only root may make the hosts of slurm/testbed"
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} missing: scripts/setup --tests installs Slurm"
    if subprocess.run(["unshare", "--net", "--uts", "--mount", "true"], capture_output=True,
                      check=False).returncode != 0:
        return "this container may not make network namespaces, which slurm/testbed needs"
    return None


def wait_for(condition, what, seconds=SLURM, seen=lambda: ""):
    """Waits until `condition` is true and returns its value. A failure shows `what` and seen()."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what} within {seconds} s\n{seen()}")
        time.sleep(0.05)


class Testbed:
    """Two hosts; `folder` is on the disk that both see (they do not see this machine's /tmp)."""

    __test__ = False

    def __init__(self, folder):
        self.folder = folder
        (folder / "build").mkdir()
        (folder / "build" / "flame").symlink_to(FLAME)
        (folder / "configs").symlink_to(ROOT / "configs")

    def attempt(self, *words):
        return subprocess.run([str(TESTBED), "run", *map(str, words)], capture_output=True,
                              text=True, timeout=60, cwd=self.folder, check=False)

    def run(self, *words):
        result = self.attempt(*words)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def verb(self, *words):
        result = subprocess.run([str(TESTBED), *words], capture_output=True, text=True, timeout=120,
                                check=False)
        assert result.returncode == 0, result.stderr

    def story(self, *more):
        """Returns the state of Slurm, which a failed wait shows, after what `more` commands print."""
        told = []
        for words in (*more, ("squeue", "-l"), ("sinfo", "-N", "-l")):
            try:
                told.append(self.attempt(*words).stdout)
            except subprocess.TimeoutExpired as late:
                told.append(str(late))
        for log in sorted(pathlib.Path("/var/tmp/flame-testbed/log").glob("*.log")):
            told.append(f"{log.name}:\n{log.read_text()[-6000:]}")
        return "\n".join(told)

    def wait_given_up(self, host):
        """Waits until the controller says that a host, which was cut off, is down.

        A host that is healed earlier, after a job has ended unseen, keeps the job as completing
        for minutes, until the controller asks again.
        """
        wait_for(lambda: "down" in self.run("sinfo", "-h", "-n", host, "-o", "%T"),
                 f"{host} that the controller has given up", 240, self.story)

    def wait_idle(self, patience=90):
        """Waits until both hosts are idle.

        One that is not within `patience` seconds is set down and resumed. An administrator does so
        with a host that Slurm drained because a step of it ended late, or that still completes a
        job whose end the controller did not hear of.
        """
        try:
            wait_for(self.both_idle, "two idle hosts", patience)
        except AssertionError:
            for host in ("node1", "node2"):
                if self.run("sinfo", "-h", "-n", host, "-o", "%T").strip() != "idle":
                    # A process of the program that does not end is a fault, and is not put aside.
                    assert not self.steps_on(host) - {"slurmstepd"}, self.story()
                    self.run("scontrol", "update", f"NodeName={host}", "State=DOWN", "Reason=test")
                    self.run("scontrol", "update", f"NodeName={host}", "State=RESUME")
            wait_for(self.both_idle, "two idle hosts", 120, self.story)

    def both_idle(self):
        # `sinfo -t idle` would count a drained host too.
        return self.run("sinfo", "-h", "-N", "-o", "%T").split() == ["idle", "idle"]

    def steps_on(self, host):
        """Returns the names of a job's processes that live on the host."""
        ids = subprocess.run(["ip", "netns", "pids", f"flame-{host}"], capture_output=True,
                             text=True, check=True).stdout.split()
        names = subprocess.run(["ps", "-o", "comm=", *ids], capture_output=True, text=True,
                               check=False).stdout.split()
        return set(names) - {"slurmd"}

    def submit(self, file, name, *arguments, options=()):
        """Submits a shipped batch file from a folder with build/flame, as users do."""
        output = self.folder / f"{name}.log"
        job = self.run("sbatch", "--parsable", f"--output={output}", *options,
                       ROOT / "slurm" / file, *arguments)
        return Job(self, job.strip(), output)


class Job:
    def __init__(self, testbed, number, output):
        self.testbed, self.number, self.output = testbed, number, output

    def log(self):
        return self.output.read_text() if self.output.exists() else ""

    def field(self, name):
        text = self.testbed.run("scontrol", "show", "job", self.number)
        return re.search(rf"\b{name}=(\S+)", text)[1]

    def story(self):
        """Returns the state of the job and of Slurm, which a failed wait shows."""
        return self.testbed.story(("scontrol", "show", "job", self.number)) + self.log()[-4000:]

    def wait(self, *states, seconds=SLURM):
        """Waits for the job and returns its final state, which must be one of `states`."""
        ended = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")

        def state():
            now = self.field("JobState")
            return now if now in ended + states else None

        found = wait_for(state, f"end of job {self.number}", seconds, self.story)
        assert found in states, f"{found}: {self.log()}"
        return found

    def restart(self, seconds=SLURM, hurry=True):
        """Waits until the job is requeued, and shortens the two minutes that Slurm lets it wait.

        Ten seconds are enough if all its hosts were reachable: they refuse the job only while they
        clean up after its first start. If a host was cut off, do not hurry: a minute later the
        controller tries again to end the first start's steps, and the second start's steps have the
        same numbers.
        """
        wait_for(lambda: self.field("Restarts") == "1", f"restart of job {self.number}", seconds,
                 self.story)
        if hurry:
            self.testbed.run("scontrol", "update", f"JobId={self.number}",
                             "StartTime=now+10seconds")

    def goes_on(self, hurry=True):
        self.restart(hurry=hurry)
        self.wait("COMPLETED", seconds=300 if hurry else 300 + 120)
        assert "resumed at step" in self.log()


def two_hosts():
    """Yields a Testbed for a fixture and takes it down when the caller is done with it."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with open("/var/tmp/flame-testbed.lock", "w") as lock:
        wait_for(lambda: locked(lock), "free testbed", 600)
        folder = pathlib.Path(tempfile.mkdtemp(prefix="flame-slurm-", dir="/var/tmp"))
        keeper = start_keeper(TESTBED, folder, lock)
        try:
            assert keeper.stdout.readline() == "up\n"
            yield Testbed(folder)
        finally:
            keeper.stdin.close()
            assert keeper.wait(120) == 0


def start_keeper(program, folder, lock):
    """Keeps the testbed up until this process closes the keeper's stdin or ends in any way.

    Then the keeper takes the testbed down and removes `folder`, and `lock` is free for the next run
    of these tests.
    """
    script = '"$1" up 2 && echo up && cat; "$1" down && rm -rf "$2"'
    return subprocess.Popen(["bash", "-c", script, "keeper", str(program), str(folder)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                            pass_fds=[lock.fileno()], start_new_session=True)


def locked(file):
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
