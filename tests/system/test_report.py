"""flame report and flame inspect RUN: the page of a run, in words and in a browser."""

import html.parser
import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
import xml.etree.ElementTree

import pytest
from conftest import FLAME, run

VOID = {"meta", "link", "br"}
BROWSER = "chromium-headless-shell"


class Page(html.parser.HTMLParser):
    """Collects the text of a page and checks that its elements are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.attributes = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def words(path):
    return " ".join(" ".join(Page(path.read_text()).text).split())


@pytest.fixture(scope="module")
def page(tiny_run, tmp_path_factory):
    file = tmp_path_factory.mktemp("report") / "run.html"
    assert run("report", tiny_run, "--out", file).stdout == f"{file}\n"
    return file


def test_page_has_the_figures_of_the_run(tiny_run, page):
    text = words(page)
    evaluation = json.loads((tiny_run / "evaluation.json").read_text())
    for row in evaluation["rows"]:
        low, high = row["jaccard_ci"]
        assert f"{row['policy']} {row['jaccard']:.4f} [{low:.4f}, {high:.4f}] {row['f1']:.4f}" in text
        assert f"{row['policy']} {row['jaccard_pooled']:.4f} {row['f1_pooled']:.4f}" in text
    for group in evaluation["groups"]:
        assert f"{group['by']}: {group['value']} {group['num_visits']} " in text
    for comparison in evaluation["comparisons"]:
        assert f"{comparison['policy']} less {comparison['baseline']} {comparison['metric']} " \
               f"{comparison['difference']:+.4f}" in text
    corpus = json.loads(run("inspect", tiny_run / "corpus.h5", "--json").stdout)
    assert f"{corpus['num_patients']} patients, {corpus['num_visits']} visits" in text
    for step in corpus["funnel"]:
        detail = f" ({step['detail']})" if "detail" in step else ""
        assert f"{step['table']} {step['rule']}{detail} {step['rows']}" in text
    assert "must not be used to treat patients" in text
    assert "Not readable" not in text


def test_page_shows_lists_with_their_phi_and_advantages(tiny_run, page):
    shards = sorted((tiny_run / "grpo/rollouts").glob("*.h5"))
    shard = shards[0]
    text = words(page)
    assert shard.name in text and shards[-1].name in text
    shown = re.findall(r"Task (\d+), policy version \d+", text)
    assert len(shown) == 4
    told = run("inspect", shard, "--limit", 1000).stdout  # the same group, as the terminal shows it
    group = re.search(rf"task id \d+ \(task {shown[0]}\).*?\n\n", told, re.S)[0]
    rewards = re.findall(r"member \d+: reward ([+-]\d\.\d{4})", group)
    best = max(rewards, key=float)
    assert f"Reward {float(best):+.3f};" in text
    member = next(line for line in re.findall(r"member \d+: reward .*?advantages  [^\n]*", group, re.S)
                  if f"reward {best}" in line)
    advantages = re.findall(r" ([+-]\d+\.\d\d)\]", member)  # the number under each token, in order
    shown_tokens = text[text.index(f"Reward {float(best):+.3f};"):]
    assert re.findall(r"(?<![\d.])[+-]\d\.\d\d(?!\d)", shown_tokens)[:len(advantages)] == advantages


def test_page_needs_nothing_else(page):
    text = page.read_text()
    attributes = Page(text).attributes
    assert not [value for name, value in attributes if name in ("src", "href") and value != "data:,"]
    assert not re.search(r"@import|url\(|<script", text)
    assert "default-src 'none'" in text


def luminance(color):
    channels = [c / 255 for c in color]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    """The contrast ratio of WCAG 2.2, 1.4.3."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_text_has_the_contrast_of_wcag_aa(page):
    light, dark = re.findall(r":root \{ (.*?)\}", page.read_text())
    for scheme in (light, light + dark):
        colors = {}
        for name, value in re.findall(r"(--\w+): ([^;]+);", scheme):
            colors[name] = ([int(value[i:i + 2], 16) for i in (1, 3, 5)] if value.startswith("#")
                            else [int(part) for part in value.split()])
        for name in ("--ink", "--soft", *(f"--s{i}" for i in range(8))):
            assert contrast(colors[name], colors["--paper"]) >= 4.5, name
        backgrounds = [colors["--mark"]]
        for name, opacity in (("--up", 0.45), ("--down", 0.45), ("--heat", 0.5)):
            backgrounds.append([opacity * c + (1 - opacity) * p
                                for c, p in zip(colors[name], colors["--paper"], strict=True)])
        for background in backgrounds:
            assert contrast(colors["--ink"], background) >= 4.5


