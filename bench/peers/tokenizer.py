#!/usr/bin/env python3
"""Measures encoding speed against the package tokenizers, one thread each.

    bench/peers/tokenizer.py

Needs `ninja -C build tokenizer_bench` and ../shared/data. Measures one thread's processor time;
rounds of the two programs alternate and the best of each counts. Prints the result and writes
bench/results/tokenizer.json.
"""

import argparse
import array
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
sys.path[:0] = [str(ROOT / "tests" / "peers"), str(ROOT / "bench" / "peers")]

import tokenizers
from clinical_notes import clinical_notes
from test_tokenizer import llama3_tokenizer

MEGABYTE = 1e6


def measure_ours(program, notes_file, tokenizer_file):
    output = subprocess.run([program, notes_file, tokenizer_file], check=True, capture_output=True)
    return json.loads(output.stdout)


def measure_peer(encode, notes):
    """Returns the seconds within `encode`, without reading the ids off the Encoding it returns."""
    seconds, ids = 0.0, array.array("i")
    for note in notes:
        begin = time.thread_time()
        encoding = encode(note)
        seconds += time.thread_time() - begin
        ids.extend(encoding.ids)
    return {"seconds": seconds, "tokens": len(ids),
            "sha256": hashlib.sha256(ids.tobytes()).hexdigest()}


def compare(program, folder, name, tokenizer_file, notes, rounds):
    notes_file = folder / "notes.txt"
    notes_file.write_text("\f".join(notes), encoding="utf-8")
    begin = time.thread_time()
    peer = tokenizers.Tokenizer.from_file(str(tokenizer_file))
    peer_load = time.thread_time() - begin
    # encode_batch_fast leaves out offsets and is the faster of the two. It gets batches of one: a
    # longer list would cost memory and save no time.
    calls = {"encode": lambda note: peer.encode(note, add_special_tokens=False),
             "encode_batch_fast":
                 lambda note: peer.encode_batch_fast([note], add_special_tokens=False)[0]}
    ours, theirs = [], {call: [] for call in calls}
    for _ in range(rounds):
        ours.append(measure_ours(program, notes_file, tokenizer_file))
        for call, encode in calls.items():
            theirs[call].append(measure_peer(encode, notes))
    digests = {row["sha256"] for row in ours + sum(theirs.values(), [])}
    megabytes = sum(len(note.encode()) for note in notes) / MEGABYTE
    speed = {call: megabytes / min(row["seconds"] for row in rows) for call, rows in theirs.items()}
    flame = megabytes / min(row["seconds"] for row in ours)
    return {
        "vocabulary": name, "tokens": ours[0]["tokens"], "ids_equal": len(digests) == 1,
        "flame_mb_s": round(flame, 2),
        "flame_first_pass_mb_s": round(megabytes / min(row["first_seconds"] for row in ours), 2),
        "flame_one_document_mb_s":
            round(megabytes / min(row["document_seconds"] for row in ours), 2),
        "tokenizers_mb_s": {call: round(value, 2) for call, value in speed.items()},
        "ratio": round(flame / max(speed.values()), 2),
        "flame_load_seconds": round(min(row["load_seconds"] for row in ours), 3),
        "flame_load_peak_mb": ours[0]["load_peak_mb"],
        "tokenizers_load_seconds": round(peer_load, 3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=ROOT / "build" / "bench" / "tokenizer_bench")
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    size = arguments.megabytes * MEGABYTE
    notes = clinical_notes(SHARED / "mimic-iii-demo", size, arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        llama3 = folder / "llama3.json"
        llama3_tokenizer(SHARED / "llama3-tokenizer").save(str(llama3))
        files = {"llama3": llama3, "tinystories": SHARED / "tinystories-656k" / "tokenizer.json"}
        rows = [compare(arguments.program, folder, key, path, notes, arguments.rounds)
                for key, path in files.items()]
    result = {"megabytes": arguments.megabytes, "notes": len(notes), "threads": 1,
              "tokenizers_version": tokenizers.__version__, "rows": rows}
    text = json.dumps(result, indent=2) + "\n"
    (ROOT / "bench" / "results" / "tokenizer.json").write_text(text)
    print(text, end="")
    assert all(row["ids_equal"] for row in rows), "ids differ"


if __name__ == "__main__":
    main()
