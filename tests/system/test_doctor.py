"""flame doctor finds planted faults, and reports none on sound hosts."""

import json
import os
import pathlib
import re
import resource
import shutil
import subprocess

from conftest import FLAME, TINY, mpirun, run


def doctor(*launch, check=True):
    result = subprocess.run(list(map(str, launch)), capture_output=True, text=True, timeout=120,
                            check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if check:
        assert result.returncode == 0, result.stdout + result.stderr
    return result


def failures(result):
    assert result.returncode == 4, result.stderr
    return {check["name"]: check for check in json.loads(result.stdout)["checks"]
            if not check["passed"]}


def command(folder, program=FLAME):
    return [str(program), "doctor", "--json", "--config", str(TINY), f"run.dir={folder}"]


def two(first, second):
    """Returns an mpirun of two commands with one rank each. Options of mpirun may precede each."""
    launch = mpirun(1)[:-1]
    at = launch.index("-np")
    return [*launch[:at], *launch[at + 2:], "-np", "1", *first, ":", "-np", "1", *second]


def test_sound_allocation_passes_and_nothing_is_left(tmp_path):
    folder = tmp_path / "run"
    table = doctor(*mpirun(4, "doctor", "--config", TINY, f"run.dir={folder}")).stdout
    assert "4 of 4 ranks answer" in table and "FAIL" not in table
    assert list(folder.iterdir()) == []
    report = json.loads(doctor(*mpirun(4, *command(folder)[1:])).stdout)
    assert report["passed"] and len(report["ranks"]) == 4
    link = report["links"][0]
    assert 0 < link["latency_seconds"] < 0.1 and link["bytes_per_second"] > 1e7
    assert json.loads(run(*command(folder)[1:]).stdout)["passed"]


def test_folder_that_cannot_be_written_is_found(tmp_path):
    (tmp_path / "file").write_text("no folder")
    found = failures(doctor(*command(tmp_path / "file" / "run"), check=False))
    assert list(found) == ["run folder is writable"]
    assert "rank 0" in found["run folder is writable"]["found"]


def test_folder_that_is_not_shared_is_found(tmp_path):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    result = doctor(*two(["-wdir", tmp_path / "here", *command("run")],
                         ["-wdir", tmp_path / "there", *command("run")]), check=False)
    found = failures(result)
    assert list(found) == ["run folder is shared"]
    assert "cluster.carrier=mpi" in found["run folder is shared"]["fix"]


def test_other_build_of_the_program_is_found(tmp_path):
    # A prefix of its own, whose flame-compute has other bytes.
    built = FLAME.parents[1]
    other = tmp_path / "bin" / "flame"
    for name in ("bin/flame", "lib/flame/flame-compute"):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copy(built / name, tmp_path / name)
    (tmp_path / "share").symlink_to(built / "share")
    with open(tmp_path / "lib" / "flame" / "flame-compute", "ab") as file:
        file.write(b"another build")
    result = doctor(*two(command(tmp_path / "run"), command(tmp_path / "run", other)), check=False)
    found = failures(result)
    assert list(found) == ["same flame"]
    assert "rank 1" in found["same flame"]["found"]


def test_library_of_another_version_is_found(tmp_path):
    source, library = tmp_path / "other.c", tmp_path / "libother.so"
    source.write_text("int H5get_libversion(unsigned *a, unsigned *b, unsigned *c)"
                      "{ *a = 1; *b = 14; *c = 3; return 0; }")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    result = doctor(*two(command(tmp_path / "run"),
                         ["-x", f"LD_PRELOAD={library}", *command(tmp_path / "run")]), check=False)
    found = failures(result)
    assert list(found) == ["same hdf5"]
    assert "1.14.3: rank 1" in found["same hdf5"]["found"]


def test_other_build_of_a_library_is_found(tmp_path):
    program = FLAME.parents[1] / "lib" / "flame" / "flame-compute"
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    path = pathlib.Path(re.search(r"=> (\S*libglog\S*)", linked)[1])
    other = tmp_path / path.name
    content = path.read_bytes()
    at = content.index(b"GNU\0") + 4  # start of the build id in its note
    assert content[at - 8:at - 4] == (3).to_bytes(4, "little")
    other.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1:])
    result = doctor(*two(command(tmp_path / "run"),
                         ["-x", f"LD_PRELOAD={other}", *command(tmp_path / "run")]), check=False)
    found = failures(result)
    assert list(found) == ["same libraries"]
    assert path.name in found["same libraries"]["found"]
    assert "rank 1" in found["same libraries"]["found"]