def in_browser(page, width, *arguments):
    """Loads a page in a real browser; returns its DOM after scripts, and what the console said."""
    done = subprocess.run(
        [BROWSER, "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
         f"--window-size={width},900", *arguments, "--dump-dom", page.resolve().as_uri()],
        capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("width", [1280, 400])
def test_browser_shows_the_page_whole(page, tmp_path, width):
    _, console = in_browser(page, width)
    assert console == []
    # The same page with a script that tells sizes, which its policy would not let run.
    probe = tmp_path / "probe.html"
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    probe.write_text(text.replace("</body>", """<script>
      const inner = [...document.querySelectorAll('.plots > svg')].map(s => s.getBoundingClientRect());
      document.title = JSON.stringify({
        page: document.documentElement.scrollWidth, window: innerWidth,
        plots: inner.length, small: inner.filter(r => r.width < 340).length,
        resources: performance.getEntriesByType('resource').length});
    </script></body>"""))
    dom, console = in_browser(probe, width)
    assert console == []
    sizes = json.loads(re.search(r"<title>(.*?)</title>", dom)[1])
    assert sizes["page"] <= sizes["window"]  # tables scroll in their own boxes
    assert sizes["plots"] > 5 and sizes["small"] == 0  # none is shrunk until it cannot be read
    assert sizes["resources"] == 0


def test_run_that_goes_on_is_reported_as_far_as_it_is(tiny_run, tmp_path):
    going = tmp_path / "going"
    shutil.copytree(tiny_run, going)
    (going / "evaluation.json").unlink()
    for stage in ("evaluate", "grpo"):
        (going / f".stages/{stage}.json").unlink()
    (going / ".stages/evaluate.begun").unlink()
    with (going / "grpo/metrics.jsonl").open("a") as metrics:
        metrics.write('{"step": 99, "reward_')  # being written
    run("report", going)
    text = words(going / "report.html")
    assert "Not evaluated yet" in text and "grpo begun" in text and "evaluate not made" in text
    assert "Not readable" not in text
    told = run("inspect", going).stdout
    assert re.search(r"grpo +begun +step \d+, reward_mean", told)
    assert f"next: flame pipeline --config {going}/config.yaml run.dir={going}\n" in told


def test_damage_is_named_and_the_rest_shown(tiny_run, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_run, damaged)
    (damaged / "list/metrics.jsonl").write_text('{"step": "one"}\n')
    (damaged / "evaluation.json").write_text("[]")
    run("report", damaged)
    text = words(damaged / "report.html")
    assert f"{damaged}/list/metrics.jsonl:1: expected a JSON object with a step" in text
    assert f"{damaged}/evaluation.json: expected a JSON object; delete" in text
    assert "Classifier: loss on training visits" in text


def test_inspect_says_what_is_stale_and_why(tiny_run, tmp_path):
    told = run("inspect", tiny_run).stdout
    assert all(re.search(rf"{stage} +done", told)
               for stage in ("prepare", "classifier", "tasks", "list", "grpo", "evaluate"))
    assert re.search(r"Jaccard list-grpo 0\.\d{4} \[", told) and "next: flame report" in told
    changed = tmp_path / "changed"
    shutil.copytree(tiny_run, changed)
    again = json.loads((changed / ".stages/list.json").read_text())
    next(iter(again["outputs"].values()))["sha256"] = "0" * 64  # as if list were made again
    (changed / ".stages/list.json").write_text(json.dumps(again))
    (changed / "tasks/tasks.h5").unlink()
    config = (changed / "config.yaml").read_text()
    assert "\ngrpo:\n" in config
    (changed / "config.yaml").write_text(re.sub(r"(?m)^(list:\n(?:.*\n)*?  epochs: )\d+", r"\g<1>7", config))
    state = {s["stage"]: s for s in json.loads(run("inspect", changed, "--json").stdout)["stages"]}
    assert {stage: s["state"] for stage, s in state.items()} == {
        "prepare": "done", "classifier": "done", "tasks": "stale", "list": "stale", "grpo": "stale",
        "evaluate": "stale"}
    assert state["tasks"]["why"].endswith("tasks.h5 is missing")
    assert "made with other settings" in state["list"]["why"]


def test_evaluation_of_other_policies_is_marked(tiny_run, tmp_path):
    stale = tmp_path / "a run's <copy>"
    shutil.copytree(tiny_run, stale)
    config = stale / "config.yaml"
    config.write_text(re.sub(r"(?m)^(grpo:\n(?:.*\n)*?  steps: )\d+", r"\g<1>7", config.read_text()))
    state = {s["stage"]: (s["state"], s["why"]) for s in json.loads(run("inspect", stale, "--json").stdout)["stages"]}
    assert state["list"][0] == "done" and state["grpo"][0] == "stale"
    assert state["evaluate"] == ("stale", "comes after grpo, which is stale")
    run("report", stale)
    text = words(stale / "report.html")
    assert "These figures are not of the run as it is: the evaluation is stale" in text
    command = re.search(r"(?m)^next: (.*)$", run("inspect", stale).stdout)[1]
    assert shlex.split(command) == ["flame", "pipeline", "--config", str(config), f"run.dir={stale}"]
    failed = run("inspect", stale, "--visits", check=False)
    assert failed.returncode == 2 and "--visits is for a corpus or a shard" in failed.stderr


def test_run_without_a_config_that_can_be_read_is_not_done(tiny_run, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(tiny_run, broken)
    (broken / "config.yaml").write_text("nokey: 1\n")
    told = run("inspect", broken).stdout
    assert "not readable: " in told and "nokey" in told and "next: flame config --config" in told
    shutil.copy(tiny_run / "config.yaml", broken / "config.yaml")
    record = json.loads((broken / ".stages/list.json").read_text())
    (broken / ".stages/list.json").write_text(json.dumps(record | {"seconds": "long"}))
    state = {s["stage"]: s for s in json.loads(run("inspect", broken, "--json").stdout)["stages"]}
    assert list(state) == ["prepare", "classifier", "tasks", "list", "grpo", "evaluate"]
    assert state["list"]["state"] == "stale" and "list.json" in state["list"]["why"]


def test_watch_outlives_a_broken_file(tiny_run, tmp_path):
    going = tmp_path / "going"
    shutil.copytree(tiny_run, going)
    server = subprocess.Popen([FLAME, "report", going, "--watch"], stdout=subprocess.PIPE, text=True)
    try:
        address = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())[0]
        for file in ("evaluation.json", "config.yaml"):
            whole = (going / file).read_text()
            (going / file).write_text('{"rows":[{}]}')
            with urllib.request.urlopen(address, timeout=60) as answer:
                assert 'http-equiv="refresh"' in answer.read().decode()
            (going / file).unlink()
            with urllib.request.urlopen(address, timeout=60) as answer:
                assert answer.status == 200
            (going / file).write_text(whole)
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0


def test_several_runs_are_compared(tiny_run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tiny_run, other)
    rows = json.loads((other / "evaluation.json").read_text())
    for row in rows["rows"]:
        row["jaccard"] = row["jaccard"] + 0.01
    (other / "evaluation.json").write_text(json.dumps(rows))
    page, curve = tmp_path / "both.html", tmp_path / "curve.svg"
    run("report", tiny_run, other, "--out", page, "--curve", curve)
    text = words(page)
    assert "2 runs" in text and "+0.0100" in text and "Run other" in text
    drawn = xml.etree.ElementTree.fromstring(curve.read_text())
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    assert len([e for e in drawn.iter() if e.tag.endswith("polyline")]) == 2


def test_wrong_calls_are_refused(tmp_path):
    for arguments, message in [
            ((tmp_path,), "no config.yaml; expected the folder of a run"),
            ((tmp_path, "--port", "1"), "--port is for --watch"),
            ((tmp_path, "--watch", "--out", "x.html"), "expected no --out and no --curve")]:
        failed = run("report", *arguments, check=False)
        assert failed.returncode == 2 and message in failed.stderr


def test_watch_serves_the_page_to_this_machine_alone(tiny_run):
    server = subprocess.Popen([FLAME, "report", tiny_run, "--watch"], stdout=subprocess.PIPE, text=True)
    try:
        address = re.search(r"http://127\.0\.0\.1:(\d+)/", server.stdout.readline())
        with urllib.request.urlopen(address[0], timeout=60) as answer:
            served = answer.read().decode()
        assert "Evaluation" in served
        # A browser that says nothing keeps no other one waiting.
        with socket.create_connection(("127.0.0.1", int(address[1]))), \
                urllib.request.urlopen(address[0], timeout=4) as answer:
            assert answer.status == 200
        for request, status in [
                (urllib.request.Request(address[0] + "etc/passwd"), 404),
                (urllib.request.Request(address[0], headers={"Host": "example.com"}), 421),
                (urllib.request.Request(address[0], data=b"x"), 405)]:
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=60)
            assert refused.value.code == status
        second = run("report", tiny_run, "--watch", "--port", address[1], check=False)
        assert second.returncode != 0 and f"cannot listen on port {address[1]}" in second.stderr
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0
    finally:
        server.kill()
        server.wait()
