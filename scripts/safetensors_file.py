"""Writes tensors in the format of safetensors (github.com/huggingface/safetensors)."""

import json
import struct


def safetensors_bytes(tensors):
    """The file of {name: (shape, array of float32, row by row)}."""
    header, data = {}, bytearray()
    for name, (shape, values) in sorted(tensors.items()):
        begin = len(data)
        data += values.tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(data)