def test_run_folder_whose_name_is_no_text_is_found_in_json(tmp_path):
    folder = os.fsencode(tmp_path / "file") + b"/\xff"
    (tmp_path / "file").write_text("no folder")
    result = subprocess.run([*command("x")[:-1], b"run.dir=" + folder], capture_output=True,
                            text=True, timeout=60, check=False)
    assert list(failures(result)) == ["run folder is writable"]


def test_low_limit_of_open_files_is_found(tmp_path):
    result = subprocess.run(
        command(tmp_path / "run"), capture_output=True, text=True, timeout=60, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)))
    found = failures(result)
    assert list(found) == ["open files"]
    assert "ulimit -n" in found["open files"]["fix"]


def test_launch_submits_nothing_from_a_host_that_fails(tmp_path):
    words = [str(FLAME), "launch", "pipeline", "--time", "60", "--config", str(TINY),
             f"run.dir={tmp_path / 'run'}"]
    result = subprocess.run(["bash", "-c", 'ulimit -n 100; exec "$@"', "bash", *words],
                            capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 4, result.stderr
    assert "flame doctor finds" in result.stderr and "open files" in result.stderr
    assert not (tmp_path / "run" / "launch").exists()


def test_rank_that_does_not_answer_is_named(tmp_path):
    # The rank stops when it should write a file. The launcher reports ranks that never join.
    library = tmp_path / "libstop.so"
    (tmp_path / "stop.c").write_text("#include <signal.h>\nlong H5Fcreate(const char* name, "
                                     "unsigned flags, long creation, long access) "
                                     "{ raise(SIGSTOP); return -1; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "stop.c"], check=True)
    words = [*command(tmp_path / "run"), "cluster.timeout=15"]
    result = doctor(*two(words, ["-x", f"LD_PRELOAD={library}", *words]), check=False)
    assert result.returncode != 0
    report = json.loads(result.stdout)
    assert not report["passed"]
    failed = {check["name"]: check["found"] for check in report["checks"] if not check["passed"]}
    assert failed["ranks"].startswith("1 of 2 ranks answer") and "rank 1" in failed["ranks"]
    assert {"run folder is shared", "messages", "clocks"} <= set(failed)  # tried with nobody


def test_library_that_is_gone_from_the_disk_is_told(tmp_path):
    library = tmp_path / "libgone.so"
    (tmp_path / "gone.c").write_text("#include <unistd.h>\n__attribute__((constructor)) static void "
                                     f'leave(void) {{ unlink("{library}"); }}\n')
    subprocess.run(["cc", "-shared", "-fPIC", "-Wl,--build-id=none", "-o", library,
                    tmp_path / "gone.c"], check=True)
    # Not by way of flame, in which the library would be gone before flame-compute is loaded.
    result = subprocess.run(
        command(tmp_path / "run", FLAME.parents[1] / "lib" / "flame" / "flame-compute"),
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "LD_PRELOAD": str(library)})
    assert json.loads(result.stdout)["ranks"][0]["libraries"]["libgone.so"] == "unreadable"


def test_tasks_that_know_nothing_of_each_other_are_refused(tmp_path):
    result = subprocess.run(
        command(tmp_path / "run"), capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2",
             "SLURM_STEP_NUM_TASKS": "2"})
    assert result.returncode == 2 and "srun without --mpi=pmix" in result.stderr
